# SPDX-License-Identifier: Apache-2.0
"""A machine that is kept as it is wished to be, on an emulated kernel."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.access.caller import Caller, Role
from kmodd.errors import KernelError, KmoddError, Reason, RequestError
from kmodd.namespace import AuditTrail, RequestContext, state_keeper
from kmodd.namespace.pauses import Pauses
from kmodd.namespace.state_keeper import StateKeeper
from kmodd.namespace.wish_memory import WishMemory
from kmodd.plan import DenyList, LoadRequest, UnloadRequest
from kmodd.state import AppliedStore, BootStore
from tests.support.daemon import wait_until
from tests.support.modules import module_tree
from tests.support.small_tree import add_graph, add_module, empty_tree
from tests.support.tree import ModuleTree
from tests.support.wishes import KeptMachine, kept_machine, wishes

PERSON = RequestContext(caller=Caller("/run/admin", Role.ADMIN))


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    """top needs leaf; alone stands alone; soft wants alone first."""
    tree = empty_tree(tmp_path / "root")
    add_graph(tree, [("top", "leaf")])
    add_module(tree, "kernel/alone.ko")
    add_module(tree, "kernel/soft.ko", softdeps=["pre: alone"])
    return tree


@pytest.fixture
def machine(tree: ModuleTree, tmp_path: Path) -> Iterator[KeptMachine]:
    audit = AuditTrail(tmp_path / "audit")
    store = AppliedStore(tmp_path / "applied")
    with kept_machine(tree, tmp_path / "state.d", store=store, audit=audit) as kept:
        yield kept


@pytest.fixture
def greeter(tmp_path: Path) -> Iterator[KeptMachine]:
    """One with the modules of tests/modules, of which greet has parameters."""
    with kept_machine(module_tree(tmp_path / "root"), tmp_path / "state.d") as kept:
        yield kept


def load(machine: KeptMachine, name: str) -> None:
    assert machine.namespace.load(LoadRequest(name=name), PERSON).error is None
    machine.settle()


def unload(machine: KeptMachine, name: str) -> KmoddError | None:
    error = machine.namespace.unload(UnloadRequest(name=name), PERSON).error
    machine.settle()
    return error


def test_what_is_wished_is_loaded_and_what_is_not_to_be_there_is_unloaded(
    machine: KeptMachine, tmp_path: Path
) -> None:
    load(machine, "alone")
    machine.wish(wishes("top loaded", "alone absent", "nosuch loaded"))
    assert machine.loaded() == {"top", "leaf"}
    directory = machine.trees.directory / machine.trees.release
    assert machine.told() == {
        "top": "done",
        "alone": "done",
        "nosuch": f"impossible: module nosuch not found in directory {directory}",
    }
    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert [(line["action"], line["what"], line.get("origin", "")) for line in lines] == [
        ("load", "alone", ""),
        ("remove", "alone", "state"),
        ("load", "top", "state"),
    ]


def test_a_wish_that_is_no_more_takes_along_what_was_loaded_for_it(machine: KeptMachine) -> None:
    load(machine, "alone")
    machine.wish(wishes("top loaded", "alone loaded"))
    machine.wish("")
    assert machine.loaded() == {"alone", "leaf"}  # what somebody asked for, and what was needed


def test_what_somebody_asked_for_meanwhile_stays(machine: KeptMachine) -> None:
    machine.wish(wishes("top loaded"))
    load(machine, "top")
    machine.wish("")
    assert machine.loaded() == {"top", "leaf"}


def test_what_a_person_unloads_stays_away_and_is_told_until_it_is_there_again(
    machine: KeptMachine,
) -> None:
    machine.wish(wishes("alone loaded", "top loaded enforce"))
    assert unload(machine, "alone") is None
    assert machine.told()["alone"] == "drifted: it was unloaded by hand"
    load(machine, "alone")
    assert machine.told()["alone"] == "done"
    assert unload(machine, "alone") is None
    machine.wish(wishes("alone loaded reload", "top loaded enforce"))  # it is another wish now
    assert "alone" in machine.loaded()


def test_what_is_enforced_comes_back_at_once_and_then_ever_later(machine: KeptMachine) -> None:
    machine.wish(wishes("alone loaded enforce"))
    assert unload(machine, "alone") is None
    # It was loaded just now, so this is the second time, which is put off.
    assert machine.told()["alone"] == "pending"
    wait_until(lambda: "alone" in machine.loaded())


def test_what_went_along_with_another_comes_back_and_what_came_along_goes(
    machine: KeptMachine,
) -> None:
    load(machine, "top")
    machine.wish(wishes("leaf loaded"))
    assert unload(machine, "top") is None  # and leaf with it
    wait_until(lambda: machine.loaded() == {"leaf"})
    machine.wish(wishes("leaf absent"))
    assert machine.loaded() == set()
    load(machine, "top")
    assert machine.told()["leaf"] == "waiting: it is in use by top"
    machine.namespace.remove("top", PERSON)
    wait_until(lambda: machine.loaded() == set())


def test_what_the_end_of_a_hold_unloads_comes_back(machine: KeptMachine) -> None:
    with machine.namespace.hold([LoadRequest(name="alone")], PERSON, unload=True):
        machine.wish(wishes("alone loaded"))
    wait_until(lambda: machine.told() == {"alone": "done"})
    assert machine.loaded() == {"alone"}


def test_what_a_person_loads_stays_unless_it_is_denied(machine: KeptMachine) -> None:
    machine.wish(wishes("alone absent", "leaf denied"))
    load(machine, "alone")
    assert machine.told()["alone"] == "drifted: it was loaded by hand"
    for name in ("leaf", "top"):
        error = machine.namespace.load(LoadRequest(name=name), PERSON).error
        assert error is not None
        assert error.reason is Reason.MODULE_DENIED
        assert error.detail == f"{machine.directory}/a.toml:4 wishes so"
    machine.wish("")
    load(machine, "top")


def test_a_module_in_use_is_unloaded_once_it_is_not(machine: KeptMachine) -> None:
    load(machine, "alone")
    file = machine.kernel.hold("alone")
    assert file
    machine.wish(wishes("alone absent"))
    assert machine.told()["alone"] == "waiting: it is in use"
    machine.kernel.release_hold("alone")
    wait_until(lambda: machine.loaded() == set())


def test_what_another_module_uses_goes_when_that_has_gone(machine: KeptMachine) -> None:
    load(machine, "top")
    machine.wish(wishes("leaf absent"))
    assert machine.told()["leaf"] == "waiting: it is in use by top"
    machine.wish(wishes("leaf absent", "top absent"))
    assert machine.loaded() == set()


def test_what_somebody_holds_is_not_touched(machine: KeptMachine) -> None:
    requests = [LoadRequest(name="alone")]
    with machine.namespace.hold(requests, PERSON, unload=False, note="me"):
        machine.wish(wishes("alone absent"))
        assert machine.told()["alone"] == "waiting: it is held by hold 1 of me"
    wait_until(lambda: machine.loaded() == set())


def test_a_held_module_is_not_unloaded_and_its_hold_can_be_ended(machine: KeptMachine) -> None:
    machine.wish(wishes("alone held"))
    error = unload(machine, "alone")
    assert error is not None
    assert (error.reason, error.detail) == (Reason.MODULE_HELD, "hold 1 of state")
    assert machine.namespace.end_hold(1, PERSON).closed.wait(60)
    machine.settle()
    assert machine.told()["alone"] == "drifted: its hold was ended by hand"
    assert unload(machine, "alone") is None
    machine.wish(wishes("alone held enforce"))
    assert unload(machine, "alone") is not None
    machine.wish(wishes("alone loaded"))
    assert machine.told()["alone"] == "done"
    assert not machine.namespace.activity().holds


def test_what_a_person_undoes_is_as_wished_for_the_memory_of_a_later_daemon(
    tree: ModuleTree, tmp_path: Path
) -> None:
    place = tmp_path / "memory"
    with kept_machine(tree, tmp_path / "w", memory=WishMemory(BootStore(place, "b"))) as first:
        first.wish(wishes("alone loaded", "top loaded"))
        assert unload(first, "alone") is None
        first.settle()
    with kept_machine(tree, tmp_path / "w", memory=WishMemory(BootStore(place, "b"))) as second:
        second.settle()
        assert second.loaded() == {"top", "leaf"}
    with kept_machine(tree, tmp_path / "w", memory=WishMemory(BootStore(place, "c"))) as later:
        later.settle()
        assert later.loaded() == {"top", "leaf", "alone"}


def test_a_module_that_comes_into_the_tree_is_loaded(
    machine: KeptMachine, tree: ModuleTree
) -> None:
    machine.wish(wishes("late loaded"))
    assert machine.told()["late"].startswith("impossible: module late not found")
    add_module(tree, "kernel/late.ko")
    machine.trees.rebuild()
    machine.settle()
    assert "late" in machine.loaded()


def test_what_fails_is_not_tried_again_until_the_tree_is_another(
    machine: KeptMachine, tree: ModuleTree, tmp_path: Path
) -> None:
    config = tree.root / "etc/modprobe.d/bad.conf"
    config.parent.mkdir(parents=True)
    config.write_text("install leaf /bin/false\n")
    machine.trees.rebuild()
    machine.wish(wishes("leaf loaded", "alone loaded"))
    assert machine.told()["leaf"].startswith("impossible: ")
    assert machine.loaded() == {"alone"}
    load(machine, "soft")

    def attempts() -> int:
        lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
        return sum(line["what"] == "leaf" for line in lines)

    assert attempts() == 1
    config.unlink()
    machine.trees.rebuild()
    wait_until(lambda: "leaf" in machine.loaded())
    wait_until(lambda: attempts() == 2)


def test_a_load_that_the_kernel_dies_of_is_tried_once_more(
    machine: KeptMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def dies(*_: object) -> None:
        attempts.append(1)
        raise KernelError(Reason.KERNEL_PANIC, "it died")

    monkeypatch.setattr(machine.kernel, "finit_module", dies)
    monkeypatch.setattr(machine.kernel, "init_module", dies)
    machine.wish(wishes("alone loaded"))
    wait_until(lambda: machine.told() == {"alone": "impossible: it died"})
    assert len(attempts) == 2


def test_what_the_settings_deny_is_told(tree: ModuleTree, tmp_path: Path) -> None:
    deny = DenyList([("alone", "it is old")])
    with kept_machine(tree, tmp_path / "w", deny=deny) as machine:
        machine.wish(wishes("alone loaded", "top loaded"))
        assert machine.told() == {"alone": "impossible: alone is denied: it is old", "top": "done"}


def test_a_soft_dependency_that_is_not_to_be_there_goes_again(machine: KeptMachine) -> None:
    machine.wish(wishes("soft loaded", "alone absent"))
    wait_until(lambda: machine.loaded() == {"soft"})
    assert machine.told() == {"soft": "done", "alone": "done"}


def test_a_text_that_is_wrong_leaves_all_as_it_was(machine: KeptMachine) -> None:
    machine.wish(wishes("alone loaded"))
    machine.wish("[[module]]\nname = 'top'\nstate = 'absnt'\n")
    assert machine.loaded() == {"alone"}
    (source,) = machine.keeper.state.sources
    assert source.problems == (
        f"{machine.directory}/a.toml:3: state is one of loaded, absent, denied, held, not 'absnt'",
    )
    assert machine.told() == {"alone": "done"}


def test_nothing_is_unloaded_while_a_source_is_wrong(machine: KeptMachine) -> None:
    machine.wish(wishes("alone loaded"))
    machine.wish(wishes("top loaded"), "b.toml")
    (machine.directory / "a.toml").unlink()
    machine.wish("wrong", "b.toml")
    assert machine.loaded() == {"alone", "top", "leaf"}
    assert machine.told()["alone"].startswith("drifted: nobody wishes it any more")
    machine.wish(wishes("top loaded"), "b.toml")
    assert machine.loaded() == {"top", "leaf"}


def test_parameters_are_given_set_back_and_reloaded_for(greeter: KeptMachine) -> None:
    greeter.wish(wishes("greet loaded times=0x3 whom=you reload"))

    def shown(name: str) -> str | None:
        return greeter.namespace.shown_parameters("greet")[name].value

    assert (shown("times"), shown("whom")) == ("3", "you")
    greeter.namespace.set_parameter("greet", "times", "9", PERSON)
    greeter.keeper.refreshed()
    wait_until(lambda: shown("times") == "3")
    greeter.wish(wishes("greet loaded times=3 whom=all reload"))
    wait_until(lambda: shown("whom") == "all")
    greeter.wish(wishes("greet loaded times=3 whom=none"))
    assert greeter.told()["greet"] == "drifted: whom can only be given to a load"
    greeter.wish(wishes("greet loaded tims=3"))
    assert greeter.told()["greet"] == "impossible: module greet has no parameter tims"
    greeter.wish(wishes("greet loaded times=often"))
    assert greeter.told()["greet"] == "impossible: `often' invalid for parameter `times' of greet"
    assert "greet" in greeter.loaded()


def test_a_reload_waits_until_nothing_uses_the_module(greeter: KeptMachine) -> None:
    load(greeter, "world")
    greeter.wish(wishes("greet held whom=you reload"))
    assert greeter.told()["greet"] == (
        "waiting: whom can only be given to a load, and it is in use by world"
    )
    assert unload(greeter, "world") is None
    wait_until(lambda: greeter.told()["greet"] == "done")
    assert greeter.namespace.shown_parameters("greet")["whom"].value == "you"
    assert [hold.note for hold in greeter.namespace.activity().holds] == ["state"]


def test_a_tick_finds_what_nobody_tells_of(greeter: KeptMachine) -> None:
    greeter.wish(wishes("greet loaded times=3"))
    revision = greeter.keeper.state.revision
    greeter.keeper.tick()
    greeter.settle()
    assert greeter.keeper.state.revision == revision
    greeter.kernel.set_parameter("greet", "times", "9")
    greeter.keeper.tick()
    wait_until(lambda: greeter.namespace.shown_parameters("greet")["times"].value == "3")
    file = greeter.directory / "b.toml"
    file.write_text("[[mod")
    greeter.keeper.tick()
    greeter.settle()
    assert len(greeter.keeper.state.sources) == 1  # whoever writes it may not be done
    file.write_text(wishes("hello loaded"))
    greeter.keeper.tick()
    greeter.keeper.tick()
    greeter.settle()
    assert "hello" in greeter.loaded()


def test_applied_wishes_come_last_are_kept_and_make_up_for_what_was_done_by_hand(
    machine: KeptMachine, tree: ModuleTree, tmp_path: Path
) -> None:
    machine.wish(wishes("alone absent", "top loaded"))
    text = wishes("alone loaded").encode()
    planned = machine.keeper.planned("mine", text)
    (move,) = next(each.moves for each in planned.findings if each.name == "alone")
    assert (move.kind.value, move.name) == ("load", "alone")
    assert "alone" not in machine.loaded()
    state = machine.keeper.apply("mine", text, PERSON)
    assert [(source.name, source.applied) for source in state.sources] == [
        (f"{machine.directory}/a.toml", False),
        ("mine", True),
    ]
    assert {each.name: each.standing.value for each in state.findings} == {
        "alone": "done",
        "top": "done",
    }
    assert unload(machine, "alone") is None
    assert "alone" not in machine.loaded()
    machine.keeper.apply("mine", text, PERSON)
    assert "alone" in machine.loaded()
    with kept_machine(tree, tmp_path / "none", store=AppliedStore(tmp_path / "applied")) as later:
        later.settle()
        assert later.loaded() == {"alone"}
        later.keeper.apply("mine", b"", PERSON)
        assert later.loaded() == set()
        assert AppliedStore(tmp_path / "applied").load() == {}


@pytest.mark.parametrize(
    ("source", "text", "message"),
    [
        ("mine", b"[[module]]\nname=1", "mine:2: name is a module's own name"),
        ("../mine", b"", "'../mine' cannot be what a source of wishes is called"),
        ("", b"", "'' cannot be what a source of wishes is called"),
    ],
)
def test_what_is_wrong_is_not_applied(
    machine: KeptMachine, source: str, text: bytes, message: str
) -> None:
    for attempt in (machine.keeper.apply, machine.keeper.planned):
        with pytest.raises(RequestError) as refused:
            attempt(source, text)
        assert refused.value.message.startswith(message)
        assert refused.value.reason is Reason.INVALID_REQUEST
    assert machine.keeper.state.sources == ()


def test_at_rest_it_wakes_for_nothing(
    machine: KeptMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"m{at} absent" for at in range(500)]
    machine.wish(wishes("top held", "alone loaded", "nosuch loaded", *lines))
    asked: list[float | None] = []
    wait = StateKeeper._next

    def spied(self: StateKeeper, *arguments: object) -> float | None:
        asked.append(wait(self, *arguments))  # type: ignore[arg-type]
        return asked[-1]

    monkeypatch.setattr(StateKeeper, "_next", spied)
    machine.settle()
    assert set(asked) == {None}


def test_whoever_waits_for_a_look_does_not_wait_for_its_rest(
    machine: KeptMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_keeper, "RESTS", 1e12)
    monkeypatch.setattr(state_keeper, "LONGEST_REST", 600.0)
    machine.settle()
    machine.wish(wishes("alone loaded"))
    assert machine.told() == {"alone": "done"}


def test_a_stop_ends_the_holds_and_unloads_nothing(tree: ModuleTree, tmp_path: Path) -> None:
    with kept_machine(tree, tmp_path / "w") as machine:
        machine.wish(wishes("alone held"))
    assert machine.loaded() == {"alone"}
    assert not machine.namespace.activity().holds
    assert not [each for each in threading.enumerate() if each.name == "kmodd-state"]


def test_pauses_grow_and_end() -> None:
    pauses = Pauses(first=1.0)
    assert pauses.due("a") < 0
    found = []
    now = 1000.0
    for _ in range(12):
        pauses.note("a", now)
        found.append(pauses.due("a") - now)
        now = pauses.due("a")
    assert found == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    pauses.note("a", now + 600 + 1)
    assert pauses.due("a") == now + 600 + 2
    pauses.forget("a")
    assert pauses.due("a") < 0


def test_how_long_it_fares_so_is_told(machine: KeptMachine) -> None:
    before = time.time()
    machine.wish(wishes("alone loaded", "top loaded"))
    since = dict(machine.keeper.state.since)
    assert all(before <= each <= time.time() for each in since.values())
    assert unload(machine, "alone") is None
    now = machine.keeper.state.since
    assert now["top"] == since["top"]
    assert now["alone"] > since["alone"]
