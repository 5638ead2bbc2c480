# SPDX-License-Identifier: Apache-2.0
"""The history of the module listing: epochs, revisions, and those who follow them.

An *epoch* is one life of the daemon and of its kernel. It begins with nothing listed, at revision
1; what is loaded by then comes with the first look. A *revision* is one event of an epoch: what
differs from the listing before, or an operation that ended. A kernel tells of few of its changes,
so every look at its listing that differs from the last one makes an event; what came and went
between two looks was never there.
"""

import enum
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from itertools import compress, takewhile
from operator import is_not
from typing import Self

from kmodd.errors import LimitError, Reason, StateError
from kmodd.kernel.base import Kernel, LoadedModule
from kmodd.namespace.audit import Finished
from kmodd.records import record, replace

SAMPLE = 0.5
"""Seconds between two looks at the listing while somebody watches: no kernel tells of a reference
count."""


class ChangeKind(enum.Enum):
    """What happened to a module in the listing."""

    LOADED = "loaded"
    UNLOADED = "unloaded"
    CHANGED = "changed"


@record
class Change:
    """A module that is new in the listing, that has left it (as it was last), or that differs.

    ``by_others`` tells of a new one that it came by another program's doing.
    """

    kind: ChangeKind
    module: LoadedModule
    by_others: bool = False


@record
class Event:
    """What a revision brought: changes of the listing in order, or an operation's end.

    ``time`` is in seconds of Unix time.
    """

    revision: int
    time: float
    changes: tuple[Change, ...] = ()
    finished: Finished | None = None

    @property
    def size(self) -> int:
        """How much room the event takes of those that are kept."""
        return max(1, len(self.changes))


@record
class ModuleListing:
    """The loaded modules at one moment, the newest first.

    ``revision`` is that of the event which brought the last difference, within ``epoch``.
    """

    epoch: str
    revision: int
    modules: tuple[LoadedModule, ...]


class Journal:
    """The events of one namespace, as many as there is room for.

    ``_news`` guards every field and wakes those who wait for an event. Readers of a listing that
    has not changed take no lock.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        room: int,
        changed: Callable[[Sequence[Change]], None] = lambda _: None,
        is_others: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Keep events with up to ``room`` changes in all.

        ``changed`` is called with every change of the listing, with the lock held, and before it
        ``is_others`` of each new module, to tell whether another program has loaded it.
        """
        self._kernel = kernel
        self._room = room
        self._changed = changed
        self._is_others = is_others
        self._life = uuid.uuid4().hex
        self._news = threading.Condition()
        self._events: deque[Event] = deque()
        self._size = 0
        self._first = self._revision = 1
        self._boot_id = kernel.boot_id
        self._listing = ModuleListing(f"{self._life}.{self._boot_id}", 1, ())
        self._looked = time.monotonic()
        self._watches: list[Watch] = []

    @property
    def watches(self) -> int:
        """How many follow the events."""
        return len(self._watches)

    def revisions(self) -> tuple[int, int]:
        """Return the earliest revision that one can go on from, and the one of the last event."""
        with self._news:
            return self._oldest(), self._revision

    def look(self) -> ModuleListing:
        """Return the kernel's listing now; a difference to the last one becomes an event."""
        listing = self._listing
        if self._kernel.modules() is listing.modules and self._kernel.boot_id == self._boot_id:
            return listing
        with self._news:
            self._looked = time.monotonic()
            modules = self._read()
            changes = difference(self._listing.modules, modules)
            if changes:
                changes = tuple(map(self._attributed, changes))
                self._add(changes=changes)
                self._changed(changes)
                self._listing = ModuleListing(self._listing.epoch, self._revision, modules)
            elif modules is not self._listing.modules:
                self._listing = replace(self._listing, modules=modules)
            return self._listing

    def note(self, finished: Finished) -> None:
        """Add the end of an operation."""
        with self._news:
            self._add(finished=finished)

    def watch(self, epoch: str = "", revision: int = 0) -> "Watch":
        """Follow the events after ``revision`` of ``epoch``, 0 for its beginning.

        Without an epoch the watch begins with the listing of now. Raises StateError (EVENTS_GONE)
        for another epoch, for a revision that is still to come, and for one whose successors are
        not kept any more.
        """
        self.look()
        with self._news:
            listing, after = self._listing, self._revision
            if epoch:
                after = max(revision, self._first)
                self._check(epoch, after)
            watch = Watch(self, listing.epoch, after, None if epoch else listing)
            self._watches.append(watch)
            return watch

    def wait(self, epoch: str, after: int, timeout: float) -> tuple[Event, ...]:
        """Return the events after revision ``after``, waiting up to ``timeout`` seconds for one.

        Raises StateError (EVENTS_GONE) where the epoch has ended, and LimitError (READER_TOO_SLOW)
        where the next event is not kept any more.
        """
        with self._news:
            self._news.wait_for(lambda: self._revision > after, min(timeout, SAMPLE))
            look_again = time.monotonic() - self._looked >= SAMPLE
        if look_again:
            self.look()
        with self._news:
            if epoch != self._listing.epoch:
                raise _gone("the kernel has started anew")
            if after < self._oldest():
                raise _too_slow()
            return self._after(after)

    def leave(self, watch: "Watch") -> None:
        """Forget one who followed the events."""
        with self._news:
            self._watches.remove(watch)

    def _check(self, epoch: str, after: int) -> None:
        """Refuse to go on from where there is nothing to go on from; with the lock held."""
        if epoch != self._listing.epoch:
            raise _gone("they are of another life of the daemon or of its kernel")
        if after > self._revision:
            raise _gone(f"there is no revision {after} yet")
        if after < self._oldest():
            raise _gone(f"what came after revision {after} is not kept any more")

    def _attributed(self, change: Change) -> Change:
        """Return ``change`` with the mark of what others have loaded."""
        if change.kind is ChangeKind.LOADED and self._is_others(change.module.name):
            return replace(change, by_others=True)
        return change

    def _read(self) -> tuple[LoadedModule, ...]:
        """Read the kernel's listing, in a new epoch where it has started anew; with the lock."""
        while True:
            boot_id = self._kernel.boot_id
            modules = self._kernel.modules()
            if boot_id == self._kernel.boot_id:
                break
        if boot_id != self._boot_id:
            self._boot_id = boot_id
            self._changed(difference(self._listing.modules, ()))
            self._events.clear()
            self._size = 0
            self._revision += 1
            self._first = self._revision
            self._listing = ModuleListing(f"{self._life}.{boot_id}", self._revision, ())
            self._news.notify_all()
        return modules

    def _add(self, *, changes: tuple[Change, ...] = (), finished: Finished | None = None) -> None:
        """Add an event, and forget the oldest where there is no room; with the lock held."""
        self._revision += 1
        event = Event(self._revision, time.time(), changes, finished)
        self._events.append(event)
        self._size += event.size
        while self._size > self._room and len(self._events) > 1:
            self._size -= self._events.popleft().size
        oldest = self._oldest()
        for watch in self._watches:
            if watch.revision < oldest and not watch.is_lost:
                watch.is_lost = True
                watch.lost(_too_slow())
        self._news.notify_all()

    def _oldest(self) -> int:
        """Return the earliest revision that one can go on from; with the lock held."""
        return self._events[0].revision - 1 if self._events else self._revision

    def _after(self, revision: int) -> tuple[Event, ...]:
        newest_first = takewhile(lambda event: event.revision > revision, reversed(self._events))
        return tuple(newest_first)[::-1]


