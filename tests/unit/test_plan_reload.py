# SPDX-License-Identifier: Apache-2.0
"""What goes for a reload, and in which order, whatever uses what."""

import random

import pytest

from kmodd.errors import KmoddError, Reason, StateError
from kmodd.kernel.loaded import LoadedModule
from kmodd.plan.reload import ReloadCause, plan_reload, users_first

SEEDS = range(40)


def machine(seed: int) -> dict[str, LoadedModule]:
    """Modules of which each is used by some that have come after it."""
    chance = random.Random(seed)
    names = [f"m{number}" for number in range(chance.randint(1, 14))]
    return {
        name: LoadedModule(name, 1, len(users), tuple(users))
        for at, name in enumerate(names)
        for users in [[user for user in names[at + 1 :] if chance.random() < 0.3]]
    }


def users_of(name: str, loaded: dict[str, LoadedModule]) -> set[str]:
    found: set[str] = set()
    left = [name]
    while left:
        found.add(each := left.pop())
        left += set(loaded[each].holders) - found
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_users_go_first_and_whatever_one_that_stays_uses_stays(seed: int) -> None:
    loaded = machine(seed)
    chance = random.Random(seed)
    wanted = dict.fromkeys(
        chance.sample([*loaded], chance.randint(1, len(loaded))), ReloadCause.NAMED
    )
    stuck = {name for name in loaded if chance.random() < 0.15}
    asked: list[str] = []

    def objection(name: str) -> KmoddError | None:
        asked.append(name)
        return StateError(Reason.MODULE_HELD, f"{name} is held") if name in stuck else None

    plan = plan_reload(wanted, loaded, objection)
    can_go = {name for name in wanted if not users_of(name, loaded) & stuck}
    assert set(plan.stay) == wanted.keys() - can_go
    assert set(plan.order) == {user for name in can_go for user in users_of(name, loaded)}
    assert len(set(plan.order)) == len(plan.order)
    for at, name in enumerate(plan.order):
        assert set(loaded[name].holders) <= set(plan.order[:at])
        is_named = plan.causes[name] is ReloadCause.NAMED
        assert is_named is (name in wanted)
    assert len(set(asked)) == len(asked)
    for name, error in plan.stay.items():
        held = error.reason is Reason.MODULE_HELD
        assert held is (name in stuck)
        assert held or error.detail in stuck


def test_modules_that_use_each_other_are_no_endless_way() -> None:
    loaded = {
        "a": LoadedModule("a", 1, 1, ("b",)),
        "b": LoadedModule("b", 1, 1, ("a",)),
    }
    assert users_first("a", loaded) == ("b", "a")
    assert users_first("nobody", loaded) == ("nobody",)
    long = {f"m{n}": LoadedModule(f"m{n}", 1, 1, (f"m{n + 1}",)) for n in range(5000)}
    assert len(users_first("m0", long)) == 5001
