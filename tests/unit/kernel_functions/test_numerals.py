# SPDX-License-Identifier: Apache-2.0
"""Numbers in text and options with them (lib: kstrtox.c, vsprintf.c, cmdline.c, parser.c)."""

import errno
import struct

import pytest

from tests.support.kernel_calls import Crash, held, put_text, run, unload
from tests.support.machine import ROOM, Machine, new_machine

TEXT, RESULT, TABLE, PARTS = ROOM, ROOM + 256, ROOM + 512, ROOM + 1024
BEFORE = 0x5555555555555555

KSTRTO = {
    "kstrtoll": (8, True),
    "_kstrtol": (8, True),
    "kstrtoint": (4, True),
    "kstrtos16": (2, True),
    "kstrtos8": (1, True),
    "kstrtoull": (8, False),
    "_kstrtoul": (8, False),
    "kstrtouint": (4, False),
    "kstrtou16": (2, False),
    "kstrtou8": (1, False),
}
"""Bytes of what they store, and whether that can be below zero."""


def convert(name: str, text: bytes, base: int = 0) -> tuple[int, int | None]:
    """Return what a function returns, and the number that it stores, None for none."""
    machine = new_machine()
    size, signed = KSTRTO[name]
    machine.memory.put(RESULT, BEFORE)
    code = run(machine, name, put_text(machine, text, TEXT), base, RESULT)
    beyond = machine.memory.read(RESULT + size, 8 - size)
    assert beyond == bytes([0x55]) * (8 - size)
    if machine.memory.number(RESULT) == BEFORE:
        return code, None
    return code, machine.memory.number(RESULT, size, signed=signed)


@pytest.mark.parametrize("name", KSTRTO)
def test_a_number_is_stored_if_its_type_can_hold_it(name: str) -> None:
    size, signed = KSTRTO[name]
    highest = (1 << 8 * size - signed) - 1
    assert convert(name, b"%d" % highest) == (0, highest)
    assert convert(name, b"%d" % (highest + 1)) == (-errno.ERANGE, None)
    assert convert(name, b"9" * 100) == (-errno.ERANGE, None)
    assert convert(name, b"+7\n") == (0, 7)
    if signed:
        assert convert(name, b"%d" % (-highest - 1)) == (0, -highest - 1)
        assert convert(name, b"%d" % (-highest - 2)) == (-errno.ERANGE, None)
    else:
        assert convert(name, b"-1") == (-errno.EINVAL, None)
        assert convert(name, b"-0") == (-errno.EINVAL, None)


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        (b"0x1f", 0, 31),
        (b"0X1F", 16, 31),
        (b"1f", 16, 31),
        (b"017", 0, 15),
        (b"017", 10, 17),
        (b"0b", 16, 11),
        (b"1" * 63, 2, (1 << 63) - 1),
        (b"0" * 50 + b"7", 10, 7),
        (b"0", 0, 0),
    ],
)
def test_a_base_of_zero_is_what_the_number_says(text: bytes, base: int, expected: int) -> None:
    assert convert("kstrtoll", text, base) == (0, expected)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        (b"", 0),
        (b"\n", 0),
        (b"-", 0),
        (b"x", 0),
        (b" 7", 0),
        (b"7 ", 0),
        (b"7\n\n", 0),
        (b"7x", 0),
        (b"+-7", 0),
        (b"08", 0),
        (b"0x", 16),
        (b"0xg", 0),
        (b"0x10", 10),
        (b"12", 2),
    ],
)
@pytest.mark.parametrize("name", ["kstrtoint", "kstrtouint"])
def test_a_text_that_is_no_number_is_refused(name: str, text: bytes, base: int) -> None:
    assert convert(name, text, base) == (-errno.EINVAL, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((each, 1) for each in (b"y", b"Yes", b"1", b"t", b"True", b"on", b"ON")),
        *((each, 0) for each in (b"n", b"No", b"0", b"f", b"False", b"off", b"OF")),
    ],
)
def test_a_yes_or_a_no_begins_like_one(text: bytes, expected: int) -> None:
    machine = new_machine()
    machine.memory.put(RESULT, BEFORE)
    assert run(machine, "kstrtobool", put_text(machine, text, TEXT), RESULT) == 0
    assert machine.memory.number(RESULT) == BEFORE & ~0xFF | expected


