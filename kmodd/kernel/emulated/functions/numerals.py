# SPDX-License-Identifier: Apache-2.0
"""Numbers in text and options with them (lib/kstrtox.c, lib/vsprintf.c, lib/cmdline.c, lib/parser.c)."""

import errno
import re
from collections.abc import Callable

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import MATCH_TOKEN, SUBSTRING
from kmodd.kernel.emulated.functions.memory import allocate
from kmodd.kernel.emulated.machine.machine import Machine

_INTEGER = re.compile(rb"\s*([+-]?)(0[xX][0-9a-fA-F]+|[0-9a-fA-F]+)")
_DIGITS_MAX = 128
"""Digits of a number that are looked at: what has more is beyond every range."""

_INT_MAX = (1 << 31) - 1
_OPTIONS_LENGTH = 4096


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
    good = bytes(b"0123456789abcdef"[:base])
    length = len(digits) - len(digits.lstrip(good))
    if not length:
        return None, 0
    number = int(digits[:length].lstrip(b"0")[:_DIGITS_MAX] or b"0", base)
    end = found.end() - (len(digits) - length)
    return (-number if found[1] == b"-" else number), end


def read_integer(data: bytes, base: int, size: int, *, signed: bool) -> tuple[int, int]:
    """Return the number of ``size`` bytes that ``data`` is, and 0 or an errno (kstrtox)."""
    text = data.removesuffix(b"\n")
    number, end = parse_integer(text, base)
    if number is None or end != len(text) or text[:1].isspace():
        return 0, errno.EINVAL
    if not signed and text.startswith(b"-"):
        return 0, errno.EINVAL
    low = -(1 << 8 * size - 1) if signed else 0
    high = (1 << 8 * size - signed) - 1
    return (number, 0) if low <= number <= high else (0, errno.ERANGE)


def _kstrto(size: int, name: str, kind: str, *, signed: bool) -> None:
    @function(f"int {name}(const char *s, unsigned int base, {kind} *res)")
    def convert(machine: Machine, text: int, base: int, result: int) -> int:
        data = machine.memory.string(text, 128)
        number, code = read_integer(data, base, size, signed=signed)
        if not code:
            machine.memory.put(result, number, size)
        return -code


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


def read_boolean(data: bytes) -> bool | None:
    """Return what a text that begins like a yes or a no stands for, None for another."""
    if data[:1] in (b"y", b"Y", b"1", b"t", b"T") or data[:2].lower() == b"on":
        return True
    if data[:1] in (b"n", b"N", b"0", b"f", b"F") or data[:2].lower() == b"of":
        return False
    return None


@function("int kstrtobool(const char *s, bool *res)")
def kstrtobool(machine: Machine, text: int, result: int) -> int:
    value = read_boolean(machine.memory.string(text, 8) if text else b"")
    if value is None:
        return -errno.EINVAL
    machine.memory.put(result, value, 1)
    return 0


def _natural(text: bytes, base: int) -> tuple[int, int]:
    """Return the number whose first digit ``text`` begins with, 0 for none, and its length."""
    number, length = parse_integer(text, base) if text[:1].isalnum() else (0, 0)
    return number or 0, length


def _whole(text: bytes, base: int) -> tuple[int, int]:
    """Return the same for a text that may have a minus before it."""
    sign = text.startswith(b"-")
    number, length = _natural(text[sign:], base)
    return (-number if sign else number), length + sign


def _simple(kind: str, name: str, read: Callable[[bytes, int], tuple[int, int]]) -> None:
    @function(f"{kind} {name}(const char *cp, char **endp, unsigned int base)")
    def convert(machine: Machine, text: int, end_pointer: int, base: int) -> int:
        number, length = read(machine.memory.string(text, 128), base)
        if end_pointer:
            machine.memory.put(end_pointer, text + length)
        return number


_simple("unsigned long", "simple_strtoul", _natural)
_simple("unsigned long long", "simple_strtoull", _natural)
_simple("long", "simple_strtol", _whole)
_simple("long long", "simple_strtoll", _whole)


@function("int hex_to_bin(unsigned char ch)")
def hex_to_bin(_machine: Machine, letter: int) -> int:
    try:
        return int(bytes([letter]), 16)
    except ValueError:
        return -1


