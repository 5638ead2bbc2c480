# SPDX-License-Identifier: Apache-2.0
"""Module files as records: a few in this thread, thousands together with an assistant."""

import marshal
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from sys import intern
from typing import Any

from kmodd.database.assistant import Assistant, AssistantError
from kmodd.database.model import NO_STAMP, FileStamp, ModuleRecord
from kmodd.database.walk import file_stamp, full_path
from kmodd.errors import ModuleFileError
from kmodd.modulefile.quick import read_contents
from kmodd.names import module_name_of_path

Progress = Callable[[int, int], None]
"""Told how many module files have been read, and of how many."""

MANY = 512
"""Files that are worth an assistant, who takes as long to start as reading them takes."""

_CHUNK = 64
"""Files that are read in one go; between two of these, progress is told."""

_AHEAD = 2
"""Chunks that the assistant has before it, so that it never waits for the next."""

_READERS = 4
"""Threads that read compressed modules; decompression lets the others run."""

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_Chunk = Sequence[str]


def read_all(
    directory: str,
    paths: Iterable[str],
    progress: Progress | None = None,
    assistant: Assistant | None = None,
) -> list[ModuleRecord]:
    """Return the records of the modules at ``paths``, in any order.

    The paths are relative to the tree at ``directory``, or absolute.
    """
    every = tuple(paths)
    helper = assistant if len(every) >= MANY else None
    todo = deque(every[start : start + _CHUNK] for start in range(0, len(every), _CHUNK))
    given: deque[tuple[_Chunk, Future[bytes]]] = deque()
    records: list[ModuleRecord] = []
    while todo or given:
        while helper and todo and len(given) < _AHEAD:
            chunk = todo.pop()
            given.append((chunk, helper.submit(read_rows, directory, chunk)))
        if given and (given[0][1].done() or not todo):
            records += _taken_back(directory, *given.popleft())
        else:
            records += _read_chunk(directory, todo.popleft())
        if progress:
            progress(len(records), len(every))
    return records


def read_record(directory: str, path: str) -> ModuleRecord:
    """Return the record of the module at ``path``, relative to the tree at ``directory``.

    A file that cannot be read, or that is no module, is a record with the reason as its error.
    """
    name = intern(module_name_of_path(path))
    full = full_path(directory, path)
    try:
        fd = os.open(full, _OPEN_FLAGS)
        try:
            status = os.fstat(fd)
            return ModuleRecord(path, name, file_stamp(status), *read_contents(fd, full, status))
        finally:
            os.close(fd)
    except (ModuleFileError, OSError) as error:
        why = error.why if isinstance(error, ModuleFileError) else os.strerror(error.errno or 0)
        return ModuleRecord(path=path, name=name, stamp=_stamp(directory, path), error=why)


def read_rows(directory: str, chunk: _Chunk) -> bytes:
    """Return the records of a few modules as an assistant hands them back.

    That is marshalled rows: they take a third of a pickle's time, and names that were interned
    come back interned.
    """
    records = _read_chunk(directory, chunk)
    return marshal.dumps([(*record[:2], tuple(record.stamp), *record[3:]) for record in records])


def _read_chunk(directory: str, chunk: _Chunk) -> list[ModuleRecord]:
    read = partial(read_record, directory)
    if len(chunk) == 1 or all(path.endswith(".ko") for path in chunk):
        return list(map(read, chunk))
    with ThreadPoolExecutor(_READERS, thread_name_prefix="kmodd-read") as pool:
        return list(pool.map(read, chunk))


def _taken_back(directory: str, chunk: _Chunk, rows: Future[bytes]) -> list[ModuleRecord]:
    """Return the records that an assistant was to read, read here if he did not."""
    try:
        read: list[Any] = marshal.loads(rows.result())
    except AssistantError:
        return _read_chunk(directory, chunk)
    return [ModuleRecord(path, name, FileStamp(*stamp), *rest) for path, name, stamp, *rest in read]


def _stamp(directory: str, path: str) -> FileStamp:
    """Return the stamp of a file that could not be read, as far as it can be had."""
    try:
        return file_stamp(os.stat(full_path(directory, path)))
    except OSError:
        return NO_STAMP
