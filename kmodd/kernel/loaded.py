# SPDX-License-Identifier: Apache-2.0
"""What a kernel tells of the modules that it has loaded, and how one is asked to load another.

They are a part of what is asked of a kernel (``kmodd.kernel.base``), and all that a plan knows of
one.
"""

from __future__ import annotations

from kmodd.enums import Enum, IntFlag
from kmodd.records import record


class ModuleState(Enum):
    """A module's state as /proc/modules words it."""

    LIVE = "Live"
    COMING = "Loading"
    GOING = "Unloading"


class InitState(Enum):
    """Whether the module's own init function has run."""

    RAN = "ran"
    NOT_RUN = "not run"
    NONE = "none"


class InsertFlags(IntFlag):
    """The flags of finit_module(2), but for the one about compression."""

    NONE = 0
    IGNORE_MODVERSIONS = 1
    IGNORE_VERMAGIC = 2


@record
class EmulationReport:
    """What an emulation can tell of a module and of its code, and no machine's kernel does.

    ``why_not_run`` tells why its own code does not run, "" where it does. ``stubbed`` are the
    functions of the kernel that it called and that nobody has modelled, ``leaks`` what it had
    taken and not given back when it was gone.
    """

    init: InitState
    why_not_run: str = ""
    stubbed: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()


@record
class LoadedModule:
    """One loaded module, as a line of /proc/modules and its /sys/module directory tell it.

    ``size`` is in bytes. ``holders`` are the modules that use this one, in the kernel's order.
    ``permanent`` marks a module that cannot be unloaded. ``taints`` are the letters of the
    taints that the module brought, without parentheses. ``report`` is None on a machine's kernel.
    """

    name: str
    size: int
    refcount: int
    holders: tuple[str, ...]
    state: ModuleState = ModuleState.LIVE
    permanent: bool = False
    address: int = 0
    taints: str = ""
    report: EmulationReport | None = None

    def proc_line(self) -> str:
        """The module's line of /proc/modules, without a newline (kernel/module/procfs.c)."""
        users = "".join(f"{holder}," for holder in self.holders)
        if self.permanent:
            users += "[permanent],"
        mark = {ModuleState.COMING: "+", ModuleState.GOING: "-"}.get(self.state, "")
        taints = f" ({self.taints}{mark})" if self.taints or mark else ""
        return (
            f"{self.name} {self.size} {self.refcount} {users or '-'} "
            f"{self.state.value} {self.address:#018x}{taints}"
        )