@function("char *get_options(const char *str, int nints, int *ints)")
def get_options(machine: Machine, text: int, most: int, numbers: int) -> int:
    """Numbers and ranges of them; the first of ``numbers`` says how many were found.

    Where there is no room for any they are only counted.
    """
    data = machine.memory.string(text, _OPTIONS_LENGTH)
    values, count, at = list[int](), 0, 0
    room = max(most - 1, 0)
    while count < room or not most:
        number, length = _whole(data[at:], 0)
        at += length
        if not data[at - 1 : at].isalnum():
            break
        delimiter = data[at : at + 1]
        at += delimiter in (b",", b"-")
        if delimiter == b"-":
            highest, _ = _whole(data[at:], 0)
            if highest < number:
                break
            values += range(number, min(highest, number + room - count))
            count += highest - number
            continue
        values.append(number)
        count += 1
        if delimiter != b",":
            break
    for index, value in enumerate([count, *values[:room]]):
        machine.memory.put(numbers + 4 * index, value, 4)
    return text + at


_ARGUMENT = re.compile(rb"%(\d*)([sduxo])")
_ARGUMENTS_MAX = 3
_PATTERNS_MAX = 1024
_DIGITS = {
    b"d": rb"-?(?:0[xX][0-9a-fA-F]+|\d+)",
    b"u": rb"(?:0[xX][0-9a-fA-F]+|\d+)",
    b"o": rb"[0-7]+",
    b"x": rb"(?:0[xX])?[0-9a-fA-F]+",
}


def _matcher(pattern: bytes) -> re.Pattern[bytes]:
    """Return what finds the arguments that a pattern of ``match_token`` has (lib/parser.c)."""
    expression, at = b"", 0
    for found in _ARGUMENT.finditer(pattern):
        expression += re.escape(pattern[at : found.start()])
        width = found[1].decode()
        digits = _DIGITS.get(found[2])
        if digits is None:
            expression += (rb"(.{1,%s})" % width.encode()) if width else rb"(.*)"
        else:
            expression += b"(" + digits + b")"
        at = found.end()
    return re.compile(expression + re.escape(pattern[at:]), re.DOTALL)


@function("int match_token(char *s, const match_table_t table, substring_t args[])")
def match_token(machine: Machine, text: int, table: int, arguments: int) -> int:
    """The table has a token and a pattern in each row; its last row has none."""
    memory = machine.memory
    data = memory.string(text, 4096)
    for row in range(table, table + MATCH_TOKEN.size * _PATTERNS_MAX, MATCH_TOKEN.size):
        token = memory.number(row + MATCH_TOKEN.token, 4)
        pattern = memory.number(row + MATCH_TOKEN.pattern)
        if not pattern:
            return token
        found = _matcher(memory.string(pattern, 256)).fullmatch(data)
        if found is None:
            continue
        for number in range(min(len(found.groups()), _ARGUMENTS_MAX)):
            part = arguments + SUBSTRING.size * number
            memory.put(part + SUBSTRING.start, text + found.start(number + 1))
            memory.put(part + SUBSTRING.end, text + found.end(number + 1))
        return token
    return 0


def _ends(machine: Machine, part: int) -> tuple[int, int]:
    """Return where a ``substring_t`` starts and ends."""
    start = machine.memory.number(part + SUBSTRING.start)
    return start, machine.memory.number(part + SUBSTRING.end)


def _part(machine: Machine, part: int) -> bytes:
    start, end = _ends(machine, part)
    return machine.memory.read(start, min(max(end - start, 0), 64))


def _match(name: str, base: int) -> None:
    @function(f"int {name}(substring_t *s, int *result)")
    def convert(machine: Machine, part: int, result: int) -> int:
        number, length = _whole(_part(machine, part), base)
        if not length:
            return -errno.EINVAL
        if not -_INT_MAX - 1 <= number <= _INT_MAX:
            return -errno.ERANGE
        machine.memory.put(result, number, 4)
        return 0


def _match_unsigned(name: str, kind: str, base: int, size: int) -> None:
    @function(f"int {name}(substring_t *s, {kind} *result)")
    def convert(machine: Machine, part: int, result: int) -> int:
        number, code = read_integer(_part(machine, part), base, size, signed=False)
        if not code:
            machine.memory.put(result, number, size)
        return -code


_match("match_int", 0)
_match("match_octal", 8)
_match("match_hex", 16)
_match_unsigned("match_uint", "unsigned int", 10, 4)
_match_unsigned("match_u64", "u64", 0, 8)


@function("char *match_strdup(const substring_t *s)")
def match_strdup(machine: Machine, part: int) -> int:
    start, end = _ends(machine, part)
    data = machine.memory.read(start, min(max(end - start, 0), 4096))
    copy = allocate(machine, len(data) + 1)
    machine.memory.write(copy, data + b"\0")
    return copy


@function("size_t match_strlcpy(char *dest, const substring_t *src, size_t size)")
def match_strlcpy(machine: Machine, target: int, part: int, size: int) -> int:
    start, end = _ends(machine, part)
    length = max(end - start, 0)
    if size:
        data = machine.memory.read(start, min(length, size - 1, 4096))
        machine.memory.write(target, data + b"\0")
    return length
