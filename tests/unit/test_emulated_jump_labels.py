# SPDX-License-Identifier: Apache-2.0
"""Branches of emulated modules that static keys decide."""

import struct

import pytest

from kmodd.kernel.emulated.hardware import addresses
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.functions.jump_labels import follow_switched_keys  # noqa: E402  # after the emulator
from kmodd.kernel.emulated.machine.image import ModuleImage  # noqa: E402
from tests.support.machine import ROOM, Machine, call, new_machine  # noqa: E402

TEXT = addresses.MODULES
TABLE = TEXT + 4096
KEY = ROOM
BRANCH = 1

NOP_SHORT, NOP_LONG = bytes.fromhex("6690"), bytes.fromhex("0f1f440000")
JUMP_SHORT, JUMP_LONG = bytes.fromhex("eb0e"), bytes.fromhex("e90b000000")
"""To 16 bytes behind their start."""


def module(machine: Machine, code: bytes, flags: int = 0, *, to: int = 16) -> ModuleImage:
    """Return a module in memory with one branch, which is ``code`` at first."""
    machine.memory.write(TEXT, code)
    machine.memory.write(
        TABLE, struct.pack("<iiq", TEXT - TABLE, TEXT + to - TABLE - 4, KEY - TABLE - 8 | flags)
    )
    image = ModuleImage(
        name="sample",
        start=TEXT,
        end=TEXT + 8192,
        init_start=0,
        init_end=0,
        text_end=TEXT + 4096,
        init_text_end=0,
        functions=None,  # type: ignore[arg-type]  # nothing is named
        jumps=(TABLE, 16),
    )
    machine.add_image(image)
    return image


@pytest.mark.parametrize(
    ("off", "on", "flags"),
    [
        (NOP_LONG, JUMP_LONG, 0),
        (NOP_SHORT, JUMP_SHORT, 0),
        (JUMP_LONG, NOP_LONG, BRANCH),
        (JUMP_SHORT, NOP_SHORT, BRANCH),
    ],
)
def test_a_branch_is_as_its_key(off: bytes, on: bytes, flags: int) -> None:
    machine = new_machine()
    module(machine, off, flags)
    for name, code, count in (
        ("static_key_enable", on, 1),
        ("static_key_slow_inc", on, 2),
        ("static_key_slow_dec", on, 1),
        ("static_key_slow_dec", off, 0),
        ("static_key_slow_inc", on, 1),
        ("static_key_disable", off, 0),
    ):
        call(machine, name, KEY)
        assert machine.memory.read(TEXT, len(code)) == code
        assert call(machine, "static_key_count", KEY) == count


def test_a_module_that_comes_later_finds_the_key_as_it_is() -> None:
    machine = new_machine()
    call(machine, "static_key_enable", KEY)
    image = module(machine, NOP_LONG)
    follow_switched_keys(machine, image)
    assert machine.memory.read(TEXT, 5) == JUMP_LONG


def test_only_code_that_is_there_is_changed() -> None:
    machine = new_machine()
    image = module(machine, NOP_LONG)
    image.text_end = TEXT
    call(machine, "static_key_enable", KEY)
    assert machine.memory.read(TEXT, 5) == NOP_LONG


@pytest.mark.parametrize(
    ("distance", "is_changed"), [(129, True), (130, False), (-126, True), (-127, False)]
)
def test_what_a_jump_does_not_reach_stays_as_it_is(distance: int, is_changed: bool) -> None:
    machine = new_machine()
    call(machine, "static_key_enable", KEY)
    follow_switched_keys(machine, module(machine, NOP_SHORT, to=distance))
    assert (machine.memory.read(TEXT, 2) != NOP_SHORT) == is_changed
