# SPDX-License-Identifier: Apache-2.0
"""What is to be done for wishes to be true, and what is told where nothing can be done."""

from typing import Any

import pytest

from kmodd.desired.condition import MachineFacts
from kmodd.desired.document import read_document
from kmodd.desired.findings import Finding, Move, MoveKind, Presence, Situation, Standing
from kmodd.desired.merging import merge
from kmodd.desired.reconciling import moves_of, reconcile
from kmodd.errors import Reason, StateError
from kmodd.kernel.base import LoadedModule, ModuleState, ParameterValue
from kmodd.plan import DenyList
from tests.support.records import database, record

TREE = database(
    record("leaf"),
    record("top", needs=["leaf"]),
    record("card"),
    record("other"),
    builtin=["loop"],
)

LOADED, ABSENT = Presence.LOADED, Presence.ABSENT


def module(name: str, refcount: int = 0, *holders: str, **changes: Any) -> LoadedModule:
    return LoadedModule(
        name=name, size=4096, refcount=refcount or len(holders), holders=holders, **changes
    )


def parameter(name: str, value: str | None, mode: int = 0o644) -> dict[str, ParameterValue]:
    return {name: ParameterValue(name, value, mode)}


def found(wishes: str, *loaded: LoadedModule, **changes: Any) -> tuple[Finding, ...]:
    """Return what is found for wishes: "NAME STATE [PARAMETER=VALUE] [reload|enforce]", by ;."""
    lines = []
    for wish in wishes.split(";") if wishes else ():
        name, state, *more = wish.split()
        lines += ["[[module]]", f"name='{name}'", f"state='{state}'"]
        lines += ["reload='when-unused'"] if "reload" in more else []
        lines += ["enforce=true"] if "enforce" in more else []
        given = [each.partition("=") for each in more if "=" in each]
        lines += [f"parameters.{key}='{value}'" for key, _, value in given]
    document = read_document("\n".join(lines), "w")
    assert document.problems == ()
    usual: dict[str, Any] = {"database": TREE}
    situation = Situation(loaded={each.name: each for each in loaded}, **{**usual, **changes})
    return reconcile(merge([document], MachineFacts("6.1")), situation)


def only(wishes: str, *loaded: LoadedModule, **changes: Any) -> Finding:
    (finding,) = found(wishes, *loaded, **changes)
    return finding


def words(finding: Finding) -> str:
    """Return a finding as "STANDING: move, move" or "STANDING: why"."""
    moves = ", ".join(map(move_words, finding.moves))
    return f"{finding.standing.value}: {moves or finding.why}".removesuffix(": ")


def move_words(move: Move) -> str:
    if move.parameter:
        return f"set {move.parameter}={move.value}"
    return f"{move.kind.value} {move.name} {move.parameters}".rstrip()


LIVE = module("card")
SHOWN = {"card": parameter("level", "1") | parameter("mode", "slow", 0o444)}


@pytest.mark.parametrize(
    ("wish", "loaded", "changes", "told"),
    [
        ("card loaded", (), {}, "pending: load card"),
        ("card loaded level=2", (), {}, "pending: load card level=2"),
        ("card loaded", (LIVE,), {}, "done"),
        ("card held", (), {}, "pending: hold card"),
        ("card held", (LIVE,), {}, "pending: hold card"),
        ("card held", (LIVE,), {"own_holds": frozenset({"card"})}, "done"),
        ("card loaded", (LIVE,), {"own_holds": frozenset({"card"})}, "pending: release card"),
        ("card absent", (LIVE,), {"own_holds": frozenset({"card"})}, "pending: release card"),
        ("card absent", (), {}, "done"),
        ("card absent", (LIVE,), {}, "pending: unload card"),
        ("card denied", (LIVE,), {}, "pending: unload card"),
        ("card absent", (module("card", 1),), {}, "waiting: it is in use"),
        ("card absent", (module("card", 0, "x"),), {}, "waiting: it is in use by x"),
        ("card absent", (LIVE,), {"held": {"card": "hold 1"}}, "waiting: it is held by hold 1"),
        ("loop loaded", (), {}, "done"),
        ("loop loaded a=1", (), {}, "impossible: module loop is builtin: its parameters are the "
         "kernel command line's"),
        ("loop absent", (), {}, "impossible: module loop is builtin"),
        ("nosuch loaded", (), {}, "impossible: module nosuch not found in directory "
         "/lib/modules/6.1.0-test"),
        ("nosuch loaded", (module("nosuch"),), {}, "done"),
        ("nosuch absent", (), {}, "done"),
        ("card loaded", (), {"deny": DenyList([("c*", "old")])}, "impossible: card is denied: old"),
        ("top loaded", (), {"deny": DenyList([("leaf", "")])},
         "impossible: top needs leaf, which is denied"),
        ("card loaded", (module("card", state=ModuleState.COMING),), {},
         "waiting: it is coming just now"),
        ("card absent", (module("card", -1, state=ModuleState.GOING),), {},
         "waiting: it is going just now"),
        ("card absent", (module("card", permanent=True),), {},
         "impossible: module card has no exit function: nothing unloads it"),
        ("card loaded", (), {"left_alone": {"card": "by hand"}}, "drifted: by hand"),
        ("card loaded enforce", (), {"left_alone": {"card": "by hand"}}, "pending: load card"),
        ("card held", (LIVE,), {"left_alone": {"card": "by hand"}}, "drifted: by hand"),
        ("card absent", (LIVE,), {"left_alone": {"card": "by hand"}}, "drifted: by hand"),
        ("card denied", (LIVE,), {"left_alone": {"card": "by hand"}}, "pending: unload card"),
        ("card loaded level=0x1", (LIVE,), {"shown": SHOWN}, "done"),
        ("card loaded level=2", (LIVE,), {"shown": SHOWN}, "pending: set level=2"),
        ("card loaded level=2", (LIVE,), {"shown": SHOWN, "taken": {("card", "level"): ("2", "1")}},
         "done"),
        ("card loaded level=2", (LIVE,), {"shown": SHOWN, "taken": {("card", "level"): ("3", "1")}},
         "pending: set level=2"),
        ("card loaded level=2", (LIVE,), {"shown": {"card": parameter("level", None)}}, "done"),
        ("card loaded hidden=2", (LIVE,), {"shown": SHOWN}, "done"),
        ("card loaded mode=fast", (LIVE,), {"shown": SHOWN},
         "drifted: mode can only be given to a load"),
        ("card loaded mode=fast level=2", (LIVE,), {"shown": SHOWN}, "drifted: set level=2"),
        ("card loaded mode=fast reload", (LIVE,), {"shown": SHOWN},
         "pending: reload card mode=fast"),
        ("card held mode=fast reload", (LIVE,),
         {"shown": SHOWN, "own_holds": frozenset({"card"})}, "pending: reload card mode=fast"),
        ("card loaded mode=fast reload", (module("card", 2),), {"shown": SHOWN},
         "waiting: mode can only be given to a load, and it is in use"),
        ("card loaded sped=1", (), {"declared": {"card": frozenset({"speed"})}},
         "impossible: module card has no parameter sped"),
    ],
)  # fmt: skip
def test_a_wish_and_what_there_is_come_to_a_move_or_a_word(
    wish: str, loaded: tuple[LoadedModule, ...], changes: dict[str, Any], told: str
) -> None:
    assert words(only(wish, *loaded, **changes)) == told


