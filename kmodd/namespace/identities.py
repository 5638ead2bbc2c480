# SPDX-License-Identifier: Apache-2.0
"""Which modules the files of a plan hold, and what is denied for it.

A file is looked into only where a deny list or a loader's lists ask for it.
"""

import os
from collections.abc import Callable
from pathlib import Path

from kmodd.database import Database, FileStamp, ModuleRecord
from kmodd.database.inventory import NO_STAMP
from kmodd.database.walk import full_path
from kmodd.errors import KmoddError, ModuleFileError
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.identity import Identity, read_identity
from kmodd.names import module_name, module_name_of_path
from kmodd.namespace.outdated import open_planned
from kmodd.plan import DenyList
from kmodd.records import record

MOST = 16_384
"""Files whose identities are kept at a time; Debian's tree has 4,023."""

Identify = Callable[[ModuleRecord], Identity]
"""Returns which module a record's file holds; raises ModuleFileError where it cannot be told."""


class Identities:
    """What was read of files, by their paths, while they are the same.

    May be used by any thread: an entry is put in as a whole, and may be lost.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[FileStamp, Identity]] = {}

    def of(self, record: ModuleRecord, directory: str) -> Identity:
        """Return which module the file of ``record`` holds, which is still the one of its stamp.

        The same is looked at again when the file is loaded. Raises ModuleFileError where it cannot
        be told, OutdatedFileError where the file is another by now.
        """
        path = full_path(directory, record.path)
        if record.stamp == NO_STAMP:  # of databases that tell of no stamps, and are only looked at
            return _read(path)
        stamp, identity = self._known.get(path, (NO_STAMP, None))
        if identity is None or stamp != record.stamp:
            identity = _read_planned(path, record.stamp)
            if len(self._known) >= MOST:
                self._known = {}
            self._known[path] = record.stamp, identity
        return identity


def identity_of_image(image: bytes, path: str) -> Identity:
    """Return which module ``image`` holds, which was read from ``path``; raises ModuleFileError."""
    with ModuleFile.parse(image, path=path) as file:
        return read_identity(file)


def check_image(deny: DenyList, image: bytes, path: str) -> None:
    """Raise what ``deny`` has against a module that was read from ``path``, as FileDenials has it.

    Raises StateError (MODULE_DENIED), ModuleFileError where nobody can tell which module it is.
    """
    if deny.is_empty:
        return
    named = module_name_of_path(path)
    identity = identity_of_image(image, path)
    name = named or module_name(identity.names[0])
    denial = deny.denial(name) or deny.denial_of_file(name, identity)
    if denial is not None:
        raise denial


@record
class FileDenials:
    """What ``deny`` has against modules of ``database``: by name, and by what their files hold."""

    deny: DenyList
    database: Database
    identify: Identify

    @property
    def is_empty(self) -> bool:
        """Whether nothing is denied."""
        return self.deny.is_empty

    def denial(self, module: str, *, needed_by: str = "") -> KmoddError | None:
        """Return why ``module`` is not to be loaded: denied, or nobody can tell which it is."""
        denial = self.deny.denial(module, needed_by=needed_by)
        record = self.database.module(module)
        if denial is not None or record is None:
            return denial
        try:
            identity = self.identify(record)
        except ModuleFileError as error:
            return error
        return self.deny.denial_of_file(module, identity, needed_by=needed_by)


def _read_planned(path: str, stamp: FileStamp) -> Identity:
    fd = open_planned(Path(path), stamp)
    try:
        with ModuleFile.from_fd(fd, path=path) as file:
            return read_identity(file)
    finally:
        os.close(fd)


def _read(path: str) -> Identity:
    try:
        with ModuleFile.open(path) as file:
            return read_identity(file)
    except OSError as error:
        raise ModuleFileError(path, error.strerror or str(error)) from None
