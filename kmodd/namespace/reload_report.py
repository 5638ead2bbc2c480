# SPDX-License-Identifier: Apache-2.0
"""What is asked of a reload, and what became of it."""

import enum

from kmodd.errors import KmoddError
from kmodd.namespace.carried_parameters import CarriedParameters
from kmodd.namespace.outcome import StepOutcome
from kmodd.plan.reload import ReloadCause
from kmodd.records import field, record


@record(kw_only=True)
class ReloadRequest:
    """The modules ``names``, and with ``outdated`` those whose files are of other builds by now.

    With ``force_holders`` holds are no hindrance: they last over it.
    """

    names: tuple[str, ...] = ()
    outdated: bool = False
    force_holders: bool = False


class Fate(enum.Enum):
    """What became of a module.

    PLANNED: nothing yet. RELOADED: it is what its file is. NEEDLESS: another operation has seen to
    it. STAYED: it was not taken out. PUT_BACK: it is the build that it was, since the one in its
    file is refused. LOST: it is not in the kernel any more.
    """

    PLANNED = "planned"
    RELOADED = "reloaded"
    NEEDLESS = "needless"
    STAYED = "stayed"
    PUT_BACK = "put back"
    LOST = "lost"


@record(kw_only=True)
class ReloadedModule:
    """One module of a reload, by what plans call it.

    ``error`` is why it is not reloaded, and ``note`` what there is to say beside that. ``path`` is
    the file that it comes from, "" where it stays. ``parameters`` are those that it had.
    """

    name: str
    cause: ReloadCause
    fate: Fate
    error: KmoddError | None = None
    note: str = ""
    path: str = ""
    parameters: CarriedParameters = field(default_factory=CarriedParameters)


@record
class ReloadReport:
    """What became of a reload, or would: the modules in the order in which they go, then those
    that stay; and all steps. ``problems`` are the configuration's.
    """

    modules: tuple[ReloadedModule, ...]
    steps: tuple[StepOutcome, ...]
    problems: tuple[str, ...] = ()
