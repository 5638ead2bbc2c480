# SPDX-License-Identifier: Apache-2.0
"""Copies to and from the memory of users (lib/usercopy.c, lib/strncpy_from_user.c, mm/util.c)."""

import errno
from collections.abc import Iterable

from kmodd.kernel.emulated.abi.function_table import CALLED, calling, function
from kmodd.kernel.emulated.abi.structures import BUFFER_ITERATOR, ITERATOR_KINDS
from kmodd.kernel.emulated.functions.memory import allocate
from kmodd.kernel.emulated.functions.numerals import read_boolean, read_integer
from kmodd.kernel.emulated.machine.machine import Machine

_TEXT_MAX, _NUMBER_MAX = 4096, 66
_CALL = bytes.fromhex("49bb") + CALLED + bytes.fromhex("41ffd3")
"""x86 code: movabs $FUNCTION, %r11; call *%r11"""

_FAULT_IN_EAX = bytes.fromhex("f7d819c083e0f2")
"""x86 code: neg %eax; sbb %eax, %eax; and $-EFAULT, %eax"""

_PUSH, _POP = (
    bytes.fromhex("5156574150415141524153"),
    bytes.fromhex("415b415a415941585f5e59"),
)
"""x86 code: rcx, rsi, rdi, r8, r9, r10 and r11 to the stack, and back."""

_PUT_PUSH, _PUT_POP = (
    bytes.fromhex("505256574150415141524153"),
    bytes.fromhex("415b415a415941585f5e5a58"),
)
"""x86 code: rax, rdx, rsi, rdi, r8, r9, r10 and r11 to the stack, and back."""


def _getting(size: int) -> bytes:
    """Return code that has an address in rax, and gives its error in eax and the value in rdx."""
    move = bytes.fromhex("6a004889e74889c6ba") + size.to_bytes(4, "little")
    # A value of which there is not all is none: test %eax, %eax; jz; xor %edx, %edx
    end = _FAULT_IN_EAX + bytes.fromhex("5a85c0740231d2")
    return _PUSH + move + _CALL + end + _POP + b"\xc3"


def _putting(size: int) -> bytes:
    """Return code that has an address in rcx and the value in rax, and gives its error in ecx."""
    move = bytes.fromhex("504889cf4889e6ba") + size.to_bytes(4, "little")
    end = _FAULT_IN_EAX + bytes.fromhex("89c1") + b"\x5a"
    return _PUT_PUSH + move + _CALL + end + _PUT_POP + b"\xc3"


for _size in (1, 2, 4, 8):
    for _kind in ("", "nocheck_"):
        calling("_copy_from_user", _getting(_size), f"int __get_user_{_kind}{_size}(void)")
        calling("_copy_to_user", _putting(_size), f"int __put_user_{_kind}{_size}(void)")


@function("unsigned long _copy_to_user(void *to, const void *from, unsigned long n)")
def copy_to_user(machine: Machine, to: int, source: int, size: int) -> int:
    """Return how many bytes could not be copied."""
    return size - machine.users.write(to, machine.memory.read(source, size))


@function("unsigned long _copy_from_user(void *to, const void *from, unsigned long n)")
def copy_from_user(machine: Machine, to: int, source: int, size: int) -> int:
    """Return how many bytes could not be copied; those are zeros."""
    data = machine.users.read(source, size)
    machine.memory.write(to, data + bytes(size - len(data)))
    return size - len(data)


@function("unsigned long clear_user(void *to, unsigned long n)")
def clear_user(machine: Machine, to: int, size: int) -> int:
    return size - machine.users.write(to, bytes(min(size, _sized(size))))


def _sized(size: int) -> int:
    """Return a size that is not beyond any buffer."""
    return min(size, 1 << 30)


def copy_to_iterator(machine: Machine, iterator: int, data: bytes) -> int:
    """Copy to what is left of an iterator's buffer; return how many bytes."""
    place, room = _left(machine, iterator)
    done = machine.users.write(place, data[:room])
    _advance(machine, iterator, done)
    return done


def _left(machine: Machine, iterator: int) -> tuple[int, int]:
    """Return where an iterator is at, and how many bytes it has left."""
    number = machine.memory.number
    if number(iterator + BUFFER_ITERATOR.kind, 1) != ITERATOR_KINDS.users:
        raise ValueError("an iterator that is not over one buffer of a user's")
    place = number(iterator + BUFFER_ITERATOR.buffer) + number(iterator + BUFFER_ITERATOR.offset)
    return place, number(iterator + BUFFER_ITERATOR.count)


def _advance(machine: Machine, iterator: int, size: int) -> None:
    for field, change in ((BUFFER_ITERATOR.offset, size), (BUFFER_ITERATOR.count, -size)):
        machine.memory.put(iterator + field, machine.memory.number(iterator + field) + change)


@function("size_t _copy_to_iter(const void *addr, size_t bytes, struct iov_iter *i)")
def copy_to_iter(machine: Machine, source: int, size: int, iterator: int) -> int:
    return copy_to_iterator(machine, iterator, machine.memory.read(source, size))