def test_a_move_that_failed_is_not_made_again_and_its_failure_is_told() -> None:
    error = StateError(Reason.MODULE_BUSY, "no")
    finding = only("card loaded", tried={Move(MoveKind.LOAD, "card"): error})
    assert (words(finding), finding.error) == ("impossible: no", error)
    tried = {Move(MoveKind.SET, "card", parameter="level", value="2"): error}
    shown = {"card": parameter("level", "1") | parameter("rate", "1")}
    finding = only("card loaded level=2 rate=2", LIVE, shown=shown, tried=tried)
    assert words(finding) == "pending: set rate=2"
    finding = only("card loaded level=2 rate=1", LIVE, shown=shown, tried=tried)
    assert words(finding) == "impossible: no"


def test_only_what_nobody_tells_of_is_asked_for_again() -> None:
    assert only("card absent", module("card", 1)).polls
    assert not only("card absent", LIVE, held={"card": "hold 1"}).polls
    assert not only("card absent", module("card", 0, "user")).polls


@pytest.mark.parametrize("state", ["absent", "denied"])
def test_wishes_that_contradict_each_other_are_both_told_and_nothing_is_unloaded(
    state: str,
) -> None:
    top, leaf = found(f"top loaded;leaf {state}", module("top"), module("leaf", 0, "top"))
    assert words(top) == f"impossible: it needs leaf, which w:4 wishes {state}"
    assert words(leaf) == "impossible: top, which w:1 wishes loaded, needs it"
    assert (top.presence, leaf.presence) == (LOADED, LOADED)
    top, leaf = found(f"top loaded;leaf {state}")
    assert (top.presence, words(leaf)) == (ABSENT, "done")
    assert not top.moves


def test_what_was_loaded_for_a_wish_that_is_no_more_goes_once_it_is_unused() -> None:
    brought = frozenset({"card", "top"})
    card, top = found("", module("card"), module("top", 1), brought=brought)
    assert (words(card), card.wish) == ("pending: unload card", None)
    assert words(top) == "waiting: it is in use"
    assert found("card loaded", module("card"), brought=brought)[0].moves == ()
    assert found("", brought=brought) == ()


def test_nothing_is_unloaded_for_being_wished_no_more_while_a_source_cannot_be_read() -> None:
    (card,) = found("", module("card"), brought=frozenset({"card"}), blind=True)
    assert card.standing is Standing.DRIFTED
    assert card.moves == ()


def test_a_hold_for_a_wish_that_is_no_more_ends_before_anything_is_unloaded() -> None:
    held = frozenset({"card"})
    (card,) = found("", module("card"), own_holds=held, brought=held)
    assert words(card) == "pending: release card"


def test_two_wishes_of_one_source_for_one_machine_leave_the_module_as_it_is() -> None:
    text = "[[module]]\nname='card'\n[[module]]\nname='card'\nstate='absent'\nwhen.release='6*'"
    merged = merge([read_document(text, "w")], MachineFacts("6.1"))
    situation = Situation(
        database=TREE,
        loaded={"card": LIVE},
        brought=frozenset({"card"}),
    )
    (finding,) = reconcile(merged, situation)
    assert words(finding) == "impossible: w:3 wishes otherwise, for this machine, too"


def test_moves_take_away_before_they_bring_and_bring_first_what_others_need() -> None:
    tree = database(
        *(record("top", needs=["leaf"]), record("leaf"), record("other")),
        *(record("card"), record("old")),
    )
    findings = found(
        "card loaded level=2;top loaded;leaf held;old absent",
        LIVE,
        module("old"),
        shown=SHOWN,
        own_holds=frozenset({"gone"}),
        database=tree,
    )
    kinds = [(move.kind.value, move.name) for move in moves_of(findings, tree)]
    assert kinds == [
        ("release", "gone"),
        ("unload", "old"),
        ("hold", "leaf"),
        ("load", "top"),
        ("set", "card"),
    ]
