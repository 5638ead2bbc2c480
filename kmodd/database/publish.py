# SPDX-License-Identifier: Apache-2.0
"""Writing a database's files so that a reader finds each one whole, whatever happens meanwhile.

Every file that changes is written without a name (O_TMPFILE) in the directory that it is for, or
under a temporary one where the filesystem cannot do that, and fsynced; only when all are there is
the first one put in place. So a full disk or a read-only filesystem shows while the old files are
still in place. (Between two of them a reader may find files of two generations; Linux cannot rename
several files at once.)

A directory may be on its way out meanwhile. Whoever removes it has listed it once, and fails over a
name that comes later: so there is no name before the last moment, and none comes back that went.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

from kmodd.database.large_files import is_same_file
from kmodd.database.walk import file_stamp
from kmodd.errors import Reason, TreeError
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias

    from kmodd.database.inventory import FileStamp

LOCK_SECONDS = 5.0
"""How long to wait for another process that publishes into the same directory."""

_OURS = re.compile(r"\.modules\.[a-z.]+\.kmodd-[0-9a-f]{16}")
_DEPMODS = re.compile(r"tmpfile[A-Za-z0-9]{6}|modules\.[a-z.]+\.[0-9]+\.[0-9]+\.[0-9]+")
_NAMELESS = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MODE = 0o644
_FILES = "/proc/self/fd"
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""What filesystems answer that have no files without names (open(2), O_TMPFILE)."""
_FSYNCS = 4
"""Files that go down to the disk at a time."""


Place: TypeAlias = "tuple[int, int]"
"""The device and inode of a directory."""


@record
class Publication:
    """What is in place after ``publish``.

    ``stamps`` tells each file's stamp, so that a watcher knows the daemon's own work from
    somebody else's. ``written`` names those that had changed. ``files`` are the bytes.
    """

    directory: str
    files: Mapping[str, bytes]
    stamps: Mapping[str, FileStamp]
    written: tuple[str, ...]

    def stands(self) -> bool:
        """Tell whether all the files are still as they were left."""
        try:
            return all(
                file_stamp(os.lstat(f"{self.directory}/{name}")) == stamp
                for name, stamp in self.stamps.items()
            )
        except OSError:
            return False

    def lacks_some(self) -> bool:
        """Tell whether one of the files is not there any more."""
        return not all(os.path.lexists(f"{self.directory}/{name}") for name in self.stamps)


class UnfinishedError(TreeError):
    """A publication that was given up, as the directory is being taken away (TREE_NOT_FOUND).

    ``left`` are the stamps of those of its files that stay, by name.
    """

    def __init__(self, directory: str, left: Mapping[str, FileStamp]) -> None:
        message = f"{directory} is being removed"
        super().__init__(Reason.TREE_NOT_FOUND, message, detail=directory)
        self.left = left


def place_of(directory: str) -> Place | None:
    """Return what tells a directory from another at the same path, None where there is none."""
    try:
        return _place(os.stat(directory))
    except OSError:
        return None


def is_temporary(name: str) -> bool:
    """Tell whether ``name`` is one that this module or depmod gives to a file for a moment."""
    return bool(_OURS.fullmatch(name) or _DEPMODS.fullmatch(name))


def publish(
    files: Mapping[str, bytes],
    directory: str,
    previous: Publication | None = None,
    *,
    place: Place | None = None,
    wanted: Callable[[], bool] = lambda: True,
    whole: Callable[[], bool] = lambda: True,
) -> Publication:
    """Put ``files``, by name, into ``directory``.

    Files that hold the right bytes already are left alone; ``previous`` saves reading them.
    ``place`` is the directory that the files are about, where there may be another by now: one of
    the same path is, below a mount.
    ``wanted`` is asked just before each file is put in place, and ``whole`` before the first one
    and after the last one, whether all is there that the files are about.

    Raises TreeError: TREE_NOT_WRITABLE with the errno, and the path as its detail; then the old
    files are in place and no other. TREE_NOT_FOUND where the directory is another one from the
    start, which is left as it is.
    Raises UnfinishedError where the directory is taken away meanwhile, or the files are not wanted
    any more; then what had been put in place is gone again, or has replaced what stood there.
    """
    with _locked(directory, place) as fd:
        known = previous if previous and previous.directory == directory else None
        changed = {}
        for name in files:
            if not (known and _stands(fd, name, files, known)):
                content = files[name]
                if not _holds(fd, name, content):
                    changed[name] = content
        made = _replace(fd, directory, changed, wanted, whole)
        stamps = {}
        for name in files:
            with _blaming(f"{directory}/{name}"):
                stamps[name] = _stamp(fd, name, made.get(name))
    return Publication(directory, files, stamps, tuple(changed))


