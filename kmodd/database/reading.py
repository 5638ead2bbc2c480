# SPDX-License-Identifier: Apache-2.0
"""Module files as records: a few in this thread, thousands together with an assistant."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from kmodd.database.assistant import Assistant, AssistantError, Promise
from kmodd.database.inventory import ModuleRecord
from kmodd.database.record import effort, read_chunk, read_rows, records_of

Progress = Callable[[int, int], None]
"""Told how many module files have been read, and of how many."""

MANY = 2048
"""Files that are worth an assistant, who takes as long to start as reading half of them takes."""

_CHUNK = 64
"""Plain files that are read in one go; between two of these, progress is told."""

_AHEAD = 8
"""Chunks that the assistant has before it, so that it never waits for the next: of compressed
modules one may take as long as seven others. Towards the end it has fewer, since it reads all that
it was given, though what was last may have been read here by then."""

_SHARE = 4
"""One of so many chunks that are left is given to the assistant in advance."""

CORES = len(os.sched_getaffinity(0))

_MOST_READERS = 8
"""Threads that read compressed modules: decompression, and nothing else, lets the others run."""

_Chunk = Sequence[str]


def read_all(
    directory: str,
    paths: Iterable[str],
    progress: Progress | None = None,
    assistant: Assistant | None = None,
) -> list[ModuleRecord]:
    """Return the records of the modules at ``paths``, in any order.

    The paths are relative to the tree at ``directory``, or absolute. An assistant is given chunks
    from the end, while this thread begins with the first. Nobody waits for him: the last that he
    was given are read here, too, unless he is done with them before.
    """
    every = tuple(paths)
    helper = assistant if sum(map(effort, every)) >= MANY else None
    todo = deque(_chunks(every))
    given: deque[tuple[_Chunk, Promise]] = deque()
    records: list[ModuleRecord] = []
    while todo or given:
        # A thread more than there are cores takes more time than it gives.
        helped = helper is not None and not helper.has_left
        threads = min(CORES // 2 if helped else CORES, _MOST_READERS)
        while helper and helped and todo and len(given) < min(_AHEAD, 1 + len(todo) // _SHARE):
            chunk = todo.pop()
            given.append((chunk, helper.submit(read_rows, directory, chunk, threads)))
        if given and given[0][1].ready():
            records += _taken_back(directory, *given.popleft(), threads)
        elif todo:
            records += read_chunk(directory, todo.popleft(), threads)
        else:
            records += _read_meanwhile(directory, *given.pop(), threads)
        if progress:
            progress(len(records), len(every))
    return records


def _chunks(paths: Sequence[str]) -> Iterator[_Chunk]:
    """Yield ``paths`` in pieces that take about the same time."""
    chunk: list[str] = []
    size = 0
    for path in paths:
        chunk.append(path)
        size += effort(path)
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _taken_back(directory: str, chunk: _Chunk, rows: Promise, threads: int) -> list[ModuleRecord]:
    """Return the records that an assistant was to read, read here if he did not."""
    try:
        return records_of(rows.result())
    except AssistantError:
        return read_chunk(directory, chunk, threads)


def _read_meanwhile(
    directory: str, chunk: _Chunk, rows: Promise, threads: int
) -> list[ModuleRecord]:
    """Return the records that an assistant is to read, of him or of here, whoever is done first."""
    records: list[ModuleRecord] = []
    for start in range(0, len(chunk), threads):
        if rows.ready():
            return _taken_back(directory, chunk, rows, threads)
        records += read_chunk(directory, chunk[start : start + threads], threads)
    return records
