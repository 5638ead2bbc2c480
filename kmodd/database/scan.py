# SPDX-License-Identifier: Apache-2.0
"""From a module tree on disk to records: one a module, read again only when its file changed."""

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from sys import intern

from kmodd.config.depmod import DepmodConfig
from kmodd.database.assistant import Assistant
from kmodd.database.inventory import NO_STAMP, Inventory, ModuleRecord, ScanMemory
from kmodd.database.reading import MANY, Progress, read_all
from kmodd.database.record import effort
from kmodd.database.walk import Walk, full_path, is_untouched
from kmodd.errors import Reason, TreeError
from kmodd.names import module_name_of_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodd.config.files import Objection

_ORDER_LINE = 32
"""Bytes of a line of modules.order, and rather less (Debian's have 45)."""

SETTLED_NS = 100_000_000
"""How long a change must be past, in nanoseconds, for a stamp to tell the next one from it.

The clock of the filesystem stands still between two ticks of the kernel's, at most 10 ms.
"""


def scan(
    directory: str,
    release: str,
    config: DepmodConfig,
    previous: Inventory | None = None,
    *,
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
    assistant: Assistant | None = None,
    objection: "Objection | None" = None,
) -> Inventory:
    """Return what the tree at ``directory`` holds; unchanged files come of ``previous``.

    ``only`` are absolute paths of the files to take instead of what a walk finds. A file of the
    kernel's build that there is an ``objection`` to counts as one that cannot be read. Raises
    TreeError: TREE_NOT_FOUND without the directory, TREE_UNREADABLE for a tree that has no end.
    A file or directory that cannot be read is among the problems.
    """
    if not os.path.isdir(directory):
        raise TreeError(Reason.TREE_NOT_FOUND, f"{directory} is no module tree", detail=directory)
    known = previous if previous and previous.directory == directory else None
    problems = list(config.problems)
    if known and only is None and known.memory.config == config and is_untouched(known):
        records, memory = known.records, known.memory
    else:
        if assistant and not known and only is None and _looks_large(directory):
            assistant.start()
        records, memory = _read(directory, config, known, only, progress, assistant, problems)
    order = _read_order(directory, problems, objection)
    problems += _unreadable(directory, records.values())
    unread: dict[str, str] = {}
    return Inventory(
        release=release,
        directory=directory,
        records=records,
        order=order,
        builtin=_read_file(directory, "modules.builtin", unread, objection),
        builtin_modinfo=_read_file(directory, "modules.builtin.modinfo", unread, objection),
        problems=tuple(problems),
        unread=unread,
        memory=memory,
    )


def _read(
    directory: str,
    config: DepmodConfig,
    known: Inventory | None,
    only: Iterable[str] | None,
    progress: Progress | None,
    assistant: Assistant | None,
    problems: list[str],
) -> tuple[dict[str, ModuleRecord], ScanMemory]:
    """Walk the tree, and read what is not as it was when it was read for ``known``."""
    settled_before = time.time_ns() - SETTLED_NS
    trusted = _trusted(known) if known else {}
    listings = known.memory.listings if known else {}
    walk = Walk(directory, config, listings, trusted, settled_before)
    files = walk.files() if only is None else walk.named(only)
    records, changed = _choose(files, config, trusted, assistant)
    unsettled = []
    for record in read_all(directory, changed.values(), progress, assistant):
        if record.stamp == NO_STAMP:
            walk.lose(record.path, record.error)
            continue
        records[record.name] = record
        if record.stamp.ctime_ns > settled_before:
            unsettled.append(record.name)
    problems += walk.problems
    return records, ScanMemory(config, walk.listings, walk.complete, frozenset(unsettled))


def _unreadable(directory: str, records: Iterable[ModuleRecord]) -> Iterator[str]:
    """Yield what depmod says of each file that could not be read."""
    for record in records:
        if record.error:
            path = full_path(directory, record.path)
            yield f"ERROR: failed to load symbols from {path}: {record.error}"


def _read_order(directory: str, problems: list[str], objection: "Objection | None") -> bytes | None:
    """Return modules.order; that its last line has no end is a problem."""
    unread: dict[str, str] = {}
    order = _read_file(directory, "modules.order", unread, objection)
    problems += unread.values()
    if order and not order.endswith(b"\n"):
        line = order.count(b"\n") + 1
        problems.append(f"ERROR: {directory}/modules.order:{line} corrupted line misses '\\n'")
    return order


def _looks_large(directory: str) -> bool:
    """Tell by its build's list whether a tree has modules enough to be read by two."""
    try:
        return os.stat(f"{directory}/modules.order").st_size >= MANY * _ORDER_LINE
    except OSError:
        return False


def _trusted(known: Inventory) -> dict[str, ModuleRecord]:
    """Return the records that hold for as long as their files are the same, by path."""
    unsettled = known.memory.unsettled
    records = known.records.values()
    return {record.path: record for record in records if record.name not in unsettled}


def _choose(
    files: Iterable[tuple[str, bool]],
    config: DepmodConfig,
    trusted: Mapping[str, ModuleRecord],
    assistant: Assistant | None,
) -> tuple[dict[str, ModuleRecord], dict[str, str]]:
    """Return the records that are still good, and the paths of those to read, both by name.

    Of several files of one module that rank the same, the one whose path sorts first counts.
    (For depmod it is the one that the filesystem happens to list first or last.)
    """
    good: dict[str, ModuleRecord] = {}
    changed: dict[str, str] = {}
    work = 0
    for path, is_known in files:
        name = trusted[path].name if is_known else intern(module_name_of_path(path))
        if name in good or name in changed:
            rival = good[name].path if name in good else changed[name]
            if (config.rank(path), path) > (config.rank(rival), rival):
                continue
            good.pop(name, None)
            changed.pop(name, None)
        if is_known:
            good[name] = trusted[path]
            continue
        changed[name] = path
        work += effort(path)
        if assistant and work >= MANY:
            assistant.start()  # the walk goes on as long as that takes
    return good, changed


def _read_file(
    directory: str, name: str, unread: dict[str, str], objection: "Objection | None"
) -> bytes | None:
    """Return the bytes of a file that the kernel's build leaves beside the modules.

    Without it None is returned, and what depmod says of that is put into ``unread``.
    """
    path = f"{directory}/{name}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            why = objection(fd, path) if objection else ""
            if not why and stat.S_ISREG(os.fstat(fd).st_mode):
                return file.read()
            why = why or "not a regular file"
    except OSError as error:
        why = os.strerror(error.errno or 0)
    unread[name] = f"WARNING: could not open {name} at {directory}: {why}"
    return None
