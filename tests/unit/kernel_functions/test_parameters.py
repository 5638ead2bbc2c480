# SPDX-License-Identifier: Apache-2.0
"""What sets and shows module parameters, called as modules' own operations do (kernel/params.c)."""

import errno

import pytest

from tests.support.kernel_calls import Crash, held, put_text, run
from tests.support.machine import ROOM, Machine, new_machine

RECORD, VALUE, TEXT, BUFFER = ROOM, ROOM + 256, ROOM + 512, ROOM + 4096
PLACE = 32
"""Where ``struct kernel_param`` points at the variable."""

BEFORE = 0x5555555555555555

NUMBERS = {
    "byte": (1, False),
    "short": (2, True),
    "ushort": (2, False),
    "int": (4, True),
    "uint": (4, False),
    "long": (8, True),
    "ulong": (8, False),
    "ullong": (8, False),
    "hexint": (4, False),
}
"""Bytes of a variable, and whether it can be below zero."""

SETTERS = """
    param_set_byte param_set_short param_set_ushort param_set_int param_set_uint param_set_long
    param_set_ulong param_set_ullong param_set_hexint
"""
GETTERS = """
    param_get_byte param_get_short param_get_ushort param_get_int param_get_uint param_get_long
    param_get_ulong param_get_ullong param_get_hexint
"""


def kind_of(name: str) -> tuple[int, bool]:
    return NUMBERS[name.rpartition("_")[2]]


@pytest.fixture
def machine() -> Machine:
    """A machine with a parameter, whose variable is all fives."""
    made = new_machine()
    made.memory.put(RECORD + PLACE, VALUE)
    made.memory.put(VALUE, BEFORE)
    return made


def put(machine: Machine, name: str, text: bytes | None) -> int:
    return run(machine, name, 0 if text is None else put_text(machine, text, TEXT), RECORD)


def shown(machine: Machine, name: str) -> bytes:
    """Return what a function shows, which returns how long that is."""
    machine.memory.write(BUFFER, b"#" * 64)
    length = run(machine, name, BUFFER, RECORD)
    text: bytes = machine.memory.string(BUFFER)
    assert len(text) == length
    return text


@pytest.mark.parametrize("name", SETTERS.split())
def test_a_number_is_set_if_its_type_can_hold_it(machine: Machine, name: str) -> None:
    size, signed = kind_of(name)
    highest = (1 << 8 * size - signed) - 1
    lowest = -highest - 1 if signed else 0
    for text, number in (
        (b"%d" % highest, highest),
        (b"%d\n" % lowest, lowest),
        (b"0x11", 17),
        (b"011", 9),
    ):
        assert put(machine, name, text) == 0
        assert machine.memory.number(VALUE, size, signed=signed) == number
    machine.memory.put(VALUE, BEFORE)
    for text, code in (
        (b"%d" % (highest + 1), errno.ERANGE),
        (b"%d" % (lowest - 1), errno.ERANGE if signed else errno.EINVAL),
        (b"1x", errno.EINVAL),
        (b" 1", errno.EINVAL),
        (b"", errno.EINVAL),
    ):
        assert put(machine, name, text) == -code
    assert machine.memory.number(VALUE) == BEFORE


@pytest.mark.parametrize("name", GETTERS.split())
def test_a_number_is_shown_with_a_line_feed(machine: Machine, name: str) -> None:
    size, signed = kind_of(name)
    machine.memory.put(VALUE, -1, size)
    highest = (1 << 8 * size) - 1
    expected = b"0xffffffff" if "hex" in name else b"%d" % (-1 if signed else highest)
    assert shown(machine, name) == expected + b"\n"
    machine.memory.put(VALUE, 16, size)
    assert shown(machine, name) == (b"0x000010\n" if "hex" in name else b"16\n")