def withdraw(publication: Publication) -> tuple[str, ...]:
    """Remove the files that are as they were left, and the directory if that leaves it empty.

    Returns the names of the files removed; a file that cannot be is passed over.
    """
    directory = publication.directory
    removed = []
    with suppress(OSError):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name, stamp in publication.stamps.items():
                with suppress(OSError):
                    if file_stamp(os.stat(name, dir_fd=fd, follow_symlinks=False)) == stamp:
                        os.unlink(name, dir_fd=fd)
                        removed.append(name)
        finally:
            os.close(fd)
    if removed:
        with suppress(OSError):
            os.rmdir(directory)
    return tuple(removed)


def _place(status: os.stat_result) -> Place:
    return status.st_dev, status.st_ino


@contextmanager
def _blaming(path: str) -> Iterator[None]:
    """Make an OSError of what is done to ``path`` the one that says so."""
    try:
        yield
    except OSError as error:
        raise TreeError(
            Reason.TREE_NOT_WRITABLE,
            f"{path}: {os.strerror(error.errno or 0)}",
            errno=error.errno or 0,
            detail=path,
        ) from error


@contextmanager
def _locked(directory: str, place: Place | None) -> Iterator[int]:
    """Open ``directory`` and hold its lock, in which alone temporary files are leftovers.

    Raises TreeError (TREE_NOT_FOUND) where it is another one than that at ``place``.

    Whoever may read the directory may hold its lock, so after LOCK_SECONDS it goes without one.
    """
    with _blaming(directory):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if place not in (None, _place(os.fstat(fd))):
            message = f"{directory} is another directory by now"
            raise TreeError(Reason.TREE_NOT_FOUND, message, detail=directory)
        if _lock(fd):
            with _blaming(directory):
                _remove(fd, [name for name in os.listdir(fd) if _OURS.fullmatch(name)])
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        except OSError:  # a filesystem that locks no directories
            return False
        else:
            return True


def _replace(
    fd: int,
    directory: str,
    files: Mapping[str, bytes],
    wanted: Callable[[], bool],
    whole: Callable[[], bool],
) -> dict[str, FileStamp]:
    """Put ``files`` in place of those in the directory open at ``fd``; give their stamps."""
    if not files:
        return {}
    temporaries = {name: f".{name}.kmodd-{os.urandom(8).hex()}" for name in files}
    before = frozenset(name for name in os.listdir(fd) if not is_temporary(name))
    placed: dict[str, FileStamp] = {}
    try:
        with ExitStack() as opened:
            written = _write_all(fd, directory, files, temporaries, opened)
            _give_up_if_leaving(fd, directory, before, placed, whole)
            for name, file in written.items():
                _give_up_if_leaving(fd, directory, before, placed, wanted)
                with _blaming(f"{directory}/{name}"):
                    _put(fd, file, temporaries[name], name)
                placed[name] = file.stamp
            _give_up_if_leaving(fd, directory, before, placed, whole)
        with _blaming(directory):
            os.fsync(fd)
    except BaseException:
        _remove(fd, temporaries.values())
        raise
    return placed


def _give_up_if_leaving(
    fd: int,
    directory: str,
    before: frozenset[str],
    placed: Mapping[str, FileStamp],
    wanted: Callable[[], bool],
) -> None:
    """Raise UnfinishedError where the directory open at ``fd`` is being taken away.

    That shows by its path, which leads elsewhere, or by a file that has gone: one of ``before``,
    or one that has been ``placed`` since. The latter are taken back then. One that replaced a file
    stays while none has gone, as whoever is to remove it has yet to come to its name; until then,
    and where but a module is removed, modprobe needs it.
    """
    try:
        is_here = os.path.samestat(os.stat(directory), os.fstat(fd))
    except OSError:
        is_here = False
    has_all = all(_exists(fd, name) for name in (*before, *placed))
    if is_here and has_all and wanted():
        return
    stays = [name for name in placed if has_all and name in before]
    _remove(fd, placed.keys() - stays)
    left = {}
    for name in stays:
        with suppress(OSError):
            left[name] = _stamp(fd, name, placed[name])
    raise UnfinishedError(directory, left)