class Watch:
    """One who follows a journal's events; for one thread, and a context manager.

    ``listing`` is what the watch begins with, None where it goes on from a revision. ``revision``
    is that of the last event taken. ``lost`` is called, by whichever thread, when the next event is
    not kept any more, with what ``take`` would raise; it must not block.
    """

    def __init__(
        self, journal: Journal, epoch: str, revision: int, listing: ModuleListing | None
    ) -> None:
        self._journal = journal
        self.epoch = epoch
        self.revision = revision
        self.listing = listing
        self.lost: Callable[[LimitError], None] = lambda _: None
        self.is_lost = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.leave(self)

    def take(self, timeout: float) -> tuple[Event, ...]:
        """Return the events since the last ones, waiting a while (at most ``timeout`` seconds).

        Raises StateError (EVENTS_GONE) where the epoch has ended, and LimitError (READER_TOO_SLOW)
        where the next event is not kept any more.
        """
        events = self._journal.wait(self.epoch, self.revision, timeout)
        if events:
            self.revision = events[-1].revision
        return events


def difference(before: Sequence[LoadedModule], after: Sequence[LoadedModule]) -> tuple[Change, ...]:
    """Return what leads from one listing to another; both have the newest module first.

    A kernel puts what it loads before everything else. So a module that has another place among
    those that stay, or another address, has gone and come back.
    """
    oldest, now = before[::-1], after[::-1]
    changed: list[Change] = []
    # Mostly all that was there is there still, the very same values but for a few.
    for old, new in compress(zip(oldest, now, strict=False), map(is_not, oldest, now)):
        if (new.name, new.address) != (old.name, old.address):
            return _difference(before, after)
        if new != old:
            changed.append(Change(ChangeKind.CHANGED, new))
    gone = (Change(ChangeKind.UNLOADED, module) for module in reversed(oldest[len(now) :]))
    loaded = (Change(ChangeKind.LOADED, module) for module in now[len(oldest) :])
    return (*gone, *loaded, *changed)


def _difference(
    before: Sequence[LoadedModule], after: Sequence[LoadedModule]
) -> tuple[Change, ...]:
    """Return the same where a module in the midst of others has gone."""
    coming = deque(reversed(after))
    changes: list[Change] = []
    kept: list[Change] = []
    for old in reversed(before):
        new = coming[0] if coming else None
        if new is None or (new.name, new.address) != (old.name, old.address):
            changes.append(Change(ChangeKind.UNLOADED, old))
            continue
        coming.popleft()
        if new is not old and new != old:
            kept.append(Change(ChangeKind.CHANGED, new))
    loaded = (Change(ChangeKind.LOADED, module) for module in coming)
    return (*reversed(changes), *loaded, *kept)


def _too_slow() -> LimitError:
    what = "events came faster than they were read; list the modules and watch anew"
    return LimitError(Reason.READER_TOO_SLOW, what)


def _gone(why: str) -> StateError:
    what = f"events cannot be had from there: {why}; list the modules and watch anew"
    return StateError(Reason.EVENTS_GONE, what)
