# SPDX-License-Identifier: Apache-2.0
"""What each module has taken of the kernel and not given back."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Entry:
    """One thing that a module holds: which kind, which one, and where in its code it was taken.

    ``name`` tells a person which one, where there is something to tell.
    """

    kind: str
    key: int
    module: str
    taken_at: int
    name: str = ""


class ResourceLedger:
    """The accounts of all modules; for who holds the processor.

    ``taker`` tells which module's code is asking, and from which address.
    """

    def __init__(
        self,
        taker: Callable[[], tuple[str, int]],
        missed: Callable[[str, int], None] | None = None,
    ) -> None:
        """``missed`` is told, with its kind and key, of what is given back and was not there."""
        self._taker = taker
        self._missed = missed
        self._entries: dict[tuple[str, int], list[Entry]] = {}
        self._accounts: dict[str, dict[int, Entry]] = {}

    def take(self, kind: str, key: int, name: str = "") -> None:
        """Put something on the account of the module whose code is running."""
        module, address = self._taker()
        entry = Entry(kind, key, module, address, name)
        self._entries.setdefault((kind, key), []).append(entry)
        self._accounts.setdefault(module, {})[id(entry)] = entry

    def give(self, kind: str, key: int) -> Entry | None:
        """Take something off the account that it is on; None where it is on none."""
        entries = self._entries.get((kind, key))
        if not entries:
            if self._missed is not None:
                self._missed(kind, key)
            return None
        entry = entries.pop()
        if not entries:
            del self._entries[kind, key]
        del self._accounts[entry.module][id(entry)]
        return entry

    def find(self, kind: str, key: int) -> Entry | None:
        """Return what is on an account."""
        entries = self._entries.get((kind, key))
        return entries[-1] if entries else None

    def within(self, start: int, end: int) -> Entry | None:
        """Return the first of what is on accounts that lies between two addresses, if anything."""
        found = (each for (_, key), each in self._entries.items() if start <= key < end)
        return next((each[-1] for each in found), None)

    def held(self, module: str) -> tuple[Entry, ...]:
        """Return what ``module`` has on its account, the oldest first."""
        return tuple(self._accounts.get(module, {}).values())

    def close(self, module: str) -> tuple[Entry, ...]:
        """Return what ``module`` still has, and forget it."""
        left = self.held(module)
        for entry in left:
            entries = self._entries[entry.kind, entry.key]
            entries.remove(entry)
            if not entries:
                del self._entries[entry.kind, entry.key]
        self._accounts.pop(module, None)
        return left
