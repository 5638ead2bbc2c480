# SPDX-License-Identifier: Apache-2.0
"""Strings, numbers in text, sorting, bits (lib/string.c, lib/kstrtox.c, lib/sort.c and others)."""

import errno
import os
import re
from functools import cmp_to_key

from kmodd.kernel.emulated.api.table import RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.cpu.machine import Machine

COPY_MAX = 64 << 20
"""Bytes that one call copies at most."""

SORT_MAX = 100_000
"""Elements that one call sorts at most."""

# mov rax, rdi; mov rcx, rdx; rep movsb; ret
_COPY = bytes.fromhex("4889f84889d1f3a4c3")
# mov r9, rdi; mov al, sil; mov rcx, rdx; rep stosb; mov rax, r9; ret
_FILL = bytes.fromhex("4989f94088f04889d1f3aa4c89c8c3")

machine_code(
    _COPY,
    """
    void *memcpy(void *dest, const void *src, size_t count)
    void *__memcpy(void *dest, const void *src, size_t count)
    """,
)
machine_code(
    _FILL,
    """
    void *memset(void *s, int c, size_t count)
    void *__memset(void *s, int c, size_t count)
    """,
)

_SPACE = b" \t\n\v\f\r"
_INTEGER = re.compile(rb"\s*([+-]?)(0[xX][0-9a-fA-F]+|[0-9a-fA-F]+)")


def _bounded(size: int) -> int:
    if size > COPY_MAX:
        raise ValueError(f"{size} bytes")
    return size


@function("void *memmove(void *dest, const void *src, size_t count)")
def memmove(machine: Machine, target: int, source: int, count: int) -> int:
    machine.memory.write(target, machine.memory.read(source, _bounded(count)))
    return target


@function("int memcmp(const void *cs, const void *ct, size_t count)")
def memcmp(machine: Machine, one: int, other: int, count: int) -> int:
    left = machine.memory.read(one, _bounded(count))
    return _compare(left, machine.memory.read(other, count))


@function("int bcmp(const void *a, const void *b, size_t len)")
def bcmp(machine: Machine, one: int, other: int, count: int) -> int:
    return memcmp(machine, one, other, count) or 0


@function(
    "void *memchr(const void *s, int c, size_t n)", "void *memscan(void *addr, int c, size_t size)"
)
def memchr(machine: Machine, start: int, letter: int, count: int) -> int:
    at = machine.memory.read(start, _bounded(count)).find(bytes([letter & 0xFF]))
    return start + at if at >= 0 else 0


@function("void *memchr_inv(const void *start, int c, size_t bytes)")
def memchr_inv(machine: Machine, start: int, letter: int, count: int) -> int:
    data = machine.memory.read(start, _bounded(count))
    rest = data.lstrip(bytes([letter & 0xFF]))
    return start + len(data) - len(rest) if rest else 0


@function("size_t strlen(const char *s)")
def strlen(machine: Machine, text: int) -> int:
    return len(machine.memory.string(text, COPY_MAX))


@function("size_t strnlen(const char *s, size_t count)")
def strnlen(machine: Machine, text: int, count: int) -> int:
    return len(machine.memory.string(text, min(count, COPY_MAX)))


def _compare(one: bytes, other: bytes) -> int:
    return (one > other) - (one < other)


@function("int strcmp(const char *cs, const char *ct)")
def strcmp(machine: Machine, one: int, other: int) -> int:
    return _compare(machine.memory.string(one), machine.memory.string(other))


@function("int strncmp(const char *cs, const char *ct, size_t count)")
def strncmp(machine: Machine, one: int, other: int, count: int) -> int:
    count = min(count, COPY_MAX)
    return _compare(machine.memory.string(one, count), machine.memory.string(other, count))


@function("int strcasecmp(const char *s1, const char *s2)")
def strcasecmp(machine: Machine, one: int, other: int) -> int:
    return _compare(machine.memory.string(one).lower(), machine.memory.string(other).lower())


