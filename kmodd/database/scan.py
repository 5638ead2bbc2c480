# SPDX-License-Identifier: Apache-2.0
"""From a module tree on disk to records: one a module, read again only when its file changed."""

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from sys import intern

from kmodd.config.depmod import DepmodConfig
from kmodd.database.model import FileStamp, Inventory, ModuleRecord, ScanMemory
from kmodd.database.walk import Walk, full_path, is_same, is_untouched
from kmodd.errors import ModuleFileError, Reason, TreeError
from kmodd.modulefile import ModuleFile
from kmodd.names import module_name_of_path

SETTLED_NS = 100_000_000
"""How long a change must be past, in nanoseconds, for a stamp to tell the next one from it.

The clock of the filesystem stands still between two ticks of the kernel's, at most 10 ms.
"""

Progress = Callable[[int, int], None]
"""Told how many module files have been read, and of how many."""

_READERS = 4
"""Threads that read compressed modules; decompression lets the others run."""

_PROGRESS_STEP = 64
"""Files between two reports of progress."""


def scan(
    directory: str,
    release: str,
    config: DepmodConfig,
    previous: Inventory | None = None,
    *,
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> Inventory:
    """Return what the tree at ``directory`` holds; unchanged files come of ``previous``.

    ``only`` are absolute paths of the files to take instead of what a walk finds. Raises
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
        records, memory = _walk(directory, config, known, only, progress, problems)
    for record in records.values():
        if record.error:
            path = full_path(directory, record.path)
            problems.append(f"ERROR: failed to load symbols from {path}: {record.error}")
    order = _read_file(directory, "modules.order", problems)
    if order and not order.endswith(b"\n"):
        problems.append(f"ERROR: {directory}/modules.order: corrupted line misses '\\n'")
    return Inventory(
        release=release,
        directory=directory,
        records=records,
        order=order,
        builtin=_read_file(directory, "modules.builtin", problems),
        builtin_modinfo=_read_file(directory, "modules.builtin.modinfo", problems),
        problems=tuple(problems),
        memory=memory,
    )


def _walk(
    directory: str,
    config: DepmodConfig,
    known: Inventory | None,
    only: Iterable[str] | None,
    progress: Progress | None,
    problems: list[str],
) -> tuple[Mapping[str, ModuleRecord], ScanMemory]:
    """Return the records of all modules by name, and what the next scan may take as read."""
    settled_before = time.time_ns() - SETTLED_NS
    walk = Walk(directory, config, known.memory.listings if known else {}, settled_before)
    files = walk.files() if only is None else walk.named(only)
    records, changed = _choose(files, config, known)
    records |= _read_all(directory, changed, progress)
    problems += walk.problems
    unsettled = [name for name in changed if records[name].stamp.ctime_ns > settled_before]
    return records, ScanMemory(config, walk.listings, walk.complete, frozenset(unsettled))


def _choose(
    files: Iterable[tuple[str, os.stat_result]], config: DepmodConfig, known: Inventory | None
) -> tuple[dict[str, ModuleRecord], dict[str, str]]:
    """Return the records that are still good, and the paths of those to read, both by name.

    Of several files of one module that rank the same, the one whose path sorts first counts.
    (For depmod it is the one that the filesystem happens to list first or last.)
    """
    trusted: dict[str, ModuleRecord] = {}
    if known:
        trusted = {record.path: record for record in known.records.values()}
        for name in known.memory.unsettled:
            del trusted[known.records[name].path]
    paths: dict[str, str] = {}
    good: dict[str, ModuleRecord] = {}
    for path, status in files:
        record = trusted.get(path)
        name = record.name if record else intern(module_name_of_path(path))
        if name in paths:
            rival = paths[name]
            if (config.rank(path), path) > (config.rank(rival), rival):
                continue
            good.pop(name, None)
        paths[name] = path
        if record and is_same(record.stamp, status):
            good[name] = record
    return good, {name: path for name, path in paths.items() if name not in good}


def _read_all(
    directory: str, paths: Mapping[str, str], progress: Progress | None
) -> dict[str, ModuleRecord]:
    """Return the records of the modules at ``paths``, by name."""
    read = partial(read_record, directory)
    compressed = {name: path for name, path in paths.items() if not path.endswith(".ko")}
    plain = {name: path for name, path in paths.items() if path.endswith(".ko")}
    records: dict[str, ModuleRecord] = {}
    if len(compressed) > 1:
        with ThreadPoolExecutor(_READERS, thread_name_prefix="kmodd-read") as pool:
            read_ahead = zip(compressed, pool.map(read, compressed.values()), strict=True)
            records |= _counted(read_ahead, 0, len(paths), progress)
    else:
        plain |= compressed
    results = ((name, read(path)) for name, path in plain.items())
    records |= _counted(results, len(records), len(paths), progress)
    return records


def _counted(
    results: Iterable[tuple[str, ModuleRecord]], start: int, total: int, progress: Progress | None
) -> Iterator[tuple[str, ModuleRecord]]:
    """Pass ``results`` on, and tell ``progress`` of every few; ``start`` were there before."""
    for count, result in enumerate(results, start + 1):
        yield result
        if progress and (count % _PROGRESS_STEP == 0 or count == total):
            progress(count, total)


def read_record(directory: str, path: str) -> ModuleRecord:
    """Return the record of the module at ``path``, relative to the tree at ``directory``.

    A file that cannot be read, or that is no module, is a record with the reason as its error.
    """
    try:
        with ModuleFile.open(full_path(directory, path)) as module:
            return _record(path, module)
    except (ModuleFileError, OSError) as error:
        why = error.why if isinstance(error, ModuleFileError) else os.strerror(error.errno or 0)
        return ModuleRecord(
            path=path, name=module_name_of_path(path), stamp=_stamp(directory, path), error=why
        )


def _record(path: str, module: ModuleFile) -> ModuleRecord:
    values: dict[str, list[str]] = {"alias": [], "softdep": [], "weakdep": [], "vermagic": []}
    for key, value in module.modinfo():
        if key in values:
            values[key].append(value)
    assert module.stat is not None, "a module that was opened by its path has been looked at"
    return ModuleRecord(
        path=path,
        name=intern(module_name_of_path(path)),
        stamp=file_stamp(module.stat),
        exports=tuple([(intern(name), crc) for name, crc in module.symbol_crcs()]),
        imports=tuple(map(intern, module.dependency_symbols())),
        aliases=tuple(values["alias"]),
        softdeps=tuple(values["softdep"]),
        weakdeps=tuple(values["weakdep"]),
        vermagic=intern("".join(values["vermagic"][:1])),
    )


def file_stamp(status: os.stat_result) -> FileStamp:
    """Return the stamp of the file that ``status`` describes."""
    return FileStamp(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def _stamp(directory: str, path: str) -> FileStamp:
    """Return the stamp of a file that could not be read, as far as it can be had."""
    try:
        return file_stamp(os.stat(full_path(directory, path)))
    except OSError:
        return FileStamp(0, 0, 0, 0, 0)


def _read_file(directory: str, name: str, problems: list[str]) -> bytes | None:
    """Return the bytes of a file that the kernel's build leaves beside the modules, or None."""
    try:
        fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return file.read()
            why = "not a regular file"
    except OSError as error:
        why = os.strerror(error.errno or 0)
    problems.append(f"WARNING: could not open {name} at {directory}: {why}")
    return None
