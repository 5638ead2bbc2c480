# SPDX-License-Identifier: Apache-2.0
"""What an agent knows of etcd, on disk: the wishes and rollouts, for a start without etcd."""

import base64
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmodctl.fleet.store import StoredEntry
from kmodd.host.whole_file import write_whole

MAX_FILE = 512 << 20
"""Bytes that are read at most."""

NAME = "wishes.json"
"""The name of the file in the agent's directory."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptWishes:
    """The ``entries`` as they were at ``revision`` of etcd, 0 for never, by their keys.

    ``orphans`` are the names of wishes that etcd has no more though nobody has taken them away.
    """

    revision: int = 0
    entries: Mapping[str, StoredEntry] = field(default_factory=dict)
    orphans: frozenset[str] = frozenset()


def load_kept(directory: Path | None, prefix: str) -> KeptWishes:
    """Return what is kept of the keys below ``prefix``; nothing where it makes no sense."""
    if directory is None:
        return KeptWishes()
    path = directory / NAME
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError("it is too large")
        found = json.loads(path.read_bytes())
        return _kept(found) if found["prefix"] == prefix else KeptWishes()
    except FileNotFoundError:
        return KeptWishes()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        log.warning("%s is dropped: %s", path, error or type(error).__name__)
        return KeptWishes()


def save_kept(directory: Path | None, prefix: str, kept: KeptWishes) -> None:
    """Keep it; a failure is logged. Only who owns the directory may read it."""
    if directory is None:
        return
    found = {
        "prefix": prefix,
        "revision": kept.revision,
        "entries": [_row(each) for each in kept.entries.values()],
        "orphans": sorted(kept.orphans),
    }
    try:
        write_whole(directory / NAME, json.dumps(found).encode(), lasting=True)
    except OSError as error:
        log.warning("%s cannot be kept: %s", directory / NAME, os.strerror(error.errno or 0))


def _row(entry: StoredEntry) -> list[Any]:
    value = base64.b64encode(entry.value).decode()
    return [entry.key, value, entry.created, entry.changed]


def _kept(found: Mapping[str, Any]) -> KeptWishes:
    entries = [_entry(*row) for row in found["entries"]]
    orphans = frozenset(found["orphans"])
    if not all(isinstance(each, str) for each in orphans):
        raise ValueError("a name is no text")
    return KeptWishes(int(found["revision"]), {each.key: each for each in entries}, orphans)


def _entry(key: str, value: str, created: int, changed: int) -> StoredEntry:
    if not isinstance(key, str):
        raise ValueError("a key is no text")
    return StoredEntry(key, base64.b64decode(value, validate=True), int(created), int(changed))


def names_of(entries: Iterable[StoredEntry]) -> frozenset[str]:
    """Return the names that are spoken of, the last parts of the keys."""
    return frozenset(entry.key.rpartition("/")[2] for entry in entries)