@function("int strncasecmp(const char *s1, const char *s2, size_t len)")
def strncasecmp(machine: Machine, one: int, other: int, count: int) -> int:
    count = min(count, COPY_MAX)
    left = machine.memory.string(one, count).lower()
    return _compare(left, machine.memory.string(other, count).lower())


@function("bool sysfs_streq(const char *s1, const char *s2)")
def sysfs_streq(machine: Machine, one: int, other: int) -> int:
    left = machine.memory.string(one).removesuffix(b"\n")
    return int(left == machine.memory.string(other).removesuffix(b"\n"))


@function("char *strcpy(char *dest, const char *src)")
def strcpy(machine: Machine, target: int, source: int) -> int:
    machine.memory.write(target, machine.memory.string(source) + b"\0")
    return target


@function("char *strncpy(char *dest, const char *src, size_t count)")
def strncpy(machine: Machine, target: int, source: int, count: int) -> int:
    text = machine.memory.string(source, _bounded(count))
    machine.memory.write(target, text.ljust(count, b"\0"))
    return target


@function("size_t strlcpy(char *dest, const char *src, size_t size)")
def strlcpy(machine: Machine, target: int, source: int, size: int) -> int:
    text = machine.memory.string(source)
    if size:
        machine.memory.write(target, text[: size - 1] + b"\0")
    return len(text)


@function("ssize_t strscpy(char *dest, const char *src, size_t count)")
def strscpy(machine: Machine, target: int, source: int, size: int) -> int:
    if not size:
        return -errno.E2BIG
    text = machine.memory.string(source, min(size, COPY_MAX))
    machine.memory.write(target, text[: size - 1] + b"\0")
    return len(text) if len(text) < size else -errno.E2BIG


@function("ssize_t strscpy_pad(char *dest, const char *src, size_t count)")
def strscpy_pad(machine: Machine, target: int, source: int, size: int) -> int:
    text = machine.memory.string(source, _bounded(size))
    machine.memory.write(target, text[: max(size - 1, 0)].ljust(size, b"\0"))
    return len(text) if len(text) < size else -errno.E2BIG


@function("char *strcat(char *dest, const char *src)")
def strcat(machine: Machine, target: int, source: int) -> int:
    end = target + len(machine.memory.string(target))
    machine.memory.write(end, machine.memory.string(source) + b"\0")
    return target


@function("char *strncat(char *dest, const char *src, size_t count)")
def strncat(machine: Machine, target: int, source: int, count: int) -> int:
    end = target + len(machine.memory.string(target))
    machine.memory.write(end, machine.memory.string(source, min(count, COPY_MAX)) + b"\0")
    return target


@function("size_t strlcat(char *dest, const char *src, size_t count)")
def strlcat(machine: Machine, target: int, source: int, size: int) -> int:
    before, text = machine.memory.string(target), machine.memory.string(source)
    room = size - len(before) - 1
    if room > 0:
        machine.memory.write(target + len(before), text[:room] + b"\0")
    return len(before) + len(text)


@function("char *strchr(const char *s, int c)")
def strchr(machine: Machine, text: int, letter: int) -> int:
    data = machine.memory.string(text) + b"\0"
    at = data.find(bytes([letter & 0xFF]))
    return text + at if at >= 0 else 0


@function("char *strrchr(const char *s, int c)")
def strrchr(machine: Machine, text: int, letter: int) -> int:
    data = machine.memory.string(text) + b"\0"
    at = data.rfind(bytes([letter & 0xFF]))
    return text + at if at >= 0 else 0


@function("char *strnchr(const char *s, size_t count, int c)")
def strnchr(machine: Machine, text: int, count: int, letter: int) -> int:
    at = machine.memory.string(text, min(count, COPY_MAX)).find(bytes([letter & 0xFF]))
    return text + at if at >= 0 else 0


