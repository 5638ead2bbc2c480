# SPDX-License-Identifier: Apache-2.0
"""The steps that a request becomes, and what planning them may cost."""

from __future__ import annotations

from kmodd.enums import Enum
from kmodd.errors import KmoddError, LimitError, Reason
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from kmodd.database import ModuleRecord
    from kmodd.kernel.loaded import InsertFlags

MAX_STEPS = 16384
"""Steps that planning one request may take: a module listed, a name looked up. Debian's longest
load takes 38; what comes to more than this is a mistake or worse."""


class Cause(Enum):
    """Why a step is in a plan."""

    NAMED = "named"
    DEPENDENCY = "dependency"
    SOFT = "soft"
    HOLDER = "holder"


@record
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


@record
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


@record
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


@record
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


@record
class Plan:
    """The steps for one of the modules that the name asked for stands for.

    A load may list a module twice, as modprobe's own list does: the second time it is live. One
    that is planned as if nothing were loaded lists it once where more soft dependencies count than
    kmod minds.
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


class StepBudget:
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
