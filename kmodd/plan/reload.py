# SPDX-License-Identifier: Apache-2.0
"""Which modules are taken out and put in again for those that are to be reloaded, in which order.

A module can go only once nothing uses it. So whatever uses one goes with it, and is put in again
after it; and where one of these has to stay, so has all that it uses.
"""

from __future__ import annotations

from kmodd.enums import Enum
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kmodd.kernel.loaded import LoadedModule


class ReloadCause(Enum):
    """Why a module is reloaded: it was named, its file is another, or it uses one of these."""

    NAMED = "named"
    OUTDATED = "outdated"
    USER = "user"


@record
class ReloadPlan:
    """What goes and what stays.

    ``order`` are the modules that go, each after all that use it. ``causes`` has why each of them
    does, and of those that ``stay`` though they were to go, each with what is against it.
    """

    order: tuple[str, ...]
    causes: Mapping[str, ReloadCause]
    stay: Mapping[str, KmoddError]


def plan_reload(
    wanted: Mapping[str, ReloadCause],
    loaded: Mapping[str, LoadedModule],
    objection: Callable[[str], KmoddError | None],
) -> ReloadPlan:
    """Plan to reload the modules that are ``wanted``, each for a cause; names are plans' own.

    ``objection`` returns what is against taking out a module and putting it in again, its users
    left aside; it is asked once for each.
    """
    known: dict[str, KmoddError | None] = {}
    going: dict[str, None] = {}
    stay: dict[str, KmoddError] = {}
    for name in wanted:
        users = users_first(name, loaded)
        for each in users:
            if each not in known:
                known[each] = objection(each)
        against = next((each for each in reversed(users) if known[each] is not None), None)
        if against is None:
            going.update(dict.fromkeys(users))
        else:
            stay[name] = _reason(name, against, known[against])
    found: dict[str, None] = {}
    for name in going:
        found.update(dict.fromkeys(each for each in users_first(name, loaded)))
    causes = {name: wanted.get(name, ReloadCause.USER) for name in (*found, *stay)}
    return ReloadPlan(tuple(found), causes, stay)


def users_first(name: str, loaded: Mapping[str, LoadedModule]) -> tuple[str, ...]:
    """Return a module and all that use it, over whatever others, each after all that use it."""
    found: dict[str, None] = {}
    entered: set[str] = set()
    stack = [(name, False)]
    while stack:
        each, is_done = stack.pop()
        if is_done:
            found[each] = None
            continue
        if each in entered:
            continue
        entered.add(each)
        stack.append((each, True))
        module = loaded.get(each)
        stack += [(user, False) for user in reversed(module.holders if module else ())]
    return tuple(found)


def _reason(name: str, against: str, error: KmoddError | None) -> KmoddError:
    """Return why ``name`` stays for what is against its user ``against``, or itself."""
    assert error is not None
    if against == name:
        return error
    what = f"module {name} is in use by {against}, which stays: {error.message}"
    return StateError(Reason.MODULE_IN_USE, what, module=name, detail=against)
