# SPDX-License-Identifier: Apache-2.0
"""Memory in pieces (lib/scatterlist.c, crypto/scatterwalk.c)."""

import errno
from collections.abc import Iterator

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import SCATTERLIST, SCATTERLIST_ITERATOR
from kmodd.kernel.emulated.functions.pages import address_of, page_of
from kmodd.kernel.emulated.functions.strings import bounded
from kmodd.kernel.emulated.hardware.memory import PAGE
from kmodd.kernel.emulated.machine.machine import Machine

_CHAIN, _END = 1, 2
_ENTRIES_MAX = 1 << 20
"""Entries that one list has at most; more are one that leads back to itself."""

_WORDS = frozenset({"page", "address", "length", "consumed", "entry"})
"""The fields of an iterator that have 8 bytes; the others have 4."""


def _put(machine: Machine, miter: int, **fields: int) -> None:
    """Store fields of an iterator."""
    for name, value in fields.items():
        size = 8 if name in _WORDS else 4
        machine.memory.put(miter + getattr(SCATTERLIST_ITERATOR, name), value, size)


@function("void sg_init_table(struct scatterlist *sgl, unsigned int nents)")
def sg_init_table(machine: Machine, entries: int, count: int) -> None:
    size = bounded(count * SCATTERLIST.size)
    machine.memory.write(entries, bytes(size))
    machine.memory.put(entries + size - SCATTERLIST.size + SCATTERLIST.page, _END)


@function("void sg_init_one(struct scatterlist *sg, const void *buf, unsigned int buflen)")
def sg_init_one(machine: Machine, entry: int, data: int, size: int) -> None:
    sg_init_table(machine, entry, 1)
    machine.memory.put(entry + SCATTERLIST.page, page_of(data) | _END)
    machine.memory.put(entry + SCATTERLIST.offset, data % PAGE, 4)
    machine.memory.put(entry + SCATTERLIST.length, size, 4)


@function("struct scatterlist *sg_next(struct scatterlist *sg)")
def sg_next(machine: Machine, entry: int) -> int:
    if machine.memory.number(entry + SCATTERLIST.page) & _END:
        return 0
    following = entry + SCATTERLIST.size
    link = machine.memory.number(following + SCATTERLIST.page)
    return link & ~(_CHAIN | _END) if link & _CHAIN else following


def _entries(machine: Machine, entry: int, most: int = _ENTRIES_MAX) -> Iterator[int]:
    """Yield the entries of a list, ``most`` at most; raises ValueError where it has no end."""
    count = 0
    while entry and count < most:
        yield entry
        entry, count = sg_next(machine, entry) or 0, count + 1
    if count == _ENTRIES_MAX:
        raise ValueError("a list without an end")


@function("int sg_nents(struct scatterlist *sg)")
def sg_nents(machine: Machine, entry: int) -> int:
    return sum(1 for _ in _entries(machine, entry))


@function("int sg_nents_for_len(struct scatterlist *sg, u64 len)")
def sg_nents_for_len(machine: Machine, entry: int, size: int) -> int:
    if not size:
        return 0
    total = 0
    for number, each in enumerate(_entries(machine, entry), 1):
        total += machine.memory.number(each + SCATTERLIST.length, 4)
        if total >= size:
            return number
    return -errno.EINVAL


def _where(machine: Machine, entry: int) -> tuple[int, int, int]:
    """Return where an entry's page is, where in it its bytes begin, and how many they are."""
    page = machine.memory.number(entry + SCATTERLIST.page) & ~(_CHAIN | _END)
    offset = machine.memory.number(entry + SCATTERLIST.offset, 4)
    return address_of(page), offset, machine.memory.number(entry + SCATTERLIST.length, 4)


@function(
    "void sg_miter_start(struct sg_mapping_iter *miter, struct scatterlist *sgl, unsigned int"
    " nents, unsigned int flags)"
)
def sg_miter_start(machine: Machine, miter: int, entry: int, count: int, flags: int) -> None:
    machine.memory.write(miter, bytes(SCATTERLIST_ITERATOR.size))
    _put(machine, miter, entry=entry, entries_left=count, flags=flags)


@function("void sg_miter_stop(struct sg_mapping_iter *miter)")
def sg_miter_stop(machine: Machine, miter: int) -> None:
    """What was not consumed of the piece in hand is given again by the next call."""
    fields, number = SCATTERLIST_ITERATOR, machine.memory.number
    if number(miter + fields.address):
        consumed = number(miter + fields.consumed)
        offset = number(miter + fields.offset, 4) + consumed
        remaining = number(miter + fields.remaining, 4) - consumed
        _put(machine, miter, offset=offset, remaining=max(remaining, 0))
        _put(machine, miter, page=0, address=0, length=0, consumed=0)