@function("char *strstr(const char *s1, const char *s2)")
def strstr(machine: Machine, text: int, wanted: int) -> int:
    at = machine.memory.string(text).find(machine.memory.string(wanted))
    return text + at if at >= 0 else 0


@function("char *strnstr(const char *s1, const char *s2, size_t len)")
def strnstr(machine: Machine, text: int, wanted: int, count: int) -> int:
    found = machine.memory.string(text, min(count, COPY_MAX)).find(machine.memory.string(wanted))
    return text + found if found >= 0 else 0


@function("size_t strspn(const char *s, const char *accept)")
def strspn(machine: Machine, text: int, accepted: int) -> int:
    data = machine.memory.string(text)
    return len(data) - len(data.lstrip(machine.memory.string(accepted)))


@function("size_t strcspn(const char *s, const char *reject)")
def strcspn(machine: Machine, text: int, rejected: int) -> int:
    data, letters = machine.memory.string(text), machine.memory.string(rejected)
    return next((at for at, letter in enumerate(data) if letter in letters), len(data))


@function("char *strpbrk(const char *cs, const char *ct)")
def strpbrk(machine: Machine, text: int, wanted: int) -> int:
    data, letters = machine.memory.string(text), machine.memory.string(wanted)
    return next((text + at for at, letter in enumerate(data) if letter in letters), 0)


@function("char *strsep(char **s, const char *ct)")
def strsep(machine: Machine, pointer: int, delimiters: int) -> int:
    start = machine.memory.number(pointer)
    if not start:
        return 0
    end = strpbrk(machine, start, delimiters) or 0
    if end:
        machine.memory.write(end, b"\0")
    machine.memory.put(pointer, end + 1 if end else 0)
    return start


@function("char *skip_spaces(const char *str)")
def skip_spaces(machine: Machine, text: int) -> int:
    data = machine.memory.string(text)
    return text + len(data) - len(data.lstrip(_SPACE))


@function("char *strim(char *s)")
def strim(machine: Machine, text: int) -> int:
    data = machine.memory.string(text)
    machine.memory.write(text + len(data.rstrip(_SPACE)), b"\0")
    return skip_spaces(machine, text) or 0


@function("char *strreplace(char *s, char old, char new)")
def strreplace(machine: Machine, text: int, old: int, new: int) -> int:
    data = machine.memory.string(text)
    machine.memory.write(text, data.replace(bytes([old & 0xFF]), bytes([new & 0xFF])))
    return text + len(data)


@function("int match_string(const char * const *array, size_t n, const char *string)")
def match_string(machine: Machine, array: int, count: int, wanted: int) -> int:
    text = machine.memory.string(wanted)
    for index in range(min(count, 4096)):
        each = machine.memory.number(array + 8 * index)
        if not each:
            break
        if machine.memory.string(each) == text:
            return index
    return -errno.EINVAL


def parse_integer(text: bytes, base: int) -> tuple[int | None, int]:
    """Return the number that ``text`` begins with, None for none, and where it ends."""
    found = _INTEGER.match(text)
    if found is None:
        return None, 0
    digits = found[2].lower()
    if digits.startswith(b"0x") and base in (0, 16):
        base, digits = 16, digits[2:]
    elif not base:
        base = 8 if digits.startswith(b"0") else 10
    if base != 16 and digits.startswith(b"0x"):
        digits = b"0"
    good = bytes(b"0123456789abcdef"[:base])
    length = len(digits) - len(digits.lstrip(good))
    if not length:
        return None, 0
    number = int(digits[:length][:40], base)
    end = found.end() - (len(digits) - length)
    return (-number if found[1] == b"-" else number), end


def _kstrto(size: int, name: str, kind: str, *, signed: bool) -> None:
    @function(f"int {name}(const char *s, unsigned int base, {kind} *res)")
    def convert(machine: Machine, text: int, base: int, result: int) -> int:
        data = machine.memory.string(text, 128).removesuffix(b"\n")
        number, end = parse_integer(data, base)
        if number is None or end != len(data) or data[:1].isspace() or (number < 0 and not signed):
            return -errno.EINVAL
        low = -(1 << 8 * size - 1) if signed else 0
        high = (1 << 8 * size - signed) - 1
        if not low <= number <= high:
            return -errno.ERANGE
        machine.memory.put(result, number, size)
        return 0


