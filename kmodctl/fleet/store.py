# SPDX-License-Identifier: Apache-2.0
"""What is asked of etcd, by an agent and by an operator's command: keys, watches and leases.

The terms are etcd's (https://etcd.io/docs/v3.6/learning/api/): a revision counts what was written
to the store, an entry has the one in which it came to be and that of its last change, and a watch
goes on from one. Keys are texts, values bytes.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from kmodctl.errors import KmodctlError


class StoreError(KmodctlError):
    """What was asked has failed, or its answer is not known; the message names the endpoint."""

    reason = "STORE_UNAVAILABLE"


class CompactedError(StoreError):
    """A watch is to go on from a revision that is kept no more: list, and watch from there."""

    reason = "STORE_COMPACTED"

    def __init__(self, oldest: int) -> None:
        super().__init__(f"what happened before revision {oldest} is kept no more")
        self.oldest = oldest


class LeaseGoneError(StoreError):
    """A lease has run out, or was given up, and what was kept by it is gone."""

    reason = "LEASE_GONE"


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A key with its value; ``created`` and ``changed`` are revisions, ``lease`` 0 for none."""

    key: str
    value: bytes
    created: int
    changed: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries, those of each prefix in the order of their keys, as they were at ``revision``."""

    entries: tuple[StoredEntry, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What became of a key: ``entry`` is None where it is gone, at ``revision``."""

    key: str
    entry: StoredEntry | None
    revision: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A compare of a transaction: the key's last change was at ``revision``; 0 for no such key."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """Write ``value``, which goes with the ``lease`` unless that is 0."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key; where it is missing nothing happens."""

    key: str


@dataclass(frozen=True, slots=True)
class Transacted:
    """Whether a transaction was made, or found a compare not to hold; the ``revision`` then."""

    succeeded: bool
    revision: int


class Store(Protocol):
    """A connection to etcd. Every method raises StoreError, within a bounded time but ``watch``."""

    async def get(self, key: str) -> StoredEntry | None:
        """Return a key's entry, None where there is none."""

    async def list(self, *prefixes: str) -> Listing:
        """Return all whose keys begin with one of ``prefixes``, of one revision."""

    async def transact(
        self, compares: Sequence[Changed], operations: Sequence[Put | Delete]
    ) -> Transacted:
        """Do all ``operations`` where all ``compares`` hold, else nothing.

        Raises LeaseGoneError for a lease that is gone. Where a StoreError tells that no answer
        came, it may have been done.
        """

    def watch(self, prefixes: Sequence[str], after: int) -> AsyncIterator[tuple[KeyChange, ...]]:
        """Yield what changes of keys that begin with one of ``prefixes``, after that revision.

        All changes of one revision come together, those of a later one later. Where a connection
        is lost it goes on at another endpoint. It ends with StoreError once none answers, with
        CompactedError where it cannot be gone on from there.
        """

    async def grant(self, seconds: int) -> int:
        """Return a new lease that lives for so long after each ``keep_alive``."""

    async def keep_alive(self, lease: int) -> None:
        """Have a lease live on. Raises LeaseGoneError where it is gone."""

    async def revoke(self, lease: int) -> None:
        """Give up a lease, and with it its keys; one that is gone is no error."""

    async def close(self) -> None:
        """End the connection and all that is under way."""