@function("size_t _copy_from_iter(void *addr, size_t bytes, struct iov_iter *i)")
def copy_from_iter(machine: Machine, to: int, size: int, iterator: int) -> int:
    place, room = _left(machine, iterator)
    data = machine.users.read(place, min(size, room))
    machine.memory.write(to, data)
    _advance(machine, iterator, len(data))
    return len(data)


@function("void iov_iter_advance(struct iov_iter *i, size_t bytes)")
def iov_iter_advance(machine: Machine, iterator: int, size: int) -> None:
    _advance(machine, iterator, min(size, _left(machine, iterator)[1]))


@function("void iov_iter_revert(struct iov_iter *i, size_t bytes)")
def iov_iter_revert(machine: Machine, iterator: int, size: int) -> None:
    offset = machine.memory.number(iterator + BUFFER_ITERATOR.offset)
    _advance(machine, iterator, -min(size, offset))


def text_of_user(machine: Machine, source: int, limit: int) -> tuple[bytes, bool]:
    """Return a user's bytes before their NUL, at most ``limit``, and whether there was an end."""
    data = machine.users.read(source, limit)
    text, end, _ = data.partition(b"\0")
    return text, bool(end) or len(data) == limit


@function("long strncpy_from_user(char *dst, const char *src, long count)")
def strncpy_from_user(machine: Machine, to: int, source: int, count: int) -> int:
    if count <= 0:
        return 0
    text, ends = text_of_user(machine, source, _sized(count))
    if not ends:
        return -errno.EFAULT
    machine.memory.write(to, text + b"\0" * (len(text) < count))
    return len(text)


@function("long strnlen_user(const char *str, long count)")
def strnlen_user(machine: Machine, source: int, count: int) -> int:
    """The NUL counts; 0 is for a bad address."""
    text, ends = text_of_user(machine, source, _sized(max(count, 0)))
    return len(text) + 1 if ends else 0


def _duplicate(machine: Machine, data: bytes, size: int, end: bytes = b"") -> int:
    """Return a copy of a user's bytes, of which there have to be ``size``."""
    if len(data) < size:
        return -errno.EFAULT
    made = allocate(machine, size + len(end))
    if not made:
        return -errno.ENOMEM
    machine.memory.write(made, data + end)
    return made


@function(
    "void *memdup_user|memdup_user_noprof(const void *src, size_t len)",
    "void *vmemdup_user(const void *src, size_t len)",
)
def memdup_user(machine: Machine, source: int, size: int) -> int:
    return _duplicate(machine, machine.users.read(source, size), size)


@function("void *memdup_user_nul(const void *src, size_t len)")
def memdup_user_nul(machine: Machine, source: int, size: int) -> int:
    return _duplicate(machine, machine.users.read(source, size), size, b"\0")


@function("char *strndup_user(const char *s, long n)")
def strndup_user(machine: Machine, source: int, limit: int) -> int:
    text, ends = text_of_user(machine, source, _sized(max(limit, 0)))
    if not ends:
        return -errno.EFAULT
    if len(text) >= limit:
        return -errno.EINVAL
    return _duplicate(machine, text, len(text), b"\0")


def _numbers(kinds: Iterable[tuple[str, str, int, bool]]) -> None:
    for name, kind, size, signed in kinds:
        _declare_number(name, kind, size, signed=signed)


def _declare_number(name: str, kind: str, size: int, *, signed: bool) -> None:
    """Declare the function that reads a number of that kind out of a user's text."""

    @function(f"int {name}_from_user(const char *s, size_t count, unsigned int base, {kind} *res)")
    def number_from_user(machine: Machine, text: int, count: int, base: int, result: int) -> int:
        count = min(count, _NUMBER_MAX)
        data = machine.users.read(text, count)
        if len(data) < count:
            return -errno.EFAULT
        value, code = read_integer(data.partition(b"\0")[0], base, size, signed=signed)
        if not code:
            machine.memory.put(result, value, size)
        return -code


_numbers(
    (
        ("kstrtou8", "u8", 1, False),
        ("kstrtos8", "s8", 1, True),
        ("kstrtou16", "u16", 2, False),
        ("kstrtos16", "s16", 2, True),
        ("kstrtouint", "unsigned int", 4, False),
        ("kstrtoint", "int", 4, True),
        ("kstrtoul", "unsigned long", 8, False),
        ("kstrtol", "long", 8, True),
        ("kstrtoull", "unsigned long long", 8, False),
        ("kstrtoll", "long long", 8, True),
    )
)


@function("int kstrtobool_from_user(const char *s, size_t count, bool *res)")
def kstrtobool_from_user(machine: Machine, text: int, count: int, result: int) -> int:
    data = machine.users.read(text, min(count, 4))
    if len(data) < min(count, 4):
        return -errno.EFAULT
    value = read_boolean(data)
    if value is None:
        return -errno.EINVAL
    machine.memory.put(result, value, 1)
    return 0
