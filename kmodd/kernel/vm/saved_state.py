# SPDX-License-Identifier: Apache-2.0
"""Guests as they were when they had just booted, kept for the next boot of the same.

A file has what QEMU writes when a guest is migrated (docs/devel/migration), and its name says of
what it is and what its bytes hash to: one that is damaged is dropped. Whoever could write the file
could have QEMU read what he likes, so it counts only where nobody but this user could have.
"""

import hashlib
import logging
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STATES_MAX = 6
"""States that are kept, those used last; each takes some 70 MB."""

STATE_MAX = 2 << 30
"""Bytes of a state that is used at most."""

ABANDONED = 3600.0
"""Seconds after which a file that is still being written is nobody's."""

_SUFFIX, _UNFINISHED = ".guest", ".new"

log = logging.getLogger(__name__)


class SavedStates:
    """A directory of states. Several daemons may share it: each puts whole files there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self, key: str) -> int | None:
        """Return a descriptor of the state of ``key``, at its beginning; None where there is none.

        ``key`` is what the state depends on, as hexadecimal digits.
        """
        for path in self._paths(key):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                why = _fault(fd, path)
                if not why:
                    os.utime(fd)
                    os.lseek(fd, 0, os.SEEK_SET)
                    return fd
            except OSError as error:
                why = error.strerror or str(error)
            os.close(fd)
            log.warning("%s is dropped: %s", path, why)
            with suppress(OSError):
                path.unlink()
        return None

    def save(self, key: str, write: Callable[[int], None]) -> bool:
        """Have ``write`` write the state to a descriptor and keep it; returns whether it is kept.

        What ``write`` raises is raised, but for OSError, which is logged.
        """
        temporary = self._directory / f"{key}.{os.getpid()}{_UNFINISHED}"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                temporary.unlink()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(temporary, flags, 0o600)
            try:
                write(fd)
                digest = _digest(fd)
            finally:
                os.close(fd)
            self.forget(key)
            temporary.rename(self._directory / f"{key}.{digest}{_SUFFIX}")
        except OSError as error:
            log.warning("the state of a guest cannot be kept: %s", error)
            return False
        finally:
            with suppress(OSError):
                temporary.unlink()
        self._tidy()
        return True

    def forget(self, key: str) -> None:
        """Remove what is kept of ``key``."""
        for path in self._paths(key):
            with suppress(OSError):
                path.unlink()

    def _paths(self, key: str) -> list[Path]:
        return sorted(self._directory.glob(f"{key}.*{_SUFFIX}"))

    def _tidy(self) -> None:
        """Remove all but the states that were used last, and what nobody writes any more."""
        with suppress(OSError):
            kept = sorted(self._directory.glob(f"*{_SUFFIX}"), key=_used)
            abandoned = [
                path
                for path in self._directory.glob(f"*{_UNFINISHED}")
                if _used(path) < time.time() - ABANDONED
            ]
            for path in (*kept[:-STATES_MAX], *abandoned):
                path.unlink()


def key_of(*parts: bytes | str) -> str:
    """Return the key for a guest that depends on these, and on nothing else."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.hexdigest()[:32]


def _used(path: Path) -> float:
    return path.stat().st_mtime


def _fault(fd: int, path: Path) -> str:
    """Say what is wrong with a file of a state; "" for nothing."""
    status = os.fstat(fd)
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or others:
        return "others may write it"
    if status.st_size > STATE_MAX:
        return "it is too large"
    if _digest(fd) != path.name.split(".")[1]:
        return "it is damaged"
    return ""


def _digest(fd: int) -> str:
    with open(fd, "rb", closefd=False) as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()
