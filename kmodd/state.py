# SPDX-License-Identifier: Apache-2.0
"""What a daemon keeps for its next start: what it read of trees and of kernels' images, and what it
was asked for.

A store that cannot be written is done without, and one that is damaged or that somebody else could
have written is dropped.
"""

import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from kmodd.database.cache import Remembered, dump, load
from kmodd.database.inventory import FileStamp, Inventory
from kmodd.errors import KmoddError
from kmodd.names import check_query
from kmodd.records import record

STORE_MAX = 256 << 20
"""Bytes of a store that are read at most; Debian's tree takes 2 MB."""

IMAGES_MAX = 16
"""Images of which something is kept at most, the last ones; each takes half a megabyte."""

FIRST_PAUSE = 2.0
"""Seconds after which what could not be kept is tried again; each pause is twice the last."""

LONGEST_PAUSE = 300.0
"""Seconds that no pause is longer than."""

SEAL = "seal.json"
"""The name of the file that says who has sealed the kernel."""

APPLIED_MAX = 256
"""Sources of wishes that may be applied."""

ASKED = "asked.json"
"""The name of the file that says which modules were asked for."""

log = logging.getLogger(__name__)


class Complaint:
    """Says once that something cannot be kept, until it can be again."""

    def __init__(self) -> None:
        self._made = False

    def make(self, path: Path, error: OSError) -> None:
        """Log why the file cannot be written, unless the last attempt failed, too."""
        if not self._made:
            log.warning("%s cannot be kept: %s", path, error.strerror)
        self._made = True

    def settle(self) -> None:
        """Note that it could be written."""
        self._made = False


class Retries:
    """When to try again what could not be kept: ever later, but at once where it has changed."""

    def __init__(self) -> None:
        self._content: object = None
        self._pause = 0.0
        self._next = 0.0

    def are_due(self, content: object) -> bool:
        """Tell whether ``content``, which is compared, is to be tried now."""
        return content != self._content or time.monotonic() >= self._next

    def put_off(self, content: object) -> None:
        """Note that ``content`` could not be kept."""
        again = content == self._content
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if again else FIRST_PAUSE
        self._content, self._next = content, time.monotonic() + self._pause


