# SPDX-License-Identifier: Apache-2.0
"""Epochs, revisions, and following them."""

import random
from collections.abc import Iterable, Sequence

import pytest

from kmodd.access.caller import Caller
from kmodd.errors import LimitError, Reason, StateError
from kmodd.kernel.base import LoadedModule, ModuleState
from kmodd.namespace.audit import Finished
from kmodd.namespace.events import ChangeKind, Journal, _difference, difference
from kmodd.records import replace
from tests.support.replay import replay

A, B, C = (LoadedModule(name, 1, 0, (), address=at) for at, name in enumerate("abc", 1))
A_USED = LoadedModule("a", 1, 1, ("b",), address=1)
A_AGAIN = LoadedModule("a", 1, 0, (), address=9)
FINISHED = Finished(
    number=1, action="load", what="x", caller=Caller(), began=0.0, seconds=0.1, loaded=("x",)
)


class StillKernel:
    """A kernel whose listing is what a test says."""

    def __init__(self, *modules: LoadedModule) -> None:
        self.boot_id = "boot"
        self.listed: tuple[LoadedModule, ...] = modules

    def modules(self) -> tuple[LoadedModule, ...]:
        return self.listed


def journal_of(kernel: StillKernel, room: int = 100) -> Journal:
    return Journal(kernel, room=room)  # type: ignore[arg-type]  # nothing else is asked of it


def kinds(before: Sequence[LoadedModule], after: Sequence[LoadedModule]) -> list[str]:
    return [f"{change.kind.value} {change.module.name}" for change in difference(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((), (B, A), ["loaded a", "loaded b"]),
        ((B, A), (), ["unloaded b", "unloaded a"]),
        ((A,), (B, A_USED), ["loaded b", "changed a"]),
        ((C, B, A), (C, A), ["unloaded b"]),
        ((B, A), (A, B), ["unloaded a", "loaded a"]),
        ((B, A), (A_AGAIN, B), ["unloaded a", "loaded a"]),
        ((A,), (A_AGAIN,), ["unloaded a", "loaded a"]),
        ((B, A), (C, A_USED), ["unloaded b", "loaded c", "changed a"]),
    ],
)
def test_a_difference_leads_from_one_listing_to_the_next(
    before: tuple[LoadedModule, ...], after: tuple[LoadedModule, ...], expected: list[str]
) -> None:
    assert sorted(kinds(before, after)) == sorted(expected)
    assert replay(before, [difference(before, after)]) == after


@pytest.mark.parametrize("seed", range(30))
def test_the_quick_way_to_a_difference_finds_what_the_other_does(seed: int) -> None:
    chance = random.Random(seed)
    before: list[LoadedModule] = []
    for number in range(60):
        after = list(before)
        for _ in range(chance.choice((0, 1, 1, 2, 5))):
            kind = chance.choice(("load", "load", "change", "unload-newest", "unload"))
            if kind == "load":
                after.insert(0, LoadedModule(f"m{chance.randrange(20)}", 1, 0, (), address=number))
            elif after and kind == "change":
                at = chance.randrange(len(after))
                after[at] = replace(after[at], refcount=chance.randrange(3))
            elif after:
                del after[0 if kind == "unload-newest" else chance.randrange(len(after))]
        assert difference(before, after) == _difference(before, after)
        before = after


def test_the_revision_grows_with_every_difference_and_with_nothing_else() -> None:
    kernel = StillKernel(A)
    journal = journal_of(kernel)
    first = journal.look()
    assert first.modules == (A,)
    assert journal.look() is first
    kernel.listed = (LoadedModule("a", 1, 0, (), address=1),)
    assert journal.look() == first
    kernel.listed = (B, A_USED)
    assert journal.look().revision == first.revision + 1