@pytest.mark.parametrize(
    ("name", "yes", "size"),
    [("param_set_bool", 1, 1), ("param_set_invbool", 0, 1), ("param_set_bint", 1, 4)],
)
def test_a_boolean_is_a_yes_a_no_or_nothing_at_all(
    machine: Machine, name: str, yes: int, size: int
) -> None:
    for text, is_yes in ((b"Y", 1), (b"off", 0), (b"1\n", 1), (b"n", 0), (b"true", 1), (None, 1)):
        assert put(machine, name, text) == 0
        assert machine.memory.number(VALUE, size) == (yes if is_yes else 1 - yes)
    machine.memory.put(VALUE, BEFORE)
    for text in (b"", b"2", b"o", b"oz"):
        assert put(machine, name, text) == -errno.EINVAL
    assert machine.memory.number(VALUE) == BEFORE


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("param_get_bool", (b"N\n", b"Y\n")),
        ("param_get_invbool", (b"Y\n", b"N\n")),
        ("param_get_bint", (b"0\n", b"1\n")),
        ("param_get_bool_enable_only", (b"N\n", b"Y\n")),
    ],
)
def test_a_boolean_is_shown(machine: Machine, name: str, texts: tuple[bytes, bytes]) -> None:
    for value, text in enumerate(texts):
        machine.memory.put(VALUE, value)
        assert shown(machine, name) == text


def test_what_can_only_be_switched_on_is_not_switched_off(machine: Machine) -> None:
    name = "param_set_bool_enable_only"
    machine.memory.put(VALUE, 0)
    results = [put(machine, name, text) for text in (b"0", b"x", b"1", b"y", None)]
    assert results == [0, -errno.EINVAL, 0, 0, 0]
    assert put(machine, name, b"0") == -errno.EROFS
    assert machine.memory.number(VALUE) == 1


def test_a_text_is_copied_and_the_copy_before_it_is_freed(machine: Machine) -> None:
    machine.memory.put(VALUE, put_text(machine, b"initial", TEXT))
    assert shown(machine, "param_get_charp") == b"initial\n"
    assert put(machine, "param_set_charp", b"one") == 0
    first = machine.memory.number(VALUE)
    assert put(machine, "param_set_charp", b"two, and more") == 0
    put_text(machine, b"gone", TEXT)
    assert shown(machine, "param_get_charp") == b"two, and more\n"
    assert machine.heap.size(first) is None
    assert held(machine) == []


def test_a_text_has_a_greatest_length(machine: Machine) -> None:
    assert put(machine, "param_set_charp", b"x" * 1024) == 0
    before = machine.memory.number(VALUE)
    assert put(machine, "param_set_charp", b"x" * 1025) == -errno.ENOSPC
    assert machine.memory.number(VALUE) == before


def test_there_may_be_no_text_yet(machine: Machine) -> None:
    machine.memory.put(VALUE, 0)
    assert shown(machine, "param_get_charp") == b"(null)\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"10", 0),
        (b"0x14", 0),
        (b"9", errno.EINVAL),
        (b"21", errno.EINVAL),
        (b"15x", errno.EINVAL),
        (b"-15", errno.EINVAL),
        (b"4294967296", errno.ERANGE),
        (None, errno.EINVAL),
    ],
)
def test_a_number_may_have_bounds_of_its_own(
    machine: Machine, text: bytes | None, code: int
) -> None:
    place = 0 if text is None else put_text(machine, text, TEXT)
    assert run(machine, "param_set_uint_minmax", place, RECORD, 10, 20) == -code
    after = BEFORE & ~0xFFFFFFFF | int(text or b"", 0) if not code else BEFORE
    assert machine.memory.number(VALUE) == after


def test_nobody_else_sets_parameters_meanwhile(machine: Machine) -> None:
    run(machine, "kernel_param_lock", 0)
    assert put(machine, "param_set_int", b"5") == 0
    run(machine, "kernel_param_unlock", 0)
    assert machine.memory.number(VALUE, 4) == 5


@pytest.mark.parametrize("name", ["param_set_int", "param_set_bool", "param_set_charp"])
def test_a_variable_that_is_nowhere_is_an_oops(machine: Machine, name: str) -> None:
    machine.memory.put(RECORD + PLACE, 8)
    with pytest.raises(Crash, match="address: 0000000000000008"):
        put(machine, name, b"1")
