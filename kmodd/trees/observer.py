# SPDX-License-Identifier: Apache-2.0
"""Which trees change, as far as inotify tells; and whether it tells all of it."""

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from kmodd.database.publish import Place, is_temporary, place_of
from kmodd.database.walk import SKIPPED
from kmodd.trees.generation import INPUTS
from kmodd.trees.inotify import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_IGNORED,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    ChangeQueue,
    DirectoryEvent,
)
from kmodd.trees.mount_table import MountTable
from kmodd.trees.watches import WatchedDirectory, Watches

WRITING = 1.0
"""Seconds after the last write to a file that is still open in which it counts as being written."""

CHANGED_MAX = 1024
"""Releases of which it is noted when each has changed."""

NEVER = float("-inf")

log = logging.getLogger(__name__)

Touch = Callable[[str, bool], None]
"""Called with a release, and whether one of its files is being written."""


class DirectoryObserver:
    """Watches the directory of trees, all below it, and other directories that concern all trees.

    ``_lock`` guards the watches and the times, and is held from when events are read until what
    they say has been noted. ``watch``, ``watch_linked``, ``start_anew`` and ``stop`` are called by
    one thread. ``touch``, ``removed`` (with a release), ``touch_all`` and ``mounted`` are called by
    whichever thread reads the events, under the lock, once for many events. ``removed`` is for what
    is only taken away. ``_writing`` has the files that are being written, with the time of the last
    write and the releases that it concerns.
    """

    def __init__(
        self,
        modules: Path,
        *,
        touch: Touch,
        removed: Callable[[str], None],
        touch_all: Callable[[], None],
        mounted: Callable[[], None],
    ) -> None:
        self._modules = modules
        self._touch = touch
        self._removed = removed
        self._touch_all = touch_all
        self._mounted = mounted
        self._lock = threading.Lock()
        self._queue: ChangeQueue | None = None
        self._watches: Watches | None = None
        self._mounts: MountTable | None = None
        self._thread: threading.Thread | None = None
        self._ending = -1
        self._watched: dict[Path, Place] = {}
        self._linked: Mapping[Path, frozenset[str]] = {}
        self._changed: dict[str, float] = {}
        self._all_changed = NEVER
        self._writing: dict[str, tuple[float, frozenset[str]]] = {}
        self._is_lost = False
        self._failed = False

    def watch(self, directories: Iterable[Path]) -> bool:
        """Watch those of ``directories`` that exist; returns whether that is another set.

        A directory that was removed and made again is another one. So is all where events were
        lost. Where watching fails, which is logged once, the next call tries again.
        """
        found = {path: place_of(str(path)) for path in directories}
        present = {path: place for path, place in found.items() if place}
        alive = self._thread is not None and self._thread.is_alive()
        if present == self._watched and alive and not self._is_lost:
            return False
        self.stop()
        if self._start(present):
            self._watched = present
            return True
        return False

    def watch_linked(self, directories: Mapping[Path, frozenset[str]]) -> None:
        """Watch directories elsewhere, each with all below it, for the releases it belongs to."""
        with self._lock:
            if self._watches is None or directories == self._linked:
                return
            for path in self._linked.keys() - directories.keys():
                self._watches.drop(str(path))
            for path, releases in directories.items():
                self._watches.add(str(path), deep=True, releases=releases)
                self._changed.update(dict.fromkeys(releases, time.monotonic()))
            self._linked = directories

    def covers(self, places: Collection[Place]) -> bool:
        """Tell whether no change in the directories at ``places`` goes unnoticed.

        Each is watched, on a file system that none but this kernel changes, and no event was lost.
        """
        return self.last_change("", places)[1]

    def last_change(self, release: str, places: Collection[Place] | None) -> tuple[float, bool]:
        """Return when a tree last changed as far as is known by now (time.monotonic).

        And tell whether no change in its directories goes unnoticed. Nothing is waited for: what
        the kernel has told until the call is taken into account.
        """
        with self._lock:
            self._take()
            changed = max(self._changed.get(release, NEVER), self._all_changed)
            if places is None or self._is_lost or self._watches is None or self._mounts is None:
                return changed, False
            return changed, self._mounts.fd >= 0 and self._watches.covers(places)

    def start_anew(self) -> None:
        """Have the next ``watch`` begin anew: there are directories that are not watched."""
        with self._lock:
            self._is_lost = True

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._thread is not None:
            os.eventfd_write(self._ending, 1)
            self._thread.join()
            os.close(self._ending)
        with self._lock:
            if self._queue is not None:
                self._queue.close()
            if self._mounts is not None:
                self._mounts.close()
            self._thread = self._queue = self._watches = self._mounts = None
        self._watched = {}
        self._linked = {}

    def _start(self, directories: Collection[Path]) -> bool:
        with self._lock:
            if not directories:
                return False
            try:
                self._queue = ChangeQueue(str(next(iter(directories))))
            except OSError as error:
                self._complain(self._modules, error)
                return False
            self._failed = self._is_lost = False
            self._mounts = MountTable()
            self._watches = Watches(self._queue, self._complain)
            for path in directories:
                self._watches.add(str(path), deep=path == self._modules)
            self._all_changed = time.monotonic()
            self._ending = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(
            target=self._run, args=(self._queue.fd,), name="kmodd-inotify", daemon=True
        )
        self._thread.start()
        return True

    def _complain(self, path: Path, error: OSError) -> None:
        if not self._failed:
            log.warning("%s cannot be watched (%s); looking instead", path, error.strerror)
        self._failed = True

    def _run(self, events: int) -> None:
        """Note events as they come, until the end."""
        polled = select.poll()
        polled.register(events, select.POLLIN)
        polled.register(self._ending, select.POLLIN)
        # The table that is looked at under the lock tells others apart from what it has told them.
        mounts = MountTable()
        if mounts.fd >= 0:
            polled.register(mounts.fd, select.POLLPRI)
        try:
            while self._ending not in [fd for fd, _ in polled.poll()]:
                with self._lock:
                    self._take()
        finally:
            mounts.close()

    def _take(self) -> None:
        """Note what the kernel has told until now; the lock is held."""
        if self._queue is None or self._watches is None or self._mounts is None:
            return
        if self._mounts.has_changed():
            self._watches.forget_file_systems()
            self._all_changed = time.monotonic()
            self._mounted()
        events = [*self._queue.events()]
        if not events:
            return
        news = _News()
        for event in events:
            if event.mask & IN_Q_OVERFLOW:
                self._is_lost = news.all_changed = True
                self._all_changed = time.monotonic()
                continue
            watched = self._watches.find(event.watch)
            if watched is not None:
                self._follow(self._watches, watched, event)
                self._gather(news, watched, event)
        self._tell(news)

    def _follow(self, watches: Watches, watched: WatchedDirectory, event: DirectoryEvent) -> None:
        """Watch a directory that has come, and no longer one that has gone."""
        if event.mask & IN_IGNORED:
            watches.forget(event.watch)
        elif event.mask & IN_ISDIR and watched.is_deep and event.name not in ("", *SKIPPED):
            path = f"{watched.path}/{event.name}"
            if event.mask & IN_MOVED_FROM:
                watches.drop(path)
            elif event.mask & (IN_CREATE | IN_MOVED_TO):
                watches.add(path, deep=True, releases=watched.releases)

    def _gather(self, news: "_News", watched: WatchedDirectory, event: DirectoryEvent) -> None:
        """Gather which trees an event concerns; the end of a watch is told of by what ended it."""
        if event.mask & IN_IGNORED:
            return
        path = f"{watched.path}/{event.name}" if event.name else watched.path
        above = f"{self._modules}/"
        concerned = set(watched.releases)
        if path.startswith(above):
            release, _, inside = path.removeprefix(above).partition("/")
            if not is_output(inside):
                concerned.add(release)
                if event.mask & (IN_DELETE | IN_DELETE_SELF) and not watched.releases:
                    news.removed.add(release)
                    concerned.clear()
        elif not watched.is_deep:
            news.all_changed = True
        news.changed |= concerned
        if event.mask & IN_MODIFY:
            self._writing[path] = time.monotonic(), frozenset(concerned)
        elif event.mask & (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_DELETE):
            self._writing.pop(path, None)

    def _tell(self, news: "_News") -> None:
        """Tell of the trees that a batch of events concerns.

        Once what has come is watched: who looked before does not know of what came meanwhile.
        """
        now = time.monotonic()
        if len(self._changed) > CHANGED_MAX:
            self._changed.clear()
            self._all_changed = now
        self._changed.update(dict.fromkeys(news.changed | news.removed, now))
        self._writing = {
            path: (when, releases)
            for path, (when, releases) in self._writing.items()
            if now - when < WRITING
        }
        written = {each for _, releases in self._writing.values() for each in releases}
        if news.all_changed:
            self._touch_all()
        for release in news.removed:
            self._removed(release)
        for release in news.changed:
            self._touch(release, release in written)


class _News:
    """What some events come to: the releases that have changed, and that only lose something."""

    __slots__ = ("all_changed", "changed", "removed")

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.removed: set[str] = set()
        self.all_changed = False


def is_output(inside: str) -> bool:
    """Tell whether a path, relative to a release's directory, is of a file that depmod writes."""
    if is_temporary(inside):
        return True
    return inside.startswith("modules.") and "/" not in inside and inside not in INPUTS
