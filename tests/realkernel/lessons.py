# SPDX-License-Identifier: Apache-2.0
"""The twelve lessons of tests/modules/lessons: what is done with the files of each, as data.

As the scenarios, they run on the real kernel and on the emulated one.
"""

import errno
import fcntl
import os
import re
import shutil
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kmodctl import CallError, Client
from tests.realkernel.machine import partial_tree
from tests.realkernel.scenarios import Record, Session
from tests.support.debian import DebianTree
from tests.support.modules import SOURCES, build_folder
from tests.support.tree import ModuleTree
from tests.support.used_file import UsedFile

NONE, WRITE, READ = 0, 1, 2
"""Which way an ioctl's argument goes (include/uapi/asm-generic/ioctl.h)."""

PIECE = 4096
"""Bytes that are asked for at a time."""

PATIENCE = 120.0
"""Seconds that a reader may take to fall asleep, or to be woken."""

KEYBOARD, CONTROLLER = 0x60, 0x64
"""The ports of a PC's keyboard and of its controller (i8042)."""

AS_IF_TYPED, RELEASED = 0xD2, 0x9E
"""Has the controller pass a byte on as if it came from the keyboard, and one: A is released."""

SIGNED = "minix.ko*"
"""A module of Debian's."""

PAD = "/sys/class/input"


def command(way: int, number: int, size: int) -> int:
    """Return the number of an ioctl of lesson 6."""
    return way << 30 | size << 16 | ord("k") << 8 | number


class Files(Protocol):
    """A kernel's files, as a program of root's uses them; each raises OSError."""

    def listed(self, path: str) -> list[str]:
        """Return the names in a directory."""

    def cat(self, path: str, *, nonblocking: bool = False) -> bytes:
        """Read a file to its end."""

    def write(self, path: str, data: bytes) -> int:
        """Write to a file once; return how many bytes it took."""

    def ioctl(self, path: str, number: int, argument: int | bytes) -> int | bytes:
        """Make an ioctl of a file; return its result, or what became of the bytes."""

    def read_while(self, path: str, then: Callable[[], object]) -> bytes:
        """Read once, and have something done while the reader sleeps."""

    def opened(self, path: str, then: Callable[[], object]) -> None:
        """Have something done while a file is open to be read."""

    def interrupt(self, line: int) -> None:
        """Raise an interrupt."""


Result = TypeVar("Result")
Word = str | int | bytes
Step = tuple[Any, ...]
"""A verb, which names one of the methods of ``Steps``, and its arguments."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A module, and what is done with it while it is loaded."""

    module: str
    steps: tuple[Step, ...] = ()
    parameters: str = ""


NOTEBOOK, BOX, SCALE, ROOM = "/dev/notebook", "/dev/letterbox", "/dev/scale", "/sys/kernel/room"
KNOBS = "/sys/module/lesson_parameters/parameters"
RAISED = "/sys/kernel/interrupts/count"