def _exists(fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return False
    return True


@record
class _Written:
    """A file that is down on the disk, open at ``fd``; it may have no name."""

    fd: int
    is_nameless: bool
    stamp: FileStamp


def _write_all(
    fd: int,
    directory: str,
    files: Mapping[str, bytes],
    temporaries: Mapping[str, str],
    opened: ExitStack,
) -> dict[str, _Written]:
    """Write ``files`` down to the disk; they are closed with ``opened``.

    They go down together, in a third of the time: the filesystem then waits once for most.
    """
    written: dict[str, _Written] = {}
    with _Syncing() as syncing:
        for name, content in files.items():
            with _blaming(f"{directory}/{name}"):
                file, is_nameless = _create(fd, temporaries[name])
                opened.callback(os.close, file)
                written[name] = _Written(file, is_nameless, _write(file, content))
            syncing.add(name, file)
    for name, error in syncing.errors.items():
        with _blaming(f"{directory}/{name}"):
            raise error
    return written


class _Syncing:
    """Has files go down to the disk, some at a time; all are down when the context ends.

    ``_lock`` guards what is left to do, and ``errors``, by the names of the files. (A pool of the
    library's brings logging, queues and heaps, a tenth of a rebuild by a process of its own.)
    """

    def __init__(self) -> None:
        self.errors: dict[str, OSError] = {}
        self._left: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._busy = 0

    def __enter__(self) -> _Syncing:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def add(self, name: str, file: int) -> None:
        """Have one more file go down."""
        with self._lock:
            self._left.append((name, file))
            if self._busy >= _FSYNCS:
                return
            self._busy += 1
        thread = threading.Thread(target=self._run, name="kmodd-fsync")
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    self._busy -= 1
                    return
                name, file = self._left.pop(0)
            try:
                os.fsync(file)
            except OSError as error:
                with self._lock:
                    self.errors[name] = error


def _create(directory: int, temporary: str) -> tuple[int, bool]:
    """Return a new file in the directory, without a name where that can be, and whether it can."""
    if os.path.exists(_FILES):
        try:
            return os.open(".", _NAMELESS, _MODE, dir_fd=directory), True
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
    return os.open(temporary, _CREATE, _MODE, dir_fd=directory), False


def _put(directory: int, file: _Written, temporary: str, name: str) -> None:
    """Put a written file in the place of the one called ``name``."""
    if file.is_nameless:
        os.link(f"{_FILES}/{file.fd}", temporary, dst_dir_fd=directory)
    os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def _write(fd: int, content: bytes) -> FileStamp:
    """Write all of a new file, and give its stamp."""
    os.fchmod(fd, _MODE)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
    status = os.fstat(fd)
    if status.st_size != len(content):
        raise OSError(errno.EIO, "the file is not as long as what was written")
    return file_stamp(status)


def _stamp(directory: int, name: str, made: FileStamp | None) -> FileStamp:
    """Return the stamp of a file in place.

    That of a file that was ``made`` just now matches none if somebody wrote to it or replaced it
    since; a rename changes the ctime alone.
    """
    stamp = file_stamp(os.stat(name, dir_fd=directory, follow_symlinks=False))
    if made is None or made._replace(ctime_ns=stamp.ctime_ns) == stamp:
        return stamp
    return made


def _stands(directory: int, name: str, files: Mapping[str, bytes], known: Publication) -> bool:
    """Tell whether the file is as it was left, and was left with what ``files`` have."""
    if not is_same_file(name, files, known.files):
        return False
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return file_stamp(status) == known.stamps[name]


def _holds(directory: int, name: str, content: bytes) -> bool:
    """Tell whether the file is a regular one that holds ``content``."""
    try:
        fd = os.open(name, _READ, dir_fd=directory)
    except OSError:
        return False
    try:
        status = os.fstat(fd)
        same_shape = stat.S_ISREG(status.st_mode) and status.st_size == len(content)
        return same_shape and os.read(fd, len(content) + 1) == content
    finally:
        os.close(fd)


def _remove(directory: int, names: Iterable[str]) -> None:
    for name in names:
        with suppress(OSError):
            os.unlink(name, dir_fd=directory)
