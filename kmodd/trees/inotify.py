# SPDX-License-Identifier: Apache-2.0
"""watchdog, as far as it goes: which directories changed, by the release that it concerns."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from kmodd.database.publish import is_temporary
from kmodd.trees.generation import INPUTS

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver, ObservedWatch

CHANGES: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]
"""The events that can mean a change; opening and reading, which we do ourselves, are not, and a
directory's own change only repeats that of its entry."""

REMOVALS = (DirDeletedEvent, FileDeletedEvent)
"""The events that take something away. (Where something moves to is looked at in any case.)"""

log = logging.getLogger(__name__)

Touch = Callable[[str], None]


class DirectoryObserver:
    """Watches the directory of trees, all below it, and other directories that concern all trees.

    Its methods are called by one thread; ``touch`` and ``removed`` (with a release), and
    ``touch_all``, are called by watchdog's. ``removed`` is for what is only taken away.
    """

    def __init__(
        self, modules: Path, touch: Touch, removed: Touch, touch_all: Callable[[], None]
    ) -> None:
        self._modules = modules
        self._touch = touch
        self._removed = removed
        self._touch_all = touch_all
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, tuple[int, int]] = {}
        self._linked: dict[Path, ObservedWatch] = {}
        self._failed = False

    def watch(self, directories: Iterable[Path]) -> bool:
        """Watch those of ``directories`` that exist; returns whether that is another set.

        A directory that was removed and made again is another one. Where watching fails, which
        is logged once, the next call tries again.
        """
        found = {path: _identity(path) for path in directories}
        present = {path: identity for path, identity in found.items() if identity}
        alive = self._observer is not None and self._observer.is_alive()
        if present == self._watched and alive:
            return False
        self.stop()
        if self._start(present):
            self._watched = present
            return True
        return False

    def watch_linked(self, directories: Mapping[Path, str]) -> None:
        """Watch directories elsewhere, each with all below it, for the release it belongs to."""
        observer = self._observer
        if observer is None or directories.keys() == self._linked.keys():
            return
        for path in self._linked.keys() - directories.keys():
            observer.unschedule(self._linked.pop(path))
        for path in directories.keys() - self._linked.keys():
            handler = _Events(partial(self._linked_changed, directories[path]))
            try:
                self._linked[path] = observer.schedule(
                    handler, str(path), recursive=True, event_filter=CHANGES
                )
            except OSError as error:
                self._complain(path, error)

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        self._observer = None
        self._watched = {}
        self._linked = {}

    def _start(self, directories: Iterable[Path]) -> bool:
        try:
            observer = Observer()
            for path in directories:
                below = path == self._modules
                events = _Events(self._config_changed)
                if below:
                    events = _Events(self._tree_changed, self._tree_lost)
                observer.schedule(events, str(path), recursive=below, event_filter=CHANGES)
            observer.start()
        except OSError as error:
            self._complain(self._modules, error)
            return False
        self._observer = observer
        self._failed = False
        return True

    def _complain(self, path: Path, error: OSError) -> None:
        if not self._failed:
            log.warning("%s cannot be watched (%s); looking instead", path, error.strerror)
        self._failed = True

    def _config_changed(self, _path: str) -> None:
        self._touch_all()

    def _linked_changed(self, release: str, _path: str) -> None:
        self._touch(release)

    def _tree_changed(self, path: str) -> None:
        release, _, inside = path.removeprefix(f"{self._modules}/").partition("/")
        if not is_output(inside):
            self._touch(release)

    def _tree_lost(self, path: str) -> None:
        release, _, inside = path.removeprefix(f"{self._modules}/").partition("/")
        if not is_output(inside):
            self._removed(release)


class _Events(FileSystemEventHandler):
    """Hands the paths of what may have changed to ``changed``, of what has gone to ``lost``."""

    def __init__(
        self, changed: Callable[[str], None], lost: Callable[[str], None] | None = None
    ) -> None:
        self._changed = changed
        self._lost = lost or changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass on the paths of the event."""
        tell = self._lost if isinstance(event, REMOVALS) else self._changed
        for path in (event.src_path, event.dest_path):
            if path and isinstance(path, (bytes, str)):
                tell(os.fsdecode(path))


def is_output(inside: str) -> bool:
    """Tell whether a path, relative to a release's directory, is of a file that depmod writes."""
    if is_temporary(inside):
        return True
    return inside.startswith("modules.") and "/" not in inside and inside not in INPUTS


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell one directory from another of the same name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
