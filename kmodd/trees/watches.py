# SPDX-License-Identifier: Apache-2.0
"""The directories that are watched, and whose trees each of them belongs to."""

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kmodd.database.publish import Place
from kmodd.database.walk import SKIPPED
from kmodd.trees.inotify import ChangeQueue, tells_all

_GONE = (errno.ENOENT, errno.ENOTDIR)


@dataclass(slots=True)
class WatchedDirectory:
    """One directory that is watched.

    ``releases`` are those whose trees lead to it by a link, or name it in depmod.d; whose tree it
    lies in is told by its path. ``is_deep`` tells whether all below it is watched, too.
    """

    path: str
    place: Place
    is_deep: bool
    releases: set[str] = field(default_factory=set)


class Watches:
    """The watches of one queue; for one thread at a time.

    ``complain`` is called with a directory that cannot be watched and why.
    """

    def __init__(self, queue: ChangeQueue, complain: Callable[[Path, OSError], None]) -> None:
        self._queue = queue
        self._complain = complain
        self._by_number: dict[int, WatchedDirectory] = {}
        self._places: set[Place] = set()
        self._local: dict[int, bool] = {}
        self._covered: Collection[Place] = ()

    def find(self, number: int) -> WatchedDirectory | None:
        """Return what a watch is for."""
        return self._by_number.get(number)

    def covers(self, places: Collection[Place]) -> bool:
        """Tell whether every change in these directories is told of.

        ``places`` that do not change are compared once, as long as no watch ends.
        """
        if places is self._covered:
            return True
        is_covered = self._places.issuperset(places)
        if is_covered:
            self._covered = places
        return is_covered

    def add(self, directory: str, *, deep: bool, releases: Collection[str] = ()) -> None:
        """Watch a directory for ``releases``, with all below it where that is to be ``deep``.

        A directory that is gone by now is left out, since whatever it was in tells of that.
        """
        pending = [directory]
        while pending:
            path = pending.pop()
            try:
                watched = self._add(path, deep=deep)
                below = list(_directories_in(path)) if deep else []
            except OSError as error:
                if error.errno not in _GONE:
                    self._complain(Path(path), error)
                if error.errno == errno.ENOSPC:
                    return
                continue
            watched.releases.update(releases)
            pending += below

    def drop(self, directory: str) -> None:
        """End the watches for a directory and all below it."""
        above = f"{directory}{os.sep}"
        for number, watched in tuple(self._by_number.items()):
            if watched.path == directory or watched.path.startswith(above):
                self.forget(number)
                self._queue.remove(number)

    def forget(self, number: int) -> None:
        """Forget a watch that has ended."""
        watched = self._by_number.pop(number, None)
        if watched is not None:
            self._places.discard(watched.place)
            self._covered = ()

    def forget_file_systems(self) -> None:
        """Forget which file systems are this machine's own: others may have their numbers now."""
        self._local.clear()

    def _add(self, path: str, *, deep: bool) -> WatchedDirectory:
        # Another one in its place from here on is told of by the directory that it is in.
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        number = self._queue.add(path)
        place = status.st_dev, status.st_ino
        watched = self._by_number.get(number)
        if watched is None:
            watched = self._by_number[number] = WatchedDirectory(path, place, deep)
        if self._is_local(path, status.st_dev):
            self._places.add(place)
        return watched

    def _is_local(self, path: str, device: int) -> bool:
        if device not in self._local:
            self._local[device] = tells_all(path)
        return self._local[device]


def _directories_in(path: str) -> Iterator[str]:
    """Yield the directories in one of a tree that may have modules, links left out."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name not in SKIPPED and entry.is_dir(follow_symlinks=False):
                yield entry.path