LESSONS = (
    Lesson("lesson_hello"),
    Lesson(
        "lesson_parameters",
        (
            *(("cat", f"{KNOBS}/{each}") for each in ("height", "open", "title", "place", "pages")),
            ("write", f"{KNOBS}/width", b"99\n"),
            ("write", f"{KNOBS}/width", b"wide\n"),
            ("write", f"{KNOBS}/open", b"n\n"),
            ("write", f"{KNOBS}/volume", b"11\n"),
            ("write", f"{KNOBS}/volume", b"12\n"),
            ("cat", f"{KNOBS}/width"),
            ("cat", f"{KNOBS}/volume"),
        ),
        "height=7 open=y title=book pages=5,6,7 volume=9",
    ),
    Lesson(
        "lesson_char",
        (
            ("cat", NOTEBOOK),
            ("write", NOTEBOOK, b"second page\n"),
            ("cat", NOTEBOOK),
            ("write", NOTEBOOK, b"x" * 60),
            ("write", NOTEBOOK, b"y"),
            ("cat", NOTEBOOK),
            ("open", NOTEBOOK, "cat", NOTEBOOK),
            ("open", NOTEBOOK, "count"),
            ("open", NOTEBOOK, "remove"),
            ("ioctl", NOTEBOOK, command(NONE, 0, 0), 0),
        ),
    ),
    Lesson(
        "lesson_proc",
        (
            ("cat", "/proc/lesson/word"),
            ("write", "/proc/lesson/word", b"something"),
            ("cat", "/proc/lesson/word"),
            ("write", "/proc/lesson/word", b"far more than there is room for"),
            ("cat", "/proc/lesson/single"),
            ("cat", "/proc/lesson/days"),
            ("write", "/proc/lesson/days", b"saturday"),
            ("cat", "/proc/lesson/months"),
        ),
    ),
    Lesson(
        "lesson_sysfs",
        (
            ("cat", f"{ROOM}/degrees"),
            ("write", f"{ROOM}/degrees", b"-3\n"),
            ("cat", f"{ROOM}/warm"),
            ("write", f"{ROOM}/degrees", b"99"),
            ("write", f"{ROOM}/degrees", b"hot"),
            ("write", f"{ROOM}/reset", b"later\n"),
            ("write", f"{ROOM}/reset", b"now\n"),
            ("cat", f"{ROOM}/degrees"),
            ("cat", f"{ROOM}/raw"),
            ("write", f"{ROOM}/raw", b"RAW"),
            ("cat", f"{ROOM}/raw"),
        ),
    ),
    Lesson(
        "lesson_ioctl",
        (
            ("ioctl", SCALE, command(NONE, 0, 0), 0),
            ("ioctl", SCALE, command(WRITE, 1, 4), struct.pack("<i", 5)),
            ("ioctl", SCALE, command(READ, 2, 4), bytes(4)),
            ("ioctl", SCALE, command(READ | WRITE, 3, 16), struct.pack("<iiq", -7, 2, 0)),
            ("ioctl", SCALE, command(NONE, 4, 0), 21),
            ("ioctl", SCALE, command(READ, 2, 4), 16),
            ("ioctl", SCALE, command(WRITE, 9, 2), 0),
            ("cat", SCALE),
        ),
    ),
    Lesson(
        "lesson_blocking",
        (
            ("cat_now", BOX),
            ("write", BOX, b"a letter"),
            ("read_while", BOX),
            ("read_while", BOX, "write", BOX, b"another"),
            ("write", BOX, b"more than a letter box has room for"),
            ("write", BOX, b"left"),
        ),
    ),
    Lesson("lesson_print"),
    Lesson("lesson_scheduling"),
    Lesson(
        "lesson_interrupts",
        (
            ("cat", RAISED),
            *(("interrupt", 1),) * 3,
            ("cat", RAISED),
        ),
    ),
    Lesson("lesson_crypto"),
    Lesson(
        "lesson_input",
        (
            ("type", 183),
            ("type", 30),
            ("type", -1),
        ),
    ),
)
"""Each of a course's chapters."""


REFUSED = ("refused_table", "refused_lookup")
"""Modules that want to replace system calls, as old courses did."""


def build_lessons(output: Path, headers: Path) -> None:
    """Build the modules into ``output``; skips without a compiler."""
    build_folder(SOURCES / "lessons", output, headers, modules())


def lay_out_lessons(debian: DebianTree, built: Path, root: Path) -> ModuleTree:
    """Make a root with the lessons and the kernel's image, to be run on an emulated kernel.

    One of Debian's modules shows that they are signed.
    """
    signed = next(debian.directory.rglob(SIGNED)).relative_to(debian.directory)
    tree = partial_tree(debian, root, [str(signed)])
    boot = root / "boot"
    boot.mkdir()
    shutil.copy(debian.kernel_image, boot / f"vmlinuz-{debian.release}")
    put_lessons(built, tree)
    return tree


def put_lessons(built: Path, tree: ModuleTree) -> None:
    """Put the modules into a tree."""
    extra = tree.directory / "extra"
    extra.mkdir(exist_ok=True)
    for name in modules():
        shutil.copy(built / f"{name}.ko", extra)


def modules() -> list[str]:
    """Return the names of all modules that there are."""
    return [*(each.module for each in LESSONS), *REFUSED]


