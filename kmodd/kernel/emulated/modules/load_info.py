# SPDX-License-Identifier: Apache-2.0
"""What is found out about a module's file on its way into the kernel (struct load_info)."""

from copy import copy
from functools import cached_property

from kmodd.kernel.emulated.modules.candidate import Candidate
from kmodd.kernel.emulated.modules.layout import Layout, lay_out
from kmodd.kernel.emulated.modules.param_table import ParameterTable, read_parameters
from kmodd.kernel.emulated.modules.symbol_table import (
    SymbolColumns,
    exported_symbols,
    own_functions,
    wanted_symbols,
)
from kmodd.kernel.emulated.modules.versions import Versions, symbol_versions
from kmodd.kernel.emulated.release.vmlinux import CoreSymbol, Vmlinux


class LoadInfo:
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
