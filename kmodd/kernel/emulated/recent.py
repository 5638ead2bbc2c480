# SPDX-License-Identifier: Apache-2.0
"""Module files that were loaded lately, with what was read of them.

A distribution's modules need a few hundred others over and over. Not to read these anew takes a
tenth off the time in which all modules are loaded with what they need (``tests.bench modules``).
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from kmodd.kernel.emulated.symbol_table import SymbolColumns
from kmodd.modulefile import ModuleFile

LARGEST = 2 << 20
"""Bytes of the largest image that is kept."""

ROOM = 12 << 20
"""Bytes of all images that are kept; what was read of them is less than that again."""


@dataclass(slots=True)
class OpenedFile:
    """A module's file; for one load at a time. ``symbols`` is read when it is first wanted."""

    module: ModuleFile
    _symbols: SymbolColumns | None = None

    def symbols(self) -> SymbolColumns:
        """Return its symbol table; raises ModuleFileError where that does not add up."""
        if self._symbols is None:
            self._symbols = SymbolColumns(self.module)
        return self._symbols


class RecentFiles:
    """The files by their images, the one used last at the end. ``_lock`` guards them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[bytes, OpenedFile] = OrderedDict()
        self._size = 0

    def take(self, image: bytes) -> OpenedFile:
        """Return the file with that image, which is the caller's alone until it is put back.

        Raises ModuleFileError for what is no module.
        """
        with self._lock:
            found = self._files.pop(image, None)
            if found is not None:
                self._size -= len(image)
                return found
        return OpenedFile(ModuleFile.parse(image))

    def put_back(self, image: bytes, file: OpenedFile) -> None:
        """Keep a file for the next load of it."""
        if len(image) > LARGEST:
            return
        with self._lock:
            if image not in self._files:
                self._size += len(image)
            self._files[image] = file
            while self._size > ROOM:
                oldest, _ = self._files.popitem(last=False)
                self._size -= len(oldest)
