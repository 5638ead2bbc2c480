# SPDX-License-Identifier: Apache-2.0
"""Requests and the plans that they become."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kmodd.database import ModuleRecord
from kmodd.errors import KmoddError, LimitError, Reason, StateError
from kmodd.globs import PatternTable
from kmodd.kernel.base import InsertFlags
from kmodd.names import normalise_alias

MAX_STEPS = 16384
"""Steps that planning one request may take: a module listed, a name looked up. Debian's longest
load takes 38; what comes to more than this is a mistake or worse."""


class Cause(enum.Enum):
    """Why a step is in a plan."""

    NAMED = "named"
    DEPENDENCY = "dependency"
    SOFT = "soft"
    HOLDER = "holder"


@dataclass(frozen=True, slots=True)
class InsertStep:
    """Load one module; nothing to do where it is live already.

    ``parameters`` are for the kernel, in modprobe's order: those ``configured``, then those of the
    request. Where the step is not ``required``, its failure is passed over. ``first_time`` makes
    it a failure that somebody else loads the module meanwhile.
    """

    record: ModuleRecord
    parameters: str
    cause: Cause
    required: bool
    flags: InsertFlags
    configured: str = ""
    first_time: bool = False


@dataclass(frozen=True, slots=True)
class RemoveStep:
    """Unload one module; ``if_unused`` skips it when its refcount is not 0 at that moment.

    Where the step is not ``required``, its failure is passed over. ``force`` unloads even a module
    without an exit function (delete_module(2), O_TRUNC). ``first_time`` makes it a failure that
    somebody else unloads the module meanwhile.
    """

    name: str
    cause: Cause
    required: bool
    if_unused: bool
    force: bool = False
    first_time: bool = False


@dataclass(frozen=True, slots=True)
class CommandStep:
    """Run a command of the configuration in place of the system call.

    ``command`` is as written, and ``options`` is what it means by ``$CMDLINE_OPTS``, of which the
    first part is ``configured``. A command to install is skipped where ``module`` is live already;
    one to remove is not skipped.
    """

    module: str
    event: Literal["install", "remove"]
    command: str
    options: str
    cause: Cause
    required: bool
    configured: str = ""


@dataclass(frozen=True, slots=True)
class BuiltinStep:
    """Nothing to do: the kernel holds this module in itself."""

    name: str
    cause: Cause


Step = InsertStep | RemoveStep | CommandStep | BuiltinStep


def module_of(step: Step) -> str:
    """Return the module that a step is about."""
    match step:
        case InsertStep(record=record):
            return record.name
        case CommandStep(module=name) | RemoveStep(name=name) | BuiltinStep(name=name):
            return name


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps for one of the modules that the name asked for stands for.

    A load may list a module twice, as modprobe's own list does: the second time it is live.
    ``failure`` is what remains to be reported when the steps have run: that the module itself
    cannot be had, or is in use by more than the steps take away. ``passed_over`` are failures that
    change nothing but are told, as kmod tells those of soft dependencies that stay loaded.
    """

    asked: str
    target: str
    steps: tuple[Step, ...]
    via_alias: bool
    failure: KmoddError | None = None
    passed_over: tuple[KmoddError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """One name that modprobe is to load (modprobe(8)).

    ``parameters`` are for the named module alone. ``use_blacklist`` (-b) minds the blacklist for a
    module's own name too, not for aliases alone. ``ignore_commands`` (-i) leaves the named module's
    install command aside, and its soft dependencies with it. ``first_time`` fails where the module
    is in the kernel already. ``ignore_loaded`` (-D) plans as if the kernel held nothing.

    ``is_module`` takes the name for a module's own, which is not looked up. ``exact`` is kmod to
    the letter: of several ``softdep`` lines for a module the first counts alone, and a module that
    has any ignores its install command.
    """

    name: str
    parameters: str = ""
    is_module: bool = False
    use_blacklist: bool = False
    ignore_commands: bool = False
    first_time: bool = False
    ignore_loaded: bool = False
    exact: bool = False
    flags: InsertFlags = InsertFlags.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloadRequest:
    """One name that ``modprobe -r`` is to unload (modprobe(8)).

    ``ignore_commands`` (-i) leaves all remove commands and soft dependencies aside.
    ``first_time`` fails where the module is not loaded. ``remove_holders`` unloads the modules
    that use the named one first. ``ignore_loaded`` (-D) plans as if the named modules were loaded
    and unused. ``waits`` (-w) plans to unload what is in use, since that may change. ``force`` (-f)
    is for each removal. ``acts`` is for a plan that is carried out: what no module uses may have a
    reference that goes with the code that took it, so that its removal is tried. ``use_blacklist``
    changes nothing, as in modprobe.

    ``exact`` is kmod to the letter: of several ``softdep`` lines for a module the first counts
    alone, and what was only used by something unused stays loaded. A soft dependency that cannot
    be unloaded is told then, and with ``soft_matters`` it ends the removal (without -a).
    """

    name: str
    ignore_commands: bool = False
    first_time: bool = False
    remove_holders: bool = False
    use_blacklist: bool = False
    ignore_loaded: bool = False
    waits: bool = False
    acts: bool = False
    force: bool = False
    exact: bool = False
    soft_matters: bool = False


class DenyList:
    """Modules that are not to be loaded, not even for another that needs them; immutable.

    Unlike ``blacklist`` it is no hint for aliases: it decides, and says why.
    """

    __slots__ = ("_reasons", "is_empty")

    def __init__(self, entries: Iterable[tuple[str, str]] = ()) -> None:
        """``entries`` are patterns of module names, each with a reason for people.

        Raises RequestError for a pattern with a bracket that has no partner.
        """
        spelled = [(normalise_alias(pattern), reason) for pattern, reason in entries]
        self._reasons = PatternTable(spelled)
        self.is_empty = not spelled

    def denial(self, module: str, *, needed_by: str = "") -> StateError | None:
        """Return the error for a module that is denied (MODULE_DENIED, the reason as its detail).

        ``needed_by`` is the module that asks for it.
        """
        reason = self._reasons.first(module)
        if reason is None:
            return None
        needs = f"{needed_by} needs {module}, which" if needed_by else module
        why = f": {reason}" if reason else ""
        return StateError(
            Reason.MODULE_DENIED, f"{needs} is denied{why}", module=module, detail=reason
        )


class Budget:
    """What planning one request may still cost; for the thread that plans alone."""

    __slots__ = ("_left", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = MAX_STEPS

    def spend(self, cost: int) -> None:
        """Count what has been done; raises LimitError (LIMIT_REACHED) where no end is in sight."""
        self._left -= cost
        if self._left < 0:
            raise LimitError(
                Reason.LIMIT_REACHED,
                f"planning {self._name} takes more than {MAX_STEPS} steps",
                module=self._name,
            )
