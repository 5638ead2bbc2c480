# SPDX-License-Identifier: Apache-2.0
"""Writing a database's files so that a reader finds each one whole, whatever happens meanwhile.

Every file that changes is written under a temporary name in the directory that it is for, and
fsynced; only when all are there is the first one renamed. So a full disk or a read-only
filesystem shows while the old files are still in place. (Between two of the renames a reader may
find files of two generations; Linux cannot rename several files at once.)
"""

import errno
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from kmodd.database.inventory import FileStamp
from kmodd.database.walk import file_stamp
from kmodd.errors import Reason, TreeError

LOCK_SECONDS = 5.0
"""How long to wait for another process that publishes into the same directory."""

_OURS = re.compile(r"\.modules\.[a-z.]+\.kmodd-[0-9a-f]{16}")
_DEPMODS = re.compile(r"tmpfile[A-Za-z0-9]{6}|modules\.[a-z.]+\.[0-9]+\.[0-9]+\.[0-9]+")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MODE = 0o644
_FSYNCS = 4
"""Files that go down to the disk at a time."""


@dataclass(frozen=True, slots=True)
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


def is_temporary(name: str) -> bool:
    """Tell whether ``name`` is one that this module or depmod gives to a file for a moment."""
    return bool(_OURS.fullmatch(name) or _DEPMODS.fullmatch(name))


def publish(
    files: Mapping[str, bytes], directory: str, previous: Publication | None = None
) -> Publication:
    """Put ``files``, by name, into ``directory``, which is made if it is not there.

    Files that hold the right bytes already are left alone; ``previous`` saves reading them.
    Raises TreeError (TREE_NOT_WRITABLE) with the errno, and the path as its detail; then the old
    files are in place and the temporary ones are gone.
    """
    with _blaming(directory):
        os.makedirs(directory, mode=0o755, exist_ok=True)
    with _locked(directory) as fd:
        known = previous if previous and previous.directory == directory else None
        changed = {
            name: content
            for name, content in files.items()
            if not (known and _stands(fd, name, content, known)) and not _holds(fd, name, content)
        }
        made = _replace(fd, directory, changed)
        stamps = {}
        for name in files:
            with _blaming(f"{directory}/{name}"):
                stamps[name] = _stamp(fd, name, made.get(name))
    return Publication(directory, files, stamps, tuple(changed))


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
def _locked(directory: str) -> Iterator[int]:
    """Open ``directory`` and hold its lock, in which alone temporary files are leftovers.

    Whoever may read the directory may hold its lock, so after LOCK_SECONDS it goes without one.
    """
    with _blaming(directory):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
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


def _replace(fd: int, directory: str, files: Mapping[str, bytes]) -> dict[str, FileStamp]:
    """Put ``files`` in place of those in the directory open at ``fd``; give their stamps."""
    if not files:
        return {}
    temporaries = {name: f".{name}.kmodd-{secrets.token_hex(8)}" for name in files}
    try:
        made = _write_all(fd, directory, files, temporaries)
        for name in files:
            with _blaming(f"{directory}/{name}"):
                os.replace(temporaries[name], name, src_dir_fd=fd, dst_dir_fd=fd)
        with _blaming(directory):
            os.fsync(fd)
    except BaseException:
        _remove(fd, temporaries.values())
        raise
    return made


def _write_all(
    fd: int, directory: str, files: Mapping[str, bytes], temporaries: Mapping[str, str]
) -> dict[str, FileStamp]:
    """Write ``files`` under their temporary names, down to the disk, and give their stamps.

    They go down together, in a third of the time: the filesystem then waits once for most.
    """
    made: dict[str, FileStamp] = {}
    with ExitStack() as opened, ThreadPoolExecutor(_FSYNCS, "kmodd-fsync") as pool:
        down = {}
        for name, content in files.items():
            with _blaming(f"{directory}/{name}"):
                file = os.open(temporaries[name], _CREATE, _MODE, dir_fd=fd)
                opened.callback(os.close, file)
                made[name] = _write(file, content)
            down[name] = pool.submit(os.fsync, file)
        for name, synced in down.items():
            with _blaming(f"{directory}/{name}"):
                synced.result()
    return made


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


def _stands(directory: int, name: str, content: bytes, known: Publication) -> bool:
    """Tell whether the file is as it was left, and was left with ``content``."""
    if known.files.get(name) is not content:
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
