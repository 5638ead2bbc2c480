# SPDX-License-Identifier: Apache-2.0
"""Numbers in text and options with them (lib/kstrtox.c, lib/vsprintf.c, lib/cmdline.c, lib/parser.c)."""

import errno
import re

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import MATCH_TOKEN, SUBSTRING
from kmodd.kernel.emulated.functions.memory import allocate
from kmodd.kernel.emulated.machine.machine import Machine

_INTEGER = re.compile(rb"\s*([+-]?)(0[xX][0-9a-fA-F]+|[0-9a-fA-F]+)")


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


_ARGUMENT = re.compile(rb"%(\d*)([sduxo])")
_ARGUMENTS_MAX = 3
_PATTERNS_MAX = 1024
_DIGITS = {b"d": rb"[+-]?\d+", b"u": rb"\d+", b"o": rb"[0-7]+", b"x": rb"(?:0[xX])?[0-9a-fA-F]+"}


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


def _match(name: str, kind: str, base: int, size: int) -> None:
    @function(f"int {name}(substring_t *s, {kind} *result)")
    def convert(machine: Machine, part: int, result: int) -> int:
        start, end = _ends(machine, part)
        data = machine.memory.read(start, min(max(end - start, 0), 64))
        number, length = parse_integer(data, base)
        if number is None or length != len(data):
            return -errno.EINVAL
        if number.bit_length() > 8 * size:
            return -errno.ERANGE
        machine.memory.put(result, number, size)
        return 0


for _arguments in (
    ("match_int", "int", 0, 4),
    ("match_uint", "unsigned int", 0, 4),
    ("match_u64", "u64", 0, 8),
    ("match_octal", "int", 8, 4),
    ("match_hex", "int", 16, 4),
):
    _match(*_arguments)


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
