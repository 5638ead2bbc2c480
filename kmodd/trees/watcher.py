# SPDX-License-Identifier: Apache-2.0
"""Follows the module trees and the configuration, and rebuilds what has changed.

An event is only a hint: it says that a tree may have changed, and quiet after it brings the
rebuild, which finds out by itself what has. Events get lost: the kernel's queue overflows, the
number of watches has a limit, of what others do to a network file system there are none, nor of
what is written through a hard link from elsewhere. So every tree is also looked at from time to
time: rarely, and by its directories, where all of these are watched and on a file system that is
this machine's own; more often for a while once a change came without an event.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kmodd.config import config_directories
from kmodd.errors import KmoddError
from kmodd.settings import Timing
from kmodd.trees.debounce import Debouncer
from kmodd.trees.observer import DirectoryObserver
from kmodd.trees.releases import Trees
from kmodd.trees.tree import Tree

STILL_LOOKS = 30
"""Looks in a row that found nothing, after which a tree is looked at no more often than others.

Hard links to its files, and mounts, change a tree without an event, but once.
"""

RARELY = 6
"""How many times as long it is between two looks at a tree whose changes are all told of."""

FILES = 10
"""One in so many of these looks is at the files, too: their times tell of hard links."""

log = logging.getLogger(__name__)


@contextmanager
def watching(
    trees: Trees, timing: Timing, also: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Keep the trees up to date while the context is open.

    What ``also`` is to be looked at, from time to time, is called whenever the watcher looks.
    """
    watcher = Watcher(trees, timing, also)
    with trees.observed_by(watcher.observer):
        watcher.start()
        try:
            yield
        finally:
            watcher.stop()


