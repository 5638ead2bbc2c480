# SPDX-License-Identifier: Apache-2.0
"""What a daemon keeps for its next start: the records that it read of each tree.

They only save time: a store that cannot be written is done without, and one that is damaged or
that somebody else could have written is dropped.
"""

import hashlib
import logging
import os
import stat
from pathlib import Path

from kmodd.database.cache import dump, load
from kmodd.database.model import Inventory

STORE_MAX = 256 << 20
"""Bytes of a store that are read at most; Debian's tree takes 2 MB."""

log = logging.getLogger(__name__)


class RecordStore:
    """A directory with a file for each tree. Trees are kept and read by one thread each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, tree: str) -> Inventory | None:
        """Return what was kept of the tree at ``tree``; None where there is nothing to trust."""
        path = self._path(tree)
        try:
            data = _read_own(path)
            return load(data) if data is not None else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s is dropped: %s", path, error)
            return None

    def save(self, inventory: Inventory) -> None:
        """Keep what was read of a tree, whole or not at all."""
        path = self._path(inventory.directory)
        temporary = path.with_suffix(".new")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(temporary, "wb", opener=_private) as file:
                file.write(dump(inventory))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            log.warning("%s cannot be kept: %s", path, error.strerror)

    def _path(self, tree: str) -> Path:
        name = hashlib.sha256(os.fsencode(tree)).hexdigest()[:32]
        return self._directory / f"{name}.records"


def _read_own(path: Path) -> bytes | None:
    """Return the file's bytes; None where another user owns it or may write it."""
    with open(path, "rb", opener=_no_link) as file:
        status = os.fstat(file.fileno())
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid != os.geteuid() or writable or not stat.S_ISREG(status.st_mode):
            log.warning("%s is dropped: others may write it", path)
            return None
        if status.st_size > STORE_MAX:
            raise ValueError("it is too large")
        return file.read(STORE_MAX)


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
