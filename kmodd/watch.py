# SPDX-License-Identifier: Apache-2.0
"""Follows the module trees and the configuration: an event makes a tree dirty, quiet rebuilds it.

An event is only a hint. It says that a tree may have changed; what has changed the rebuild finds
out by itself.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from kmodd.config import config_directories
from kmodd.database.publish import is_temporary
from kmodd.errors import KmoddError
from kmodd.settings import Timing
from kmodd.trees import Trees

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

CHANGES = frozenset({"created", "deleted", "modified", "moved", "closed"})
"""The events that can mean a change; opening and reading, which we do ourselves, are not."""

INPUTS = frozenset({"modules.order", "modules.builtin", "modules.builtin.modinfo"})
"""The files beside the databases that a kernel's build leaves, and that depmod reads."""

log = logging.getLogger(__name__)


class Debouncer:
    """Calls ``act`` for a key once the key has been quiet for a while, on a thread of its own.

    ``_changed`` guards the table of due times and wakes the thread.
    """

    def __init__(self, act: Callable[[str], None], timing: Timing) -> None:
        self._act = act
        self._timing = timing
        self._changed = threading.Condition()
        self._first: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="kmodd-rebuild", daemon=True)
        self._thread.start()

    def touch(self, key: str) -> None:
        """Note that ``key`` has changed just now."""
        now = time.monotonic()
        with self._changed:
            first = self._first.setdefault(key, now)
            self._due[key] = min(now + self._timing.debounce, first + self._timing.debounce_max)
            self._changed.notify()

    def stop(self) -> None:
        """Forget what is due and end the thread, after the call it is in."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (key := self._wait()) is not None:
            self._act(key)

    def _wait(self) -> str | None:
        """Return the next key that is due; None once stopped."""
        with self._changed:
            while not self._stopped:
                key = min(self._due, key=self._due.__getitem__, default=None)
                left = self._due[key] - time.monotonic() if key is not None else None
                if key is not None and left is not None and left <= 0:
                    del self._due[key], self._first[key]
                    return key
                self._changed.wait(left)
            return None


class Watcher:
    """Rebuilds trees when their directories change, from ``start`` to ``stop``."""

    def __init__(self, trees: Trees, timing: Timing) -> None:
        self._trees = trees
        self._timing = timing
        self._debouncer: Debouncer | None = None
        self._poller: threading.Thread | None = None
        self._stopping = threading.Event()
        self._observer: BaseObserver | None = None

    def start(self) -> None:
        """Begin to watch; where the directory of trees is missing, wait for it to come."""
        self._debouncer = Debouncer(self._rebuild, self._timing)
        self._poller = threading.Thread(target=self._watch, name="kmodd-watch", daemon=True)
        self._poller.start()

    def stop(self) -> None:
        """End the watching; a rebuild under way is finished first."""
        self._stopping.set()
        if self._poller is not None:
            self._poller.join()
        if self._debouncer is not None:
            self._debouncer.stop()
        self._drop_observer()

    def touch(self, releases: Iterable[str]) -> None:
        """Note that the trees of ``releases`` may have changed."""
        assert self._debouncer is not None, "a watcher is started before it is told of changes"
        for release in releases:
            self._debouncer.touch(release)

    def _watch(self) -> None:
        """Keep an observer on the directories while they exist."""
        watched: dict[Path, tuple[int, int]] = {}
        while True:
            found = {path: _identity(path) for path in self._directories()}
            present = {path: identity for path, identity in found.items() if identity}
            if present != watched:
                self._drop_observer()
                watched = present if self._observe(present) else {}
                self.touch(self._trees.releases())
                self._trees.forget_missing()
            if self._stopping.wait(self._timing.poll):
                return

    def _directories(self) -> tuple[Path, ...]:
        root = self._trees.root
        kinds = ("modprobe.d", "depmod.d")
        return (
            self._trees.directory,
            *(path for kind in kinds for path in config_directories(root, kind)),
        )

    def _observe(self, paths: Iterable[Path]) -> bool:
        observer = Observer()
        modules = self._trees.directory
        try:
            for path in paths:
                if path == modules:
                    observer.schedule(_TreeEvents(self), str(path), recursive=True)
                else:
                    observer.schedule(_ConfigEvents(self), str(path))
            observer.start()
        except OSError as error:
            log.warning("%s cannot be watched: %s", modules, error)
            return False
        self._observer = observer
        return True

    def _drop_observer(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def _rebuild(self, release: str) -> None:
        if release not in self._trees.releases():
            self._trees.forget_missing()
            return
        try:
            self._trees.rebuild(release)
        except KmoddError as error:
            log.debug("rebuild of %s: %s", release, error.message)
        except Exception:
            log.exception("rebuild of %s", release)

    def tree_changed(self, path: str) -> None:
        """Take in an event for ``path`` below the directory of trees."""
        release, _, inside = path.removeprefix(f"{self._trees.directory}/").partition("/")
        if not _is_output(inside):
            self.touch([release])

    def config_changed(self) -> None:
        """Take in an event in a configuration directory: it concerns every tree."""
        self.touch(self._trees.releases())


def _is_output(inside: str) -> bool:
    """Tell whether a path, relative to a release's directory, is of a file that depmod writes."""
    if is_temporary(inside):
        return True
    return inside.startswith("modules.") and "/" not in inside and inside not in INPUTS


class _TreeEvents(FileSystemEventHandler):
    """Hands the paths of changes in the trees to the watcher."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass on what can mean a change."""
        if _is_change(event):
            for path in filter(None, (event.src_path, event.dest_path)):
                self._watcher.tree_changed(_text(path))


class _ConfigEvents(FileSystemEventHandler):
    """Hands changes of the configuration to the watcher."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass on what can mean a change."""
        if _is_change(event):
            self._watcher.config_changed()


def _is_change(event: FileSystemEvent) -> bool:
    """Tell what may have changed a tree; a directory's own event only repeats that of its entry."""
    if event.is_directory and event.event_type == "modified":
        return False
    return event.event_type in CHANGES


def _text(path: object) -> str:
    """A path as watchdog types it: bytes or text."""
    return os.fsdecode(path) if isinstance(path, (bytes, str)) else ""


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell one directory from another of the same name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