def test_a_watch_begins_with_the_listing_and_goes_on_with_what_happens() -> None:
    kernel = StillKernel(A)
    journal = journal_of(kernel)
    with journal.watch() as watch:
        assert watch.listing is not None
        assert watch.listing.modules == (A,)
        assert watch.take(0) == ()
        kernel.listed = (B, A_USED)
        journal.look()
        journal.note(FINISHED)
        changed, finished = watch.take(0)
        assert {(each.kind, each.module) for each in changed.changes} == {
            (ChangeKind.LOADED, B),
            (ChangeKind.CHANGED, A_USED),
        }
        assert finished.finished is FINISHED
        assert finished.revision == changed.revision + 1 == watch.revision
        assert watch.take(0) == ()
        assert journal.watches == 1
    assert journal.watches == 0


def test_a_watch_goes_on_from_a_revision_and_replays_an_epoch_from_its_start() -> None:
    kernel = StillKernel(B, A_USED)
    journal = journal_of(kernel)
    epoch = journal.look().epoch
    for listed in ((A,), (C, A), (B, C, A_USED), (C, A), ()):
        kernel.listed = listed
        journal.look()
        with journal.watch(epoch) as watch:
            assert replay((), (event.changes for event in watch.take(0))) == listed
    with journal.watch(epoch, journal.look().revision - 1) as watch:
        (last,) = watch.take(0)
        assert [each.module.name for each in last.changes] == ["c", "a"]


def test_another_epoch_and_revisions_that_are_gone_or_to_come_are_refused() -> None:
    kernel = StillKernel()
    journal = journal_of(kernel, room=3)
    epoch = journal.look().epoch
    for listed in ((A,), (), (B,), (), (C,)):
        kernel.listed = listed
        journal.look()
    oldest, newest = journal.revisions()
    assert (oldest, newest) == (3, 6)
    for asked, revision in (("other", 0), (epoch, 0), (epoch, 2), (epoch, 7)):
        with pytest.raises(StateError) as refused:
            journal.watch(asked, revision)
        assert refused.value.reason is Reason.EVENTS_GONE
        assert refused.value.status == "OUT_OF_RANGE"
    with journal.watch(epoch, 3) as watch:
        assert [event.revision for event in watch.take(0)] == [4, 5, 6]
    assert journal.watches == 0


def test_who_does_not_take_events_in_time_is_told_so_and_cut_off() -> None:
    journal = journal_of(StillKernel(), room=3)
    lost: list[str] = []
    with journal.watch() as slow, journal.watch() as quick:
        slow.lost = lambda _: lost.append("slow")
        quick.lost = lambda _: lost.append("quick")
        for _ in range(4):
            journal.note(FINISHED)
            assert len(quick.take(0)) == 1
        assert lost == ["slow"]
        with pytest.raises(LimitError) as cut:
            slow.take(0)
        assert cut.value.reason is Reason.READER_TOO_SLOW


def test_a_kernel_that_starts_anew_begins_an_epoch() -> None:
    told: list[ChangeKind] = []
    kernel = StillKernel(A)
    journal = Journal(
        kernel,  # type: ignore[arg-type]
        room=100,
        changed=lambda changes: told.extend(each.kind for each in changes),
    )
    before = journal.look()
    with journal.watch() as watch:
        kernel.boot_id, kernel.listed = "another boot", (B,)
        after = journal.look()
        assert after.epoch != before.epoch
        assert after.revision > before.revision
        with pytest.raises(StateError) as refused:
            watch.take(0)
        assert refused.value.reason is Reason.EVENTS_GONE
    assert told == [ChangeKind.LOADED, ChangeKind.UNLOADED, ChangeKind.LOADED]
    with journal.watch(after.epoch) as watch:
        assert replay((), (event.changes for event in watch.take(0))) == (B,)


def test_changes_are_handed_on_as_they_are_found() -> None:
    told: list[str] = []

    def changed(changes: Iterable[object]) -> None:
        told.extend(map(str, changes))

    kernel = StillKernel(A)
    journal = Journal(kernel, room=1, changed=changed)  # type: ignore[arg-type]
    journal.look()
    journal.look()
    assert len(told) == 1


def test_a_listing_shows_a_state_as_it_changes() -> None:
    coming = LoadedModule("a", 1, 1, (), address=1, state=ModuleState.COMING)
    assert kinds((coming,), (A,)) == ["changed a"]
