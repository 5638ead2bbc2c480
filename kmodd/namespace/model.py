# SPDX-License-Identifier: Apache-2.0
"""What the namespace is asked, and what it answers."""

from dataclasses import dataclass

from kmodd.access.caller import DAEMON, Caller
from kmodd.errors import KmoddError
from kmodd.kernel.base import LoadedModule
from kmodd.namespace.flights import Running
from kmodd.namespace.holds import Hold
from kmodd.namespace.parameters import IgnoredParameter
from kmodd.namespace.runner import StepOutcome
from kmodd.plan import DenyList
from kmodd.trees import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a request says beside what it is for.

    ``release`` names the tree, "" for the kernel's own. ``dry_run`` plans and does nothing, and an
    unload is planned as if ``assumed`` were loaded where that is not None.
    ``token`` is that of the operation whose command makes the request, and counts for more than
    the ``caller``. The rest is as in Manner.
    """

    release: str = ""
    dry_run: bool = False
    assumed: tuple[LoadedModule, ...] | None = None
    token: str = ""
    caller: Caller = DAEMON
    wait: float = 0.0
    nested_options: str = ""


USUAL = Call()
"""A request that says nothing special."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one name: the modules it stands for, the steps, and the failure if any.

    Of several modules the last one decides; ``others`` are the failures of those before it, by
    module. ``problems`` are those of the configuration, ``ignored`` the parameters given in vain.
    """

    name: str
    targets: tuple[str, ...]
    steps: tuple[StepOutcome, ...]
    error: KmoddError | None = None
    others: tuple[tuple[str, KmoddError], ...] = ()
    problems: tuple[str, ...] = ()
    ignored: tuple[IgnoredParameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Basis:
    """What a load that finds nothing to do has looked at, beside what it was asked.

    Each is replaced as a whole when it changes, so the same objects are the same state.
    """

    generation: Generation | None
    modules: tuple[LoadedModule, ...]
    deny: DenyList
    exact: bool

    def is_same(self, other: "Basis") -> bool:
        """Tell whether nothing has changed between the two."""
        return (
            self.generation is other.generation
            and self.modules is other.modules
            and self.deny is other.deny
            and self.exact is other.exact
        )


@dataclass(frozen=True, slots=True)
class Activity:
    """What goes on at one moment: operations, holds, how many follow the events, and the
    revisions from which one can: the earliest, and the one of the last event.
    """

    operations: tuple[Running, ...]
    holds: tuple[Hold, ...]
    watches: int
    revisions: tuple[int, int]