for _name, _kind, _size in (
    ("ll", "long long", 8),
    ("l", "long", 8),
    ("int", "int", 4),
    ("16", "s16", 2),
    ("8", "s8", 1),
):
    _signed = {"int": "kstrtoint", "16": "kstrtos16", "8": "kstrtos8"}.get(_name, f"kstrto{_name}")
    _kstrto(_size, f"_kstrto{_name}" if _name == "l" else _signed, _kind, signed=True)
    _unsigned = {"int": "kstrtouint", "16": "kstrtou16", "8": "kstrtou8"}.get(
        _name, f"kstrtou{_name}"
    )
    _kstrto(_size, f"_kstrtou{_name}" if _name == "l" else _unsigned, f"u{_kind}", signed=False)


@function("int kstrtobool(const char *s, bool *res)")
def kstrtobool(machine: Machine, text: int, result: int) -> int:
    data = machine.memory.string(text, 8) if text else b""
    if data[:1] in (b"y", b"Y", b"1", b"t", b"T") or data[:2].lower() == b"on":
        value = 1
    elif data[:1] in (b"n", b"N", b"0", b"f", b"F") or data[:2].lower() == b"of":
        value = 0
    else:
        return -errno.EINVAL
    machine.memory.put(result, value, 1)
    return 0


@function(
    "unsigned long simple_strtoul(const char *cp, char **endp, unsigned int base)",
    "unsigned long long simple_strtoull(const char *cp, char **endp, unsigned int base)",
    "long simple_strtol(const char *cp, char **endp, unsigned int base)",
    "long long simple_strtoll(const char *cp, char **endp, unsigned int base)",
)
def simple_strtoul(machine: Machine, text: int, end_pointer: int, base: int) -> int:
    number, end = parse_integer(machine.memory.string(text, 128), base)
    if end_pointer:
        machine.memory.put(end_pointer, text + end)
    return number or 0


@function(
    "void sort(void *base, size_t num, size_t size, cmp_func_t cmp_func, swap_func_t swap_func)"
)
def sort(machine: Machine, base: int, count: int, size: int, compare: int, _swap: int) -> None:
    """Insertion by bisection into a copy: each comparison is a call into the module."""
    if count > SORT_MAX or size > 4096:
        raise ValueError(f"{count} elements of {size} bytes")
    elements = [machine.memory.read(base + size * at, size) for at in range(count)]
    if count < 2:
        return
    scratch = machine.heap.allocate(2 * size)
    try:
        _merge_sort(machine, elements, compare, scratch, size)
    finally:
        machine.heap.free(scratch)
    machine.memory.write(base, b"".join(elements))


def _merge_sort(
    machine: Machine, elements: list[bytes], compare: int, scratch: int, size: int
) -> None:
    def ask(one: bytes, other: bytes) -> int:
        machine.memory.write(scratch, one + other)
        return machine.call(compare, scratch, scratch + size)

    elements.sort(key=cmp_to_key(ask))


@function("void get_random_bytes(void *buf, size_t len)")
def get_random_bytes(machine: Machine, buffer: int, size: int) -> None:
    machine.memory.write(buffer, os.urandom(_bounded(size)))


@function(
    "u32 get_random_u32(void)",
    "u64 get_random_u64(void)",
    "u8 get_random_u8(void)",
    "u16 get_random_u16(void)",
)
def get_random(_machine: Machine) -> int:
    return int.from_bytes(os.urandom(8), "little") >> 1


@function("unsigned int __sw_hweight32(unsigned int w)", "unsigned long __sw_hweight64(u64 w)")
def hweight(_machine: Machine, word: int) -> int:
    return word.bit_count()


