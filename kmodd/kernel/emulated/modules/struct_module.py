# SPDX-License-Identifier: Apache-2.0
"""One module in the emulated kernel: the part of ``struct module`` that others look at."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kmodd.kernel.base import (
    EmulationReport,
    InitState,
    LoadedModule,
    ModuleDetails,
    ModuleState,
)
from kmodd.kernel.emulated.modules.layout import Layout
from kmodd.kernel.emulated.modules.param_table import ParameterTable
from kmodd.kernel.emulated.modules.section_files import SectionFiles
from kmodd.kernel.emulated.release.vmlinux import CoreSymbol
from kmodd.kernel.taints import in_order

FILE_MAX = 4095
"""Characters that a file of sysfs has room for."""

BASE_REFERENCE = 1
"""The reference that a module has of itself (MODULE_REF_BASE); a count of 0 means it is going."""


class State(enum.Enum):
    """A module's state (enum module_state). UNFORMED takes a name, and is seen by nobody."""

    UNFORMED = "unformed"
    COMING = "coming"
    LIVE = "live"
    GOING = "going"


_SHOWN = {
    State.COMING: ModuleState.COMING,
    State.LIVE: ModuleState.LIVE,
    State.GOING: ModuleState.GOING,
}


@dataclass(slots=True, eq=False)
class StructModule:
    """A module that is in the table, or wants to be. Guarded by the table's mutex.

    ``init_address`` is where the memory for init is, 0 where it has none (any more). ``count`` is
    the reference count with the base reference and, while init runs, one for that. ``users`` are
    the modules that use this one, the newest first; ``uses`` those that it uses, in the order in
    which it was found to. ``taints`` are the letters that it is marked with. ``init_symbol`` and
    ``exit_symbol`` are the symbols of those functions, None where there is none. ``files`` is what
    sysfs shows of its sections. ``why_not_run`` tells why its code does not run, ``stubbed`` which
    functions it called that nobody has modelled, ``suspects`` those that were called while its init
    ran, by whom ever, ``leaks`` what it had not given back when it went.
    """

    name: str
    init_symbol: int | None = None
    exit_symbol: int | None = None
    state: State = State.UNFORMED
    layout: Layout = field(default_factory=Layout)
    address: int = 0
    init_address: int = 0
    count: int = 0
    exports: Mapping[str, CoreSymbol] = field(default_factory=dict)
    users: list["StructModule"] = field(default_factory=list)
    uses: list["StructModule"] = field(default_factory=list)
    taints: set[str] = field(default_factory=set)
    parameters: ParameterTable = field(default_factory=ParameterTable)
    files: SectionFiles = field(default_factory=SectionFiles)
    version: str | None = None
    source_version: str | None = None
    init_ran: bool = False
    why_not_run: str = ""
    stubbed: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()

    @property
    def has_init(self) -> bool:
        """Whether the module has an init function."""
        return self.init_symbol is not None

    @property
    def has_exit(self) -> bool:
        """Whether the module has an exit function."""
        return self.exit_symbol is not None

    @property
    def is_permanent(self) -> bool:
        """Whether the module can only be unloaded by force: it has an init, but no exit."""
        return self.has_init and not self.has_exit

    @property
    def init_state(self) -> InitState:
        """Whether the module's own init has run."""
        if not self.has_init:
            return InitState.NONE
        return InitState.RAN if self.init_ran else InitState.NOT_RUN

    def as_listed(self) -> LoadedModule:
        """The module as a listing shows it; not for one that is UNFORMED."""
        size = self.layout.core
        if self.state is State.COMING:
            size += self.layout.init
        return LoadedModule(
            name=self.name,
            size=size,
            refcount=self.count - BASE_REFERENCE,
            holders=tuple(user.name for user in self.users),
            state=_SHOWN[self.state],
            permanent=self.is_permanent,
            address=self.address,
            taints=in_order(self.taints),
            report=self.report(),
        )

    def report(self) -> EmulationReport:
        """What there is to tell of the module beside what a listing shows."""
        return EmulationReport(self.init_state, self.why_not_run, self.stubbed, self.leaks)

    def details(self) -> ModuleDetails:
        """The module as its directory in /sys/module shows it, but for its parameters.

        Not for one that is UNFORMED.
        """
        return ModuleDetails(
            module=self.as_listed(),
            core_size=self.layout.core,
            init_size=self.layout.init if self.state is State.COMING else 0,
            version=in_a_file(self.version),
            source_version=in_a_file(self.source_version),
            sections=self.files.sections(),
            notes=self.files.notes,
        )


class Import(NamedTuple):
    """A symbol that a module takes; ``owner`` is None for one of the kernel itself."""

    name: str
    owner: StructModule | None


Imports = Mapping[int, Import]
"""What a module takes, by the index in its symbol table; nothing for a weak symbol that is missing.
"""


def in_a_file(text: str | None) -> str | None:
    """Return what a file of sysfs can show of ``text``: a page, less a line feed."""
    return text if text is None else text[:FILE_MAX]
