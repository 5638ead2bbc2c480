# SPDX-License-Identifier: Apache-2.0
"""What became of a request to load or to unload, step by step."""

from kmodd.errors import KmoddError
from kmodd.kernel.base import EmulationReport
from kmodd.namespace.commands import CommandOutput
from kmodd.namespace.parameters import IgnoredParameter
from kmodd.plan import Cause, RemoveStep, Step
from kmodd.records import record


@record
class StepOutcome:
    """A step of a plan, and what became of it; ``path`` is the file that it inserts.

    A step is ``done`` when it took effect, ``needless`` when there was nothing to do, and neither
    when it failed or was only planned. One that was ``undone`` took effect and was taken back.
    ``output`` is what a command wrote, ``report`` what an emulation had to tell of a module that it
    has removed. ``target`` is the module that its plan is for.
    """

    step: Step
    path: str = ""
    done: bool = False
    needless: bool = False
    undone: bool = False
    output: CommandOutput | None = None
    report: EmulationReport | None = None
    target: str = ""


@record
class Outcome:
    """What became of one name: the modules it stands for, the steps, and the failure if any.

    Of several modules the last one decides; ``others`` are the failures of those before it, by
    module. ``problems`` are those of the configuration, ``ignored`` the parameters given in vain,
    ``blacklisted`` the modules that the name stands for and a blacklist keeps from being loaded.
    """

    name: str
    targets: tuple[str, ...]
    steps: tuple[StepOutcome, ...]
    error: KmoddError | None = None
    others: tuple[tuple[str, KmoddError], ...] = ()
    problems: tuple[str, ...] = ()
    ignored: tuple[IgnoredParameter, ...] = ()
    blacklisted: tuple[str, ...] = ()

    @property
    def unnamed(self) -> tuple[str, ...]:
        """The modules that were unloaded along with others."""
        along = (Cause.DEPENDENCY, Cause.SOFT)
        done = (each.step for each in self.steps if each.done)
        return tuple(
            step.name for step in done if isinstance(step, RemoveStep) and step.cause in along
        )