@function("int hex_to_bin(unsigned char ch)")
def hex_to_bin(_machine: Machine, letter: int) -> int:
    try:
        return int(bytes([letter]), 16)
    except ValueError:
        return -1


@function("char *get_options(const char *str, int nints, int *ints)")
def get_options(machine: Machine, text: int, most: int, numbers: int) -> int:
    found = [each for each in machine.memory.string(text, 4096).split(b",") if each]
    values = [parse_integer(each, 0)[0] or 0 for each in found][: max(most - 1, 0)]
    for at, value in enumerate([len(values), *values]):
        machine.memory.put(numbers + 4 * at, value, 4)
    return text + len(machine.memory.string(text, 4096))


machine_code(
    RETURN_ZERO,
    """
    u32 prandom_u32_max(u32 ep_ro)
    bool rng_is_initialized(void)
    int wait_for_random_bytes(void)
    """,
)


@function("unsigned long _find_first_bit(const unsigned long *addr, unsigned long size)")
def find_first_bit(machine: Machine, bits: int, size: int) -> int:
    return _find(machine, bits, size, 0, zero=False)


@function("unsigned long _find_first_zero_bit(const unsigned long *addr, unsigned long size)")
def find_first_zero_bit(machine: Machine, bits: int, size: int) -> int:
    return _find(machine, bits, size, 0, zero=True)


@function(
    "unsigned long _find_next_bit(const unsigned long *addr1, unsigned long nbits, unsigned long"
    " start)"
)
def find_next_bit(machine: Machine, bits: int, size: int, start: int) -> int:
    return _find(machine, bits, size, start, zero=False)


@function(
    "unsigned long _find_next_zero_bit(const unsigned long *addr1, unsigned long nbits, unsigned"
    " long start)"
)
def find_next_zero_bit(machine: Machine, bits: int, size: int, start: int) -> int:
    return _find(machine, bits, size, start, zero=True)


@function(
    "unsigned long _find_next_and_bit(const unsigned long *addr1, const unsigned long *addr2,"
    " unsigned long nbits, unsigned long start)"
)
def find_next_and_bit(machine: Machine, one: int, other: int, size: int, start: int) -> int:
    return _first(_bits(machine, one, size) & _bits(machine, other, size), size, start)


def _bits(machine: Machine, address: int, size: int) -> int:
    return machine.memory.number(address, -(-_bounded(size) // 64) * 8) if size else 0


def _find(machine: Machine, address: int, size: int, start: int, *, zero: bool) -> int:
    word = _bits(machine, address, size)
    return _first(~word if zero else word, size, start)


def _first(word: int, size: int, start: int) -> int:
    word &= (1 << size) - 1
    word = word >> start << start if start < size else 0
    return (word & -word).bit_length() - 1 if word else size


@function("void __bitmap_set(unsigned long *map, unsigned int start, int len)")
def bitmap_set(machine: Machine, bits: int, start: int, count: int) -> None:
    _change(machine, bits, start, count, lambda word, mask: word | mask)


@function("void __bitmap_clear(unsigned long *map, unsigned int start, int len)")
def bitmap_clear(machine: Machine, bits: int, start: int, count: int) -> None:
    _change(machine, bits, start, count, lambda word, mask: word & ~mask)


def _change(machine: Machine, bits: int, start: int, count: int, how: object) -> None:
    size = -(-(start + _bounded(max(count, 0))) // 64) * 8
    mask = ((1 << max(count, 0)) - 1) << start
    word = machine.memory.number(bits, size) if size else 0
    assert callable(how)
    if size:
        machine.memory.put(bits, how(word, mask), size)


@function(
    "int __bitmap_weight(const unsigned long *bitmap, unsigned int nbits)",
    "unsigned int __bitmap_weight_u(const unsigned long *bitmap, unsigned int nbits)",
)
def bitmap_weight(machine: Machine, bits: int, size: int) -> int:
    return (_bits(machine, bits, size) & (1 << size) - 1).bit_count()
