# SPDX-License-Identifier: Apache-2.0
"""Why a module is in the kernel: somebody asked for it, it is wished, or another needed it."""

import enum
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from kmodd.access.caller import Caller, Role
from kmodd.state import AskedStore


class Origin(enum.Enum):
    """Why a module was loaded, as far as this daemon knows.

    What was there when it began is of UNKNOWN origin, unless a daemon before it has noted that
    somebody asked for it. OTHERS have come since, and not by the daemon's doing.
    """

    ASKED = "asked"
    DEPENDENCY = "dependency"
    HOTPLUG = "hotplug"
    OTHERS = "others"
    STATE = "state"
    UNKNOWN = "unknown"


class LoadOrigins:
    """The origins of the loaded modules, and which an admin has asked for. ``_lock`` guards both,
    readers need none. A wish counts as an admin's, and for less than what somebody asks for.

    Which modules were asked for is stored whenever that changes, where there is a store.
    """

    def __init__(self, loaded: Collection[str] = (), store: AskedStore | None = None) -> None:
        """``loaded`` are the modules that the kernel has by now."""
        self._lock = threading.Lock()
        self._store = store
        stored = store.load() if store is not None else frozenset()
        self._origins = {name: Origin.ASKED for name in loaded if name in stored}
        by_wishes = store.by_wishes() if store is not None else frozenset()
        self._origins |= {name: Origin.STATE for name in self._origins if name in by_wishes}
        by_loaders = store.by_loaders() if store is not None else frozenset()
        self._by_admins = self._origins.keys() - by_loaders
        self._at_start = set(loaded)
        self._coming: Counter[str] = Counter()
        self.version = 0
        """Counts the changes of an origin."""

    def of(self, name: str) -> Origin:
        """Return why ``name`` is in the kernel."""
        found = self._origins.get(name)
        if found is not None:
            return found
        is_ours = name in self._at_start or name in self._coming
        return Origin.UNKNOWN if is_ours else Origin.OTHERS

    @contextmanager
    def coming(self, name: str) -> Iterator[None]:
        """Take ``name`` for loaded by this daemon where it comes within the context.

        Unless that fails it is a dependency, until it is noted what it was loaded for.
        """
        with self._lock:
            self._coming[name] += 1
            self.version += 1
        try:
            yield
            with self._lock:
                self._origins.setdefault(name, Origin.DEPENDENCY)
        finally:
            with self._lock:
                self._coming[name] -= 1
                if not self._coming[name]:
                    del self._coming[name]
                self.version += 1

    def is_admins(self, name: str) -> bool:
        """Tell whether an admin has asked for ``name``."""
        return name in self._by_admins

    def note_asked(self, names: Iterable[str], caller: Caller) -> None:
        """Note modules that ``caller`` asked for by name or alias, whoever had loaded them."""
        by_admin = caller.role is Role.ADMIN
        names = tuple(names)
        if not any(self._is_news(name, by_admin=by_admin) for name in names):
            return
        with self._lock:
            fresh = [name for name in names if self._is_news(name, by_admin=by_admin)]
            self._origins |= dict.fromkeys(fresh, Origin.ASKED)
            self.version += 1
            if by_admin:
                self._by_admins.update(fresh)
            if fresh:
                self._keep()

    def note_plugged(self, names: Iterable[str]) -> None:
        """Note modules that were loaded for a device; what was asked for or wished still is."""
        with self._lock:
            for name in names:
                if self._origins.get(name) not in (Origin.ASKED, Origin.STATE):
                    self._origins[name] = Origin.HOTPLUG
            self.version += 1

    def note_wished(self, names: Iterable[str]) -> None:
        """Note modules that were loaded just now for a wish; asked for before, they still are."""
        with self._lock:
            fresh = [name for name in names if self._origins.get(name) is not Origin.ASKED]
            self._origins |= dict.fromkeys(fresh, Origin.STATE)
            self._by_admins.update(fresh)
            self.version += 1
            if fresh:
                self._keep()

    def wished(self) -> frozenset[str]:
        """Return the modules that were loaded for a wish, and nobody has asked for otherwise."""
        with self._lock:
            return frozenset(
                name for name, origin in self._origins.items() if origin is Origin.STATE
            )

    def note_needed(self, names: Iterable[str]) -> None:
        """Note modules that were loaded for others; asked for before, they still are."""
        with self._lock:
            for name in names:
                self._origins.setdefault(name, Origin.DEPENDENCY)
            self.version += 1

    def unnoted(self, names: Iterable[str]) -> frozenset[str]:
        """Return those of ``names`` of which nothing is noted: others, or an earlier life of the
        daemon, have loaded them.
        """
        with self._lock:
            return frozenset(name for name in names if name not in self._origins)

    def unnote(self, names: Iterable[str]) -> None:
        """Take back that modules were loaded by this daemon, which has only put them in again."""
        with self._lock:
            for name in names:
                if self._origins.get(name) is Origin.DEPENDENCY:
                    del self._origins[name]
            self.version += 1

    def forget(self, names: Iterable[str]) -> None:
        """Forget modules that have left the kernel."""
        with self._lock:
            names = tuple(names)
            gone = [self._origins.pop(name, None) for name in names]
            self._by_admins.difference_update(names)
            self._at_start.difference_update(names)
            self.version += 1
            if Origin.ASKED in gone or Origin.STATE in gone:
                self._keep()

    def _is_news(self, name: str, *, by_admin: bool) -> bool:
        if self._origins.get(name) is not Origin.ASKED:
            return True
        return by_admin and name not in self._by_admins

    def _keep(self) -> None:
        if self._store is not None:
            wished = {name for name, origin in self._origins.items() if origin is Origin.STATE}
            asked = {name for name, origin in self._origins.items() if origin is Origin.ASKED}
            self._store.store(asked | wished, asked - self._by_admins, wished)
