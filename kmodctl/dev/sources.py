# SPDX-License-Identifier: Apache-2.0
"""The sources of a directory: which files they are, and when one of them is saved.

Editors save in many ways: they write the file anew, cut it off and write, or rename another over
it, and leave copies and locks beside it. A build writes there, too. So an event only says that
there may be something new, and whether there is, is seen from the files.
"""

import os
from contextlib import suppress
from typing import Self

from watchdog.events import (
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

from kmodctl.errors import KmodctlError

FILES_MAX = 10_000
"""Sources in a directory; one with more is not a module's."""

_ENDINGS = (".c", ".h", ".S", ".rs", ".dts", "_shipped")

_MAKES = ("Kbuild", "Makefile", "Kconfig")
"""What Kbuild reads (Documentation/kbuild/modules.rst), and what that often includes."""

_EVENTS: list[type[FileSystemEvent]] = [
    *(FileModifiedEvent, FileCreatedEvent, FileDeletedEvent, FileMovedEvent, FileClosedEvent),
    *(DirMovedEvent, DirDeletedEvent),
]

Snapshot = dict[str, tuple[int, int, int]]
"""Each source's inode, size and time, by its path within the directory."""


class SourcesError(KmodctlError):
    """A directory that has no module's sources; the message says why."""

    reason = "NO_SOURCES"


def is_source(name: str) -> bool:
    """Tell whether a file of that name is a source: neither built, nor an editor's own."""
    if name.startswith((".", "#")) or name.endswith(("~", "#", ".mod.c")):
        return False
    return name.endswith(_ENDINGS) or name.partition(".")[0] in _MAKES


def snapshot(directory: str) -> Snapshot:
    """Return how the sources below ``directory`` are now; what is hidden is none.

    Raises SourcesError where there are more than FILES_MAX, or no Kbuild and no Makefile.
    """
    found: Snapshot = {}
    if not any(os.path.isfile(os.path.join(directory, each)) for each in ("Kbuild", "Makefile")):
        is_there = "has neither Kbuild nor Makefile" if os.path.isdir(directory) else "is not there"
        raise SourcesError(f"{directory} {is_there}; 'kmodctl new NAME' writes a module's sources")
    for place, directories, files in os.walk(directory):
        directories[:] = [each for each in directories if not each.startswith(".")]
        for name in filter(is_source, files):
            path = os.path.join(place, name)
            with suppress(OSError):  # it was removed, or is a link to nothing
                known = os.stat(path)
                found[path] = (known.st_ino, known.st_size, known.st_mtime_ns)
        if len(found) > FILES_MAX:
            raise SourcesError(f"{directory} has more than {FILES_MAX} sources; name a module's")
    return found


class SourceWatch(FileSystemEventHandler):
    """Tells of events at the sources below a directory; a context manager.

    Its descriptor can be read once there was one. ``why_blind`` tells why there are none, "" where
    there are.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._observer = Observer()
        self.why_blind = ""

    def __enter__(self) -> Self:
        self._inbox, self._outbox = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._observer.schedule(self, self._directory, recursive=True, event_filter=_EVENTS)
            self._observer.start()
        except OSError as error:  # the number of watches is limited
            self.why_blind = error.strerror or str(error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
        os.close(self._inbox)
        os.close(self._outbox)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._inbox

    def clear(self) -> None:
        """Take note of what there was."""
        with suppress(BlockingIOError):
            while os.read(self._inbox, 4096):
                pass

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Make the descriptor readable, if it is about a source; called on watchdog's thread."""
        paths = (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))
        if event.is_directory or any(is_source(os.path.basename(each)) for each in paths if each):
            with suppress(BlockingIOError):  # it is readable
                os.write(self._outbox, b"!")
