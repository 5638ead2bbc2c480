# SPDX-License-Identifier: Apache-2.0
"""Strings, and bytes in memory (lib/string.c)."""

import errno

from kmodd.kernel.emulated.abi.function_table import function, machine_code
from kmodd.kernel.emulated.machine.machine import Machine

COPY_MAX = 64 << 20
"""Bytes that one call copies at most."""

_INT_MAX = (1 << 31) - 1

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


def bounded(size: int) -> int:
    """Return ``size`` if one call may have so many bytes; raises ValueError."""
    if size > COPY_MAX:
        raise ValueError(f"{size} bytes")
    return size


@function("void *memmove(void *dest, const void *src, size_t count)")
def memmove(machine: Machine, target: int, source: int, count: int) -> int:
    machine.memory.write(target, machine.memory.read(source, bounded(count)))
    return target


@function("int memcmp(const void *cs, const void *ct, size_t count)")
def memcmp(machine: Machine, one: int, other: int, count: int) -> int:
    left = machine.memory.read(one, bounded(count))
    return _compare(left, machine.memory.read(other, count))


@function("int bcmp(const void *a, const void *b, size_t len)")
def bcmp(machine: Machine, one: int, other: int, count: int) -> int:
    return memcmp(machine, one, other, count) or 0


@function("void *memchr(const void *s, int c, size_t n)")
def memchr(machine: Machine, start: int, letter: int, count: int) -> int:
    at = machine.memory.read(start, bounded(count)).find(bytes([letter & 0xFF]))
    return start + at if at >= 0 else 0


@function("void *memscan(void *addr, int c, size_t size)")
def memscan(machine: Machine, start: int, letter: int, count: int) -> int:
    """What is not found is said to be right behind the last byte."""
    return memchr(machine, start, letter, count) or start + count


@function("void *memchr_inv(const void *start, int c, size_t bytes)")
def memchr_inv(machine: Machine, start: int, letter: int, count: int) -> int:
    data = machine.memory.read(start, bounded(count))
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
    left, right = machine.memory.string(one), machine.memory.string(other)
    return int(left == right or left + b"\n" == right or left == right + b"\n")


@function("char *strcpy(char *dest, const char *src)")
def strcpy(machine: Machine, target: int, source: int) -> int:
    machine.memory.write(target, machine.memory.string(source) + b"\0")
    return target


@function("char *strncpy(char *dest, const char *src, size_t count)")
def strncpy(machine: Machine, target: int, source: int, count: int) -> int:
    text = machine.memory.string(source, bounded(count))
    machine.memory.write(target, text.ljust(count, b"\0"))
    return target


@function("size_t strlcpy(char *dest, const char *src, size_t size)")
def strlcpy(machine: Machine, target: int, source: int, size: int) -> int:
    text = machine.memory.string(source)
    if size:
        machine.memory.write(target, text[: size - 1] + b"\0")
    return len(text)


@function("ssize_t strscpy|sized_strscpy(char *dest, const char *src, size_t count)")
def strscpy(machine: Machine, target: int, source: int, size: int) -> int:
    if not 0 < size <= _INT_MAX:
        return -errno.E2BIG
    text = machine.memory.string(source, min(size, COPY_MAX))
    machine.memory.write(target, text[: size - 1] + b"\0")
    return len(text) if len(text) < size else -errno.E2BIG


@function("ssize_t strscpy_pad(char *dest, const char *src, size_t count)")
def strscpy_pad(machine: Machine, target: int, source: int, size: int) -> int:
    text = machine.memory.string(source, bounded(size))
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
    if len(before) >= size:
        raise ValueError(f"{len(before)} of {size} bytes are there")
    room = size - len(before) - 1
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
    count = min(count, COPY_MAX)
    data = (machine.memory.string(text, count) + b"\0")[:count]
    at = data.find(bytes([letter & 0xFF]))
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