@pytest.mark.parametrize("text", [b"", b"o", b"ox", b"2", b"-1", None])
def test_what_is_neither_yes_nor_no_is_refused(text: bytes | None) -> None:
    machine = new_machine()
    machine.memory.put(RESULT, BEFORE)
    place = 0 if text is None else put_text(machine, text, TEXT)
    assert run(machine, "kstrtobool", place, RESULT) == -errno.EINVAL
    assert machine.memory.number(RESULT) == BEFORE


@pytest.mark.parametrize(
    ("name", "text", "base", "expected", "length"),
    [
        ("simple_strtoul", b"12k", 0, 12, 2),
        ("simple_strtoul", b"0x1fz", 0, 31, 4),
        ("simple_strtoul", b"077", 0, 63, 3),
        ("simple_strtoull", b"ff:", 16, 255, 2),
        ("simple_strtoull", b"%d" % ((1 << 64) - 1), 10, (1 << 64) - 1, 20),
        ("simple_strtoul", b"-3", 0, 0, 0),
        ("simple_strtoull", b" 3", 0, 0, 0),
        ("simple_strtoul", b"+3", 0, 0, 0),
        ("simple_strtol", b"-3.", 0, -3, 2),
        ("simple_strtoll", b"-0x10", 0, -16, 5),
        ("simple_strtol", b"+3", 0, 0, 0),
        ("simple_strtoll", b"text", 10, 0, 0),
    ],
)
def test_a_number_ends_where_its_digits_do(
    name: str, text: bytes, base: int, expected: int, length: int
) -> None:
    machine = new_machine()
    assert run(machine, name, put_text(machine, text, TEXT), RESULT, base) == expected
    assert machine.memory.number(RESULT) == TEXT + length
    assert run(machine, name, TEXT, 0, base) == expected


@pytest.mark.parametrize(
    ("letter", "expected"),
    [("0", 0), ("9", 9), ("a", 10), ("F", 15), ("g", -1), (" ", -1), ("\xff", -1), ("\0", -1)],
)
def test_a_hexadecimal_digit_has_a_value(letter: str, expected: int) -> None:
    assert run(new_machine(), "hex_to_bin", ord(letter)) == expected


@pytest.mark.parametrize(
    ("text", "room", "numbers", "rest"),
    [
        (b"1,-2,0x10", 8, (3, 1, -2, 16), b""),
        (b"5-8,1", 8, (5, 5, 6, 7, 8, 1), b""),
        (b"1,2,3,4", 3, (2, 1, 2), b"3,4"),
        (b"7 rest", 8, (1, 7), b" rest"),
        (b"7,rest", 8, (1, 7), b"rest"),
        (b"rest", 8, (0,), b"rest"),
        (b"", 8, (0,), b""),
        (b"3-1", 8, (0,), b"1"),
        (b"1,2-4", 0, (4,), b""),
    ],
)
def test_options_are_numbers_and_ranges_as_far_as_there_is_room(
    text: bytes, room: int, numbers: tuple[int, ...], rest: bytes
) -> None:
    machine = new_machine()
    machine.memory.write(RESULT, b"####" * 10)
    end = run(machine, "get_options", put_text(machine, text, TEXT), room, RESULT)
    assert machine.memory.string(end) == rest
    size = 4 * len(numbers)
    assert struct.unpack(f"<{len(numbers)}i", machine.memory.read(RESULT, size)) == numbers
    assert machine.memory.read(RESULT + max(size, 4 * room), 4) == b"####"


def test_a_range_without_an_end_has_no_more_room_than_others() -> None:
    machine = new_machine()
    run(machine, "get_options", put_text(machine, b"0-2000000000", TEXT), 3, RESULT)
    assert machine.memory.read(RESULT + 4, 12) == struct.pack("<3i", 0, 1, 0)


def put_table(machine: Machine, *patterns: bytes) -> None:
    """Store a table for match_token with the tokens 1, 2 and so on, and -1 for anything else."""
    for number, pattern in enumerate(patterns):
        machine.memory.put(TABLE + 16 * number, number + 1, 4)
        place = put_text(machine, pattern, PARTS + 512 + 32 * number)
        machine.memory.put(TABLE + 16 * number + 8, place)
    machine.memory.put(TABLE + 16 * len(patterns), -1, 4)
    machine.memory.put(TABLE + 16 * len(patterns) + 8, 0)