def lessons(session: Session, files: Files) -> Record:
    """What came of each lesson, by its module, and of those that are refused."""
    found = {each.module: taught(session, files, each) for each in LESSONS}
    for name in REFUSED:
        refused = session.load(name)
        found[name] = {"load": {key: refused.get(key) for key in ("reason", "errno", "symbol")}}
    return found


def taught(session: Session, files: Files, lesson: Lesson) -> Record:
    """Load a module, take its steps, and unload it; what is logged of others is left out."""
    before = session.last_sequence()
    record: Record = {
        "steps": [],
        "load": session.load(lesson.module, parameters=lesson.parameters),
    }
    try:
        taken = Steps(session, files, lesson.module)
        record["steps"] = [taken.take(*step) for step in lesson.steps]
        record["listed"] = session.listed(lesson.module)
    except Exception:
        record["broken"] = traceback.format_exc()
    record["unload"] = session.remove(lesson.module)
    about = (f"{lesson.module}: ", "input: ", "kmodd: ")
    lines = (each for each in session.logged(before) if each.startswith(about))
    record["log"] = [re.sub(r"\binput\d+", "inputN", line) for line in lines]
    return record


@dataclass(frozen=True, slots=True)
class Steps:
    """Takes the steps of a lesson."""

    session: Session
    files: Files
    module: str

    def take(self, verb: str, *rest: Word) -> Record:
        """What came of a step: a result, or the name of an errno."""
        take: Callable[..., Any] = getattr(self, f"_{verb}")
        shown = [each.hex() if isinstance(each, bytes) else each for each in (verb, *rest)]
        try:
            result = take(*rest)
        except OSError as error:
            result = errno.errorcode.get(error.errno or 0, str(error))
        if isinstance(result, bytes):
            result = result.decode("utf-8", "backslashreplace")
        return {"step": shown, "result": result}

    def _cat(self, path: str) -> bytes:
        return self.files.cat(path)

    def _cat_now(self, path: str) -> bytes:
        return self.files.cat(path, nonblocking=True)

    def _write(self, path: str, data: bytes) -> int:
        return self.files.write(path, data)

    def _ioctl(self, path: str, number: int, argument: int | bytes) -> int | str:
        result = self.files.ioctl(path, number, argument)
        return result.hex() if isinstance(result, bytes) else result

    def _read_while(self, path: str, *step: Any) -> Record:
        seen: list[Record] = []
        result = self.files.read_while(path, lambda: seen.append(self.take(*step)) if step else 0)
        return {"read": result.decode("utf-8", "backslashreplace"), "meanwhile": seen}

    def _open(self, path: str, *step: Any) -> list[Record]:
        seen: list[Record] = []
        self.files.opened(path, lambda: seen.append(self.take(*step)))
        return seen

    def _count(self) -> Record:
        return self.session.listed(self.module)

    def _remove(self) -> Record:
        return {"errno": self.session.remove(self.module).get("errno", 0)}

    def _interrupt(self, line: int) -> None:
        before = self.session.last_sequence()
        self.files.interrupt(line)
        _until(lambda: self.session.last_sequence() > before)

    def _type(self, value: int) -> int:
        devices = [f"{PAD}/{each}" for each in self.files.listed(PAD) if each.startswith("input")]
        (pad,) = (each for each in devices if "type" in self.files.listed(each))
        return self.files.write(f"{pad}/type", b"%d\n" % value)


