# SPDX-License-Identifier: Apache-2.0
"""Module files that were loaded lately, with what was found out about them.

A distribution's modules need a few hundred others over and over: of the 14,000 loads by which
Debian's go in one after the other (``tests.bench modules``) 9,500 are of a file that is here. What
the file alone decides is found out at the first of them.
"""

import threading
from collections import OrderedDict
from copy import copy
from functools import cached_property

from kmodd.kernel.emulated.checks import Versions, symbol_versions
from kmodd.kernel.emulated.modules.headers import Candidate
from kmodd.kernel.emulated.modules.layout import Layout, lay_out
from kmodd.kernel.emulated.modules.param_table import ParameterTable, read_parameters
from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns, own_functions
from kmodd.kernel.emulated.release.vmlinux import CoreSymbol, Vmlinux
from kmodd.kernel.emulated.symbols import exported_symbols, wanted_symbols

LARGEST = 4 << 20
"""Bytes of the largest image that is kept. Those of mac80211 and cfg80211 have 2.5 MB, and a
hundred of Debian's modules need them."""

ROOM = 12 << 20
"""Bytes of all images that are kept; what was found out about them is up to twice that again."""


class OpenedFile:
    """A module's file in one kernel, once its headers were found to be in order.

    For one load at a time. Each part is found out when it is first wanted, and raises
    ModuleFileError where the file lies about it.
    """

    def __init__(self, candidate: Candidate, vmlinux: Vmlinux) -> None:
        self.candidate = candidate
        self.vmlinux = vmlinux
        self._versions: dict[bool, Versions] = {}
        self._layouts: dict[bool, Layout] = {}

    @cached_property
    def symbols(self) -> SymbolColumns:
        """Its symbol table."""
        return SymbolColumns(self.candidate.module)

    @cached_property
    def own_functions(self) -> tuple[int | None, int | None]:
        """The symbols of its init and exit."""
        return own_functions(self.candidate.module, self.symbols)

    @cached_property
    def wanted(self) -> tuple[tuple[int, str], ...]:
        """The symbols that it does not define, by their index and name."""
        return wanted_symbols(self.candidate.module, self.symbols)

    @cached_property
    def exports(self) -> dict[str, CoreSymbol]:
        """What it exports."""
        return exported_symbols(self.candidate)

    def versions(self, *, ignored: bool) -> Versions:
        """Return the versions of symbols that it was built against."""
        if ignored not in self._versions:
            self._versions[ignored] = symbol_versions(self.candidate, ignored=ignored)
        return self._versions[ignored]

    def layout(self, *, versions_ignored: bool) -> Layout:
        """Return how it is laid out in memory."""
        if versions_ignored not in self._layouts:
            self._layouts[versions_ignored] = lay_out(
                self.candidate.module,
                self.vmlinux,
                self.symbols,
                versions_ignored=versions_ignored,
            )
        return self._layouts[versions_ignored]

    def parameters(self) -> ParameterTable:
        """Return its parameters as they are before anybody has set one."""
        found = self._parameters
        return ParameterTable([copy(each) for each in found], found.bits)

    @cached_property
    def _parameters(self) -> ParameterTable:
        return read_parameters(self.candidate.module, self.symbols)


class RecentFiles:
    """The files by their images, the one used last at the end; all of one Vmlinux.

    ``_lock`` guards the fields.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vmlinux: Vmlinux | None = None
        self._files: OrderedDict[bytes, OpenedFile] = OrderedDict()
        self._size = 0

    def take(self, image: bytes, vmlinux: Vmlinux) -> OpenedFile | None:
        """Return the file with that image, which is the caller's alone until it is put back."""
        with self._lock:
            self._keep_those_of(vmlinux)
            found = self._files.pop(image, None)
            if found is not None:
                self._size -= len(image)
        return found

    def put_back(self, image: bytes, file: OpenedFile) -> None:
        """Keep a file for the next load of it."""
        if len(image) > LARGEST:
            return
        with self._lock:
            self._keep_those_of(file.vmlinux)
            if image not in self._files:
                self._size += len(image)
            self._files[image] = file
            while self._size > ROOM:
                oldest, _ = self._files.popitem(last=False)
                self._size -= len(oldest)

    def _keep_those_of(self, vmlinux: Vmlinux) -> None:
        """Forget what was found out in a kernel that has changed since."""
        if vmlinux is not self._vmlinux:
            self._vmlinux, self._size = vmlinux, 0
            self._files.clear()