@function("bool sg_miter_next(struct sg_mapping_iter *miter)")
def sg_miter_next(machine: Machine, miter: int) -> int:
    """The next piece, which ends with its page at the latest."""
    sg_miter_stop(machine, miter)
    fields, number = SCATTERLIST_ITERATOR, machine.memory.number
    if not number(miter + fields.remaining, 4) and not _next_page(machine, miter):
        return 0
    entry, page_number = number(miter + fields.entry), number(miter + fields.page_number, 4)
    start = _where(machine, entry)[0] + page_number * PAGE
    length = number(miter + fields.remaining, 4)
    _put(machine, miter, page=page_of(start), address=start + number(miter + fields.offset, 4))
    _put(machine, miter, length=length, consumed=length)
    return 1


def _next_page(machine: Machine, miter: int) -> bool:
    """Go on to the next page that has bytes of the list; tell whether there is one."""
    fields, number = SCATTERLIST_ITERATOR, machine.memory.number
    entry, left = number(miter + fields.entry), number(miter + fields.entries_left, 4)
    # Where the last piece has ended is where the next one begins, if the entry has more.
    page_number, is_begun = (
        number(miter + fields.page_number, 4),
        number(miter + fields.is_begun, 4),
    )
    reached = (page_number + 1) * PAGE if is_begun else 0
    for each in _entries(machine, entry, left):
        _, offset, length = _where(machine, each)
        begin, end = max(offset, reached), offset + length
        if begin < end:
            _put(machine, miter, entry=each, entries_left=left, is_begun=1)
            _put(machine, miter, page_number=begin // PAGE, offset=begin % PAGE)
            _put(machine, miter, remaining=min(end - begin, PAGE - begin % PAGE))
            return True
        left, reached = left - 1, 0
    _put(machine, miter, entries_left=0)
    return False


def _pieces(
    machine: Machine, entries: Iterator[int], skip: int, size: int
) -> Iterator[tuple[int, int, int]]:
    """Yield where ``size`` bytes behind the first ``skip`` are: from which one on, where, how many.

    There are fewer where the list ends before.
    """
    done = 0
    for entry in entries:
        if done == size:
            return
        start, offset, length = _where(machine, entry)
        passed = min(skip, length)
        skip -= passed
        count = min(length - passed, size - done)
        if count:
            yield done, start + offset + passed, count
        done += count


def _copy(machine: Machine, buffer: int, pieces: Iterator[tuple[int, int, int]], out: int) -> int:
    """Copy pieces into a buffer, or with ``out`` the buffer into them; return how many bytes."""
    copied = 0
    for at, where, count in pieces:
        source, target = (buffer + at, where) if out else (where, buffer + at)
        machine.memory.write(target, machine.memory.read(source, count))
        copied += count
    return copied


def read_list(machine: Machine, entry: int, size: int) -> bytes:
    """Return the first ``size`` bytes of a list; raises ValueError where it has fewer."""
    places = list(_pieces(machine, _entries(machine, entry), 0, bounded(size)))
    data = b"".join(machine.memory.read(where, count) for _, where, count in places)
    if len(data) < size:
        raise ValueError(f"a list of {len(data)} bytes for {size}")
    return data


def write_list(machine: Machine, entry: int, data: bytes) -> None:
    """Store bytes where a list has its own; raises ValueError where these are fewer."""
    written = 0
    for at, where, count in _pieces(machine, _entries(machine, entry), 0, len(data)):
        machine.memory.write(where, data[at : at + count])
        written += count
    if written < len(data):
        raise ValueError(f"a list of {written} bytes for {len(data)}")


@function(
    "void scatterwalk_map_and_copy(void *buf, struct scatterlist *sg, unsigned int start, unsigned"
    " int nbytes, int out)"
)
def scatterwalk_map_and_copy(
    machine: Machine, buffer: int, entry: int, start: int, size: int, out: int
) -> None:
    _copy(machine, buffer, _pieces(machine, _entries(machine, entry), start, bounded(size)), out)


@function(
    "size_t sg_copy_from_buffer(struct scatterlist *sgl, unsigned int nents, const void *buf,"
    " size_t buflen)"
)
def sg_copy_from_buffer(machine: Machine, entry: int, count: int, buffer: int, size: int) -> int:
    entries = _entries(machine, entry, count)
    return _copy(machine, buffer, _pieces(machine, entries, 0, bounded(size)), 1)


@function(
    "size_t sg_copy_to_buffer(struct scatterlist *sgl, unsigned int nents, void *buf, size_t buflen)"
)
def sg_copy_to_buffer(machine: Machine, entry: int, count: int, buffer: int, size: int) -> int:
    entries = _entries(machine, entry, count)
    return _copy(machine, buffer, _pieces(machine, entries, 0, bounded(size)), 0)