class Watcher:
    """Keeps the trees up to date from ``start`` to ``stop``, on threads of its own.

    What is noted of looks belongs to the thread that looks around. ``_silent`` has the trees that
    change without events, and for how many looks they have not changed; ``_rare`` those whose
    changes are all told of, and how often they were looked at since.
    """

    def __init__(
        self, trees: Trees, timing: Timing, also: Callable[[], None] = lambda: None
    ) -> None:
        self._also = also
        self._trees = trees
        self._timing = timing
        self._stopping = threading.Event()
        self._is_remounted = threading.Event()
        self._debouncer = Debouncer(self._rebuild, timing)
        self.observer = DirectoryObserver(
            trees.directory,
            touch=self._debouncer.touch,
            removed=self._note_removal,
            touch_all=self.touch_all,
            mounted=self._is_remounted.set,
        )
        self._thread = threading.Thread(target=self._look_around, name="kmodd-watcher", daemon=True)
        self._next_look: dict[str, float] = {}
        self._silent: dict[str, int] = {}
        self._rare: dict[str, int] = {}

    def start(self) -> None:
        """Begin to watch; where the directory of trees is missing, wait for it to come."""
        self._thread.start()

    def stop(self) -> None:
        """End the watching; a rebuild under way is finished first."""
        self._stopping.set()
        self._thread.join()
        self._debouncer.stop()
        self.observer.stop()
        for tree in self._trees.known():
            tree.keep_records(insist=True)

    def touch_all(self) -> None:
        """Note that every tree may have changed."""
        for release in self._trees.releases():
            self._debouncer.touch(release)

    def _note_removal(self, release: str) -> None:
        """Note that something is taken away from a tree."""
        for tree in self._trees.known():
            if tree.directory.name == release:
                tree.note_removal()
        self._debouncer.touch(release, removal=True)

    def _look_around(self) -> None:
        look = self._first_tick
        while True:
            try:
                look()
                look = self._tick
            except KmoddError as error:  # a tree may go between two questions
                log.debug("looking at %s: %s", self._trees.directory, error.message)
            except Exception:
                log.exception("looking at %s", self._trees.directory)
            try:
                self._also()
            except Exception:
                log.exception("looking around")
            if self._stopping.wait(self._timing.poll):
                return

    def _first_tick(self) -> None:
        """Look around, but leave what is served as an earlier life left it to the next look.

        To verify it takes a processor for as long as all else that a start does.
        """
        self._trees.clear_leftovers()
        self._tick(
            frozenset(each.directory.name for each in self._trees.known() if each.is_provisional())
        )

    def _tick(self, but: frozenset[str] = frozenset()) -> None:
        if self.observer.watch((self._trees.directory, *self._config_directories())):
            for release in self._trees.releases():
                if release not in but:
                    self._debouncer.touch(release)
        self.observer.watch_linked(self._linked_directories())
        if self._is_remounted.is_set():
            self._is_remounted.clear()
            self._next_look.clear()
        self._trees.forget_missing()
        for release in self._trees.releases():
            if self._stopping.is_set():
                return
            if release in but:
                continue
            tree = self._trees.tree(release)
            tree.mend()
            self._look_at(release)
            tree.keep_records()
            tree.give_up_unused()

    def _look_at(self, release: str) -> None:
        """Find a change that no event told of; look more often where that was needed."""
        now = time.monotonic()
        if now < self._next_look.get(release, 0.0):
            return
        tree, recent = self._trees.tree(release), 2 * self._timing.debounce_max
        if now - self._debouncer.last_touch(release) < recent:
            self._note_events(release)
        elif self._has_changed(tree, directories_only=self._rare.get(release, 0) % FILES > 0):
            self._note_silence(release)
        elif release in self._silent:
            self._note_stillness(release)
        self._next_look[release] = time.monotonic() + self._pause(tree)

    def _pause(self, tree: Tree) -> float:
        """Return the seconds until the next look at a tree that was looked at just now."""
        release, timing = tree.directory.name, self._timing
        recent = 2 * timing.debounce_max
        is_restless = time.monotonic() - self._debouncer.last_touch(release) < recent
        if self._is_told_of_all(tree) and release not in self._silent and not is_restless:
            self._rare[release] = self._rare.get(release, 0) + 1
            return RARELY * timing.look
        self._rare.pop(release, None)
        return timing.poll if release in self._silent else timing.look

    def _is_told_of_all(self, tree: Tree) -> bool:
        """Tell whether all changes of a tree come with events; watch anew where no longer."""
        places = tree.places()
        if places is None:
            return False
        if self.observer.covers(places):
            return True
        if tree.directory.name in self._rare:
            self.observer.start_anew()
        return False

    def _has_changed(self, tree: Tree, *, directories_only: bool) -> bool:
        """Read the tree anew if it is not as it was, and tell whether that made a difference.

        Another directory in its place (a mount) makes none: there will not be one each time.
        """
        if tree.is_provisional():
            self._rebuild(tree.directory.name)
            return False
        before, replaced = tree.summary, tree.is_replaced()
        is_still = tree.is_fresh() if directories_only else tree.is_untouched()
        if before is None or (is_still and not replaced):
            return False
        self._rebuild(tree.directory.name)
        return not replaced and tree.summary is not None and tree.summary.number != before.number

    def _note_silence(self, release: str) -> None:
        """Note that a tree changed without an event, and say so unless that is known."""
        if release not in self._silent:
            directory, pause = self._trees.directory / release, self._timing.poll
            log.warning("%s changes without events; looking every %g s", directory, pause)
        self._silent[release] = 0

    def _note_stillness(self, release: str) -> None:
        """Count a look that found nothing, and look less often after some of them."""
        self._silent[release] += 1
        if self._silent[release] >= STILL_LOOKS:
            del self._silent[release]
            directory, pause = self._trees.directory / release, self._timing.look
            log.info("%s has not changed again; looking every %g s", directory, pause)

    def _note_events(self, release: str) -> None:
        """Note that a tree's changes come with events."""
        if self._silent.pop(release, None) is not None:
            log.info("%s changes with events again", self._trees.directory / release)

    def _config_directories(self) -> Iterable[Path]:
        for kind in ("modprobe.d", "depmod.d"):
            yield from map(Path, config_directories(self._trees.root, kind))

    def _linked_directories(self) -> dict[Path, frozenset[str]]:
        """The directories outside of trees that they lead to (DKMS), and whose trees do."""
        found: dict[Path, frozenset[str]] = {}
        for tree in self._trees.known():
            for directory in tree.linked_directories():
                found[directory] = found.get(directory, frozenset()) | {tree.directory.name}
        return found

    def _rebuild(self, release: str) -> None:
        if release not in self._trees.releases():
            self._trees.forget_missing()
            return
        try:
            self._trees.tree(release).refresh()
        except KmoddError as error:
            log.debug("rebuild of %s: %s", release, error.message)
        except Exception:
            log.exception("rebuild of %s", release)
