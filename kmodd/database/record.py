# SPDX-License-Identifier: Apache-2.0
"""One module file as a record, and a few of them as bytes to hand to another process."""

from __future__ import annotations

import marshal
import os
from sys import intern

from kmodd.database.inventory import FileStamp, ModuleRecord
from kmodd.database.walk import file_stamp, full_path, stamp_at
from kmodd.errors import ModuleFileError
from kmodd.modulefile.quick import read_contents
from kmodd.names import module_name_of_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_UNPACKING = 4
"""Files that could be read in the time that a compressed one takes at least."""

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def effort(path: str) -> int:
    """Return how much work it is to read a module, a plain one being 1."""
    return 1 if path.endswith(".ko") else _UNPACKING


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
        return ModuleRecord(path=path, name=name, stamp=stamp_at(directory, path), error=why)


def read_rows(directory: str, chunk: Sequence[str], threads: int) -> bytes:
    """Return the records of a few modules as an assistant hands them back.

    That is marshalled rows: they take a third of a pickle's time, and names that were interned
    come back interned.
    """
    records = read_chunk(directory, chunk, threads)
    return marshal.dumps([(*record[:2], tuple(record.stamp), *record[3:]) for record in records])


def read_chunk(directory: str, chunk: Sequence[str], threads: int) -> list[ModuleRecord]:
    """Return the records of a few modules; compressed ones are read by that many threads."""

    def read(path: str) -> ModuleRecord:
        return read_record(directory, path)

    if threads < 2 or len(chunk) == 1 or all(path.endswith(".ko") for path in chunk):
        return list(map(read, chunk))
    # Imported only here: a process that starts for the reading's sake has no time to lose.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads, thread_name_prefix="kmodd-read") as pool:
        return list(pool.map(read, chunk))


def records_of(rows: bytes) -> list[ModuleRecord]:
    """Return the records that ``read_rows`` made bytes of."""
    read: list[Any] = marshal.loads(rows)
    return [ModuleRecord(path, name, FileStamp(*stamp), *rest) for path, name, stamp, *rest in read]
