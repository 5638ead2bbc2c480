# SPDX-License-Identifier: Apache-2.0
"""Why a module is in the kernel: somebody asked for it, or another module needed it."""

import enum
import threading
from collections.abc import Iterable


class Origin(enum.Enum):
    """Why a module was loaded, as far as this daemon knows."""

    ASKED = "asked"
    DEPENDENCY = "dependency"
    UNKNOWN = "unknown"


class Origins:
    """The origins of the loaded modules. ``_lock`` guards the table, readers need none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._origins: dict[str, Origin] = {}

    def of(self, name: str) -> Origin:
        """Return why ``name`` is in the kernel; UNKNOWN where another program put it there."""
        return self._origins.get(name, Origin.UNKNOWN)

    def note_asked(self, names: Iterable[str]) -> None:
        """Note modules that were asked for by name or alias, whoever had loaded them."""
        with self._lock:
            for name in names:
                self._origins[name] = Origin.ASKED

    def note_needed(self, names: Iterable[str]) -> None:
        """Note modules that were loaded for others; asked for before, they still are."""
        with self._lock:
            for name in names:
                self._origins.setdefault(name, Origin.DEPENDENCY)

    def forget(self, names: Iterable[str]) -> None:
        """Forget modules that have left the kernel."""
        with self._lock:
            for name in names:
                self._origins.pop(name, None)