@pytest.mark.parametrize(
    ("text", "token", "parts"),
    [
        (b"quiet", 1, []),
        (b"quieter", -1, []),
        (b"uid=42", 2, [b"42"]),
        (b"uid=0x2a", 2, [b"0x2a"]),
        (b"uid=-1", -1, []),
        (b"offset=-1", 3, [b"-1"]),
        (b"mode=755", 4, [b"755"]),
        (b"mode=8", -1, []),
        (b"mask=Ff", 5, [b"Ff"]),
        (b"name=some,thing", 6, [b"some,thing"]),
        (b"at 3:7", 7, [b"3", b"7"]),
        (b"", -1, []),
    ],
)
def test_an_option_is_matched_with_patterns(text: bytes, token: int, parts: list[bytes]) -> None:
    machine = new_machine()
    put_table(
        machine, b"quiet", b"uid=%u", b"offset=%d", b"mode=%o", b"mask=%x", b"name=%s", b"at %d:%d"
    )
    assert run(machine, "match_token", put_text(machine, text, TEXT), TABLE, PARTS) == token
    for number, part in enumerate(parts):
        start, end = (machine.memory.number(PARTS + 16 * number + at) for at in (0, 8))
        assert machine.memory.read(start, end - start) == part


def part_of(machine: Machine, text: bytes) -> int:
    """Store a ``substring_t`` that is followed by more."""
    put_text(machine, text + b"9more", TEXT)
    machine.memory.put(PARTS, TEXT)
    machine.memory.put(PARTS + 8, TEXT + len(text))
    return PARTS


@pytest.mark.parametrize(
    ("name", "text", "size", "expected"),
    [
        ("match_int", b"12", 4, 12),
        ("match_int", b"-0x10", 4, -16),
        ("match_int", b"12k", 4, 12),
        ("match_int", b"-2147483648", 4, -(1 << 31)),
        ("match_octal", b"755", 4, 0o755),
        ("match_hex", b"fF", 4, 255),
        ("match_uint", b"4294967295", 4, -1),
        ("match_u64", b"0xffffffffffffffff", 8, -1),
    ],
)
def test_a_part_of_an_option_is_a_number(name: str, text: bytes, size: int, expected: int) -> None:
    machine = new_machine()
    assert run(machine, name, part_of(machine, text), RESULT) == 0
    assert machine.memory.number(RESULT, size, signed=True) == expected


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("match_int", b"2147483648", errno.ERANGE),
        ("match_int", b"k", errno.EINVAL),
        ("match_int", b"", errno.EINVAL),
        ("match_octal", b"8", errno.EINVAL),
        ("match_hex", b"100000000", errno.ERANGE),
        ("match_uint", b"0x10", errno.EINVAL),
        ("match_uint", b"-1", errno.EINVAL),
        ("match_uint", b"4294967296", errno.ERANGE),
        ("match_u64", b"12k", errno.EINVAL),
        ("match_u64", b"18446744073709551616", errno.ERANGE),
    ],
)
def test_a_part_that_is_no_such_number_is_refused(name: str, text: bytes, code: int) -> None:
    machine = new_machine()
    machine.memory.put(RESULT, BEFORE)
    assert run(machine, name, part_of(machine, text), RESULT) == -code
    assert machine.memory.number(RESULT) == BEFORE


def test_a_part_of_an_option_is_copied_into_memory_of_its_own() -> None:
    machine = new_machine()
    copy = run(machine, "match_strdup", part_of(machine, b"value"))
    assert machine.memory.string(copy) == b"value"
    assert held(machine) == [("memory", "6 bytes of memory")]
    run(machine, "kfree", copy)
    assert unload(machine) == []


@pytest.mark.parametrize(("size", "stored"), [(8, b"value\0##"), (3, b"va\0#####"), (0, b"#" * 8)])
def test_a_part_of_an_option_is_copied_as_far_as_there_is_room(size: int, stored: bytes) -> None:
    machine = new_machine()
    machine.memory.write(RESULT, b"#" * 8)
    assert run(machine, "match_strlcpy", RESULT, part_of(machine, b"value"), size) == 5
    assert machine.memory.read(RESULT, 8) == stored


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("kstrtoint", (TEXT, 0, 8)),
        ("kstrtoint", (8, 0, RESULT)),
        ("match_int", (8, RESULT)),
        ("match_token", (TEXT, 8, PARTS)),
        ("get_options", (TEXT, 4, 8)),
    ],
)
def test_a_pointer_to_nowhere_is_an_oops(name: str, arguments: tuple[int, ...]) -> None:
    machine = new_machine()
    put_text(machine, b"1", TEXT)
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(machine, name, *arguments)