class OwnFiles:
    """The files of the kernel that this process runs on."""

    def listed(self, path: str) -> list[str]:
        """Return the names in a directory."""
        return os.listdir(path)

    def cat(self, path: str, *, nonblocking: bool = False) -> bytes:
        """Read a file to its end."""
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK * nonblocking)
        try:
            pieces = list[bytes]()
            while piece := os.read(fd, PIECE):
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            os.close(fd)

    def write(self, path: str, data: bytes) -> int:
        """Write to a file once."""
        fd = os.open(path, os.O_WRONLY)
        try:
            return os.write(fd, data)
        finally:
            os.close(fd)

    def ioctl(self, path: str, number: int, argument: int | bytes) -> int | bytes:
        """Make an ioctl of a file."""
        fd = os.open(path, os.O_RDONLY)
        try:
            return fcntl.ioctl(fd, number, argument)
        finally:
            os.close(fd)

    def read_while(self, path: str, then: Callable[[], object]) -> bytes:
        """Read once in another thread."""
        found = list[bytes]()
        fd = os.open(path, os.O_RDONLY)
        reader = threading.Thread(target=lambda: found.append(os.read(fd, PIECE)))
        reader.start()
        try:
            _until(lambda: bool(found) or _sleeps(reader.native_id))
            then()
            reader.join(PATIENCE)
        finally:
            os.close(fd)
        return found[0]

    def opened(self, path: str, then: Callable[[], object]) -> None:
        """Have something done while a file is open."""
        fd = os.open(path, os.O_RDONLY)
        try:
            then()
        finally:
            os.close(fd)

    def interrupt(self, line: int) -> None:
        """Raise the keyboard's interrupt, the only one that can be raised so."""
        if line != 1:
            raise OSError(errno.EINVAL, f"nothing raises interrupt {line}")
        fd = os.open("/dev/port", os.O_RDWR)
        try:
            os.pwrite(fd, bytes([AS_IF_TYPED]), CONTROLLER)
            os.pwrite(fd, bytes([RELEASED]), KEYBOARD)
        finally:
            os.close(fd)


def _sleeps(thread: int | None) -> bool:
    """Tell whether a thread of this process waits in the kernel for what may never come."""
    with suppress(OSError):
        return Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(") ")[2][0] == "S"
    return False


def _until(happens: Callable[[], bool]) -> None:
    """Wait until something is so; raises TimeoutError after ``PATIENCE``."""
    end = time.monotonic() + PATIENCE
    while not happens():
        if time.monotonic() > end:
            raise TimeoutError(errno.ETIMEDOUT, "nothing happens")
        time.sleep(0.02)


class EmulatedFiles:
    """Those of an emulated kernel, by its daemon's client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def listed(self, path: str) -> list[str]:
        """Return the names in a directory."""
        with _as_errno():
            return [each.path.rpartition("/")[2] for each in self._client.list_files(path)]

    def cat(self, path: str, *, nonblocking: bool = False) -> bytes:
        """Read a file to its end."""
        with _as_errno():
            return self._client.read_file(path, nonblocking=nonblocking)

    def write(self, path: str, data: bytes) -> int:
        """Write to a file once."""
        return self._used(path, lambda file: file.write(data), reads=False, writes=True)

    def ioctl(self, path: str, number: int, argument: int | bytes) -> int | bytes:
        """Make an ioctl of a file."""
        result, buffer = self._used(path, lambda file: file.control(number, argument))
        return buffer if isinstance(argument, bytes) else result

    def read_while(self, path: str, then: Callable[[], object]) -> bytes:
        """Read once in another thread."""
        before = max((each.sequence for each in self._client.read_log()), default=-1)

        def read(file: UsedFile) -> bytes:
            with ThreadPoolExecutor(1) as pool:
                reader = pool.submit(file.read, PIECE)
                _until(lambda: reader.done() or any(self._client.read_log(after=before)))
                then()
                data: bytes = reader.result(PATIENCE).data
            return data

        return self._used(path, read)

    def opened(self, path: str, then: Callable[[], object]) -> None:
        """Have something done while a file is open."""

        def use(file: UsedFile) -> None:
            file.poll(0)
            then()

        self._used(path, use)

    def interrupt(self, line: int) -> None:
        """Raise an interrupt."""
        with _as_errno():
            self._client.raise_interrupt(line)

    def _used(self, path: str, use: Callable[[UsedFile], Result], **how: bool) -> Result:
        """Have a file used; it is closed before a failure is told."""
        file = UsedFile(self._client, path, **how)
        with _as_errno():
            try:
                return use(file)
            finally:
                with suppress(CallError):
                    file.close()


@contextmanager
def _as_errno() -> Iterator[None]:
    """Have a call's failure be that of the system call which it stands for."""
    try:
        yield
    except CallError as error:
        raise OSError(error.errno, error.message) from error