class RecordStore:
    """A directory with a file for each tree. Trees are kept and read by one thread each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._complaint = Complaint()

    def load(self, tree: str) -> Remembered | None:
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

    def save(self, inventory: Inventory, published: Mapping[str, FileStamp]) -> bool:
        """Keep what was read of a tree, and the stamps of the files that were ``published`` there,
        whole or not at all; returns whether it is kept.

        The directory may be on a file system that is mounted later, so it is for the caller to
        try again; the log is told once.
        """
        return _kept(self._path(inventory.directory), dump(inventory, published), self._complaint)

    def forget(self, tree: str) -> None:
        """Remove what was kept of the tree at ``tree``; what cannot be removed is dropped later."""
        with suppress(OSError):
            self._path(tree).unlink()

    def _path(self, tree: str) -> Path:
        name = hashlib.sha256(os.fsencode(tree)).hexdigest()[:32]
        return self._directory / f"{name}.records"


class ImageStore:
    """A directory with a file for each kernel's image that was read last.

    Several daemons may share it: each writes a file whole, and what one cannot use it drops.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._complaint = Complaint()

    def load(self, image: str) -> bytes | None:
        """Return what was kept of the image at that path; None where there is nothing to trust."""
        path = self._path(image)
        try:
            return _read_own(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s is dropped: %s", path, error)
            return None

    def save(self, image: str, data: bytes) -> None:
        """Keep ``data`` of it, whole or not at all; a directory that takes nothing is told once."""
        _kept(self._path(image), data, self._complaint)
        with suppress(OSError):
            kept = sorted(self._directory.glob("*.image"), key=lambda each: each.stat().st_mtime_ns)
            for path in kept[:-IMAGES_MAX]:
                path.unlink()

    def _path(self, image: str) -> Path:
        name = hashlib.sha256(os.fsencode(image)).hexdigest()[:32]
        return self._directory / f"{name}.image"


class AskedStore:
    """Which loaded modules somebody asked for, as against those that came as a dependency.

    It is kept for one life of the kernel, over restarts of the daemon: in a directory that a
    reboot empties, and with the boot's id in it. Not for several threads at once.
    """

    def __init__(self, directory: Path, boot_id: str) -> None:
        self._path = directory / ASKED
        self._boot_id = boot_id
        self._complaint = Complaint()

    def load(self) -> frozenset[str]:
        """Return the names that were stored last in this life of the kernel."""
        return self._load()[0]

    def by_loaders(self) -> frozenset[str]:
        """Return those of them that no admin has asked for; what does not say so, an admin has."""
        return self._load()[1]

    def by_wishes(self) -> frozenset[str]:
        """Return those of them that were loaded for a wish, and nobody has asked for besides."""
        return self._load()[2]

    def _load(self) -> "_Asked":
        nothing = frozenset[str](), frozenset[str](), frozenset[str]()
        try:
            data = _read_own(self._path)
            if data is None:
                return nothing
            boot_id, found = _asked(data)
        except FileNotFoundError:
            return nothing
        except (OSError, ValueError, RecursionError, KmoddError) as error:
            log.warning("%s is dropped: %s", self._path, error)
            return nothing
        return found if boot_id == self._boot_id else nothing

    def store(
        self,
        names: Collection[str],
        by_loaders: Collection[str] = (),
        by_wishes: Collection[str] = (),
    ) -> None:
        """Keep ``names``, whole or not at all; a directory that takes nothing is told once.

        Of those ``by_loaders`` no admin has asked for, of those ``by_wishes`` nobody.
        """
        content = {
            "boot_id": self._boot_id,
            "modules": sorted(names),
            "by_loaders": sorted(by_loaders),
            "by_wishes": sorted(by_wishes),
        }
        _kept(self._path, json.dumps(content, indent=1).encode(), self._complaint)


@record
class Seal:
    """When kernel.modules_disabled was set, in seconds of Unix time, and by whom, in words."""

    time: float
    by: str


class SealStore:
    """Who has sealed the kernel, kept for one life of it as AskedStore keeps its names."""

    def __init__(self, directory: Path, boot_id: str) -> None:
        self._path = directory / SEAL
        self._boot_id = boot_id
        self._complaint = Complaint()

    def load(self) -> Seal | None:
        """Return the seal of this life of the kernel; None for none."""
        try:
            data = _read_own(self._path)
            if data is None:
                return None
            match json.loads(data):
                case {"boot_id": str(boot_id), "time": int() | float() as moment, "by": str(by)}:
                    return Seal(float(moment), by) if boot_id == self._boot_id else None
                case _:
                    raise ValueError("it is not what kmodd writes")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s is dropped: %s", self._path, error)
            return None

    def store(self, seal: Seal) -> None:
        """Keep ``seal``, whole or not at all; a directory that takes nothing is told once."""
        content = {"boot_id": self._boot_id, "time": seal.time, "by": seal.by}
        _kept(self._path, json.dumps(content).encode(), self._complaint)


_Asked = tuple[frozenset[str], frozenset[str], frozenset[str]]
"""The names of all modules, of those that only loaders asked for, of those only wishes did."""


def _asked(data: bytes) -> tuple[str, _Asked]:
    """Return the boot's id and the names in ``data``; raises ValueError, KmoddError."""
    content = json.loads(data)
    match content:
        case {"boot_id": str(boot_id), "modules": [*names]}:
            by_loaders, by_wishes = content.get("by_loaders", []), content.get("by_wishes", [])
            return boot_id, (_names(names), _names(by_loaders), _names(by_wishes))
        case _:
            raise ValueError("it is not what kmodd writes")


class BootStore:
    """A file of facts that hold for one life of the kernel, over restarts of the daemon.

    It is in a directory that a reboot empties, and has the boot's id in it. Not for several threads
    at once.
    """

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id
        self._complaint = Complaint()

    def load(self) -> Mapping[str, object]:
        """Return what was stored last in this life of the kernel; nothing where that is nothing."""
        try:
            data = _read_own(self._path)
            content = json.loads(data) if data is not None else {}
            if not isinstance(content, dict):
                raise ValueError("it is not what kmodd writes")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s is dropped: %s", self._path, error)
            return {}
        return content if content.get("boot_id") == self._boot_id else {}

    def store(self, facts: Mapping[str, object]) -> None:
        """Keep ``facts``, which JSON has words for; a directory that takes nothing is told once."""
        content = {**facts, "boot_id": self._boot_id}
        _kept(self._path, json.dumps(content, indent=1).encode(), self._complaint)


class AppliedStore:
    """A directory with a file for each source of wishes that was applied, by its name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._complaint = Complaint()

    def load(self) -> dict[str, bytes]:
        """Return the texts by their names; what others could have written is dropped."""
        found: dict[str, bytes] = {}
        with suppress(FileNotFoundError, NotADirectoryError):
            for path in sorted(self.directory.glob("*.toml"))[:APPLIED_MAX]:
                try:
                    text = _read_own(path)
                except (OSError, ValueError) as error:
                    log.warning("%s is dropped: %s", path, error)
                else:
                    found |= {path.stem: text} if text is not None else {}
        return found

    def save(self, name: str, text: bytes) -> bool:
        """Keep a text, an empty one not; returns whether that is done."""
        path = self.directory / f"{name}.toml"
        if text:
            return _kept(path, text, self._complaint)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._complaint.make(path, error)
            return False
        return True


def _names(found: object) -> frozenset[str]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError("it is not what kmodd writes")
    return frozenset(map(check_query, found))


def _kept(path: Path, data: bytes, complaint: Complaint) -> bool:
    """Put ``data`` in the place of the file, whole or not at all; returns whether that was done."""
    try:
        _replace(path, data)
    except OSError as error:
        complaint.make(path, error)
        return False
    complaint.settle()
    return True


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with open(temporary, "wb", opener=_private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        if not temporary.is_symlink():  # which is not what was begun here
            temporary.unlink(missing_ok=True)
        raise


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
