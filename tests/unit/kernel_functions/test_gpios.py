# SPDX-License-Identifier: Apache-2.0
"""Lines for any purpose, by their descriptors and by their numbers (drivers/gpio/gpiolib.c)."""

import errno

import pytest

from tests.support.kernel_calls import (
    Callback,
    callback,
    error_pointer,
    held,
    put_text,
    run,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine

CHIP, OTHER, LABEL, DATA = ROOM, ROOM + 512, ROOM + 1024, 0x1234
REQUEST, FREE, INPUT, OUTPUT, GET, SET, BASE, COUNT = 40, 48, 64, 72, 80, 96, 168, 172
"""Offsets in ``struct gpio_chip``."""

ACTIVE_LOW = 1
AS_IS, IN, OUT_LOW, OUT_HIGH = 0, 1, 3, 7
EPROBE_DEFER = 517


def put_chip(machine: Machine, at: int = CHIP, *, base: int = -1, count: int = 4) -> None:
    machine.memory.put(at + BASE, base, 4)
    machine.memory.put(at + COUNT, count, 2)


def add(machine: Machine, at: int = CHIP) -> int:
    return run(machine, "gpiochip_add_data_with_key", at, DATA, 0, 0)


def put_function(machine: Machine, offset: int, result: int = 0) -> Callback:
    made = callback(machine, result)
    machine.memory.put(CHIP + offset, made.address)
    return made


@pytest.fixture
def machine() -> Machine:
    """A machine with a chip of four lines, from 512 on."""
    made = new_machine()
    put_chip(made)
    assert add(made) == 0
    return made


def line(machine: Machine, offset: int, lookup: int = 0, how: int = AS_IS) -> int:
    label = put_text(machine, b"lamp", LABEL)
    return run(machine, "gpiochip_request_own_desc", CHIP, offset, label, lookup, how)


def test_a_chip_has_numbers_of_its_own_and_its_data(machine: Machine) -> None:
    assert machine.memory.number(CHIP + BASE, 4) == 512
    assert run(machine, "gpiochip_get_data", CHIP) == DATA
    assert held(machine) == [("GPIO chip", "")]
    for base, count, code in ((-1, 0, -errno.EINVAL), (514, 1, -errno.EBUSY), (-1, 8, 0)):
        put_chip(machine, OTHER, base=base, count=count)
        assert add(machine, OTHER) == code
    assert machine.memory.number(OTHER + BASE, 4) == 516
    assert add(machine) == -errno.EBUSY
    run(machine, "gpiochip_remove", CHIP)
    assert run(machine, "gpiochip_get_data", CHIP) == 0
    assert run(machine, "gpio_to_desc", 512) == 0


def test_a_line_is_one_users_at_a_time(machine: Machine) -> None:
    asks, frees = put_function(machine, REQUEST), put_function(machine, FREE)
    lamp = line(machine, 2)
    assert asks.arguments[:2] == (CHIP, 2)
    assert line(machine, 2) == error_pointer(errno.EBUSY)
    assert line(machine, 4) == error_pointer(errno.EINVAL)
    assert ("GPIO line", "GPIO line 2") in held(machine)
    assert run(machine, "gpio_to_desc", 514) == lamp
    assert run(machine, "desc_to_gpio", lamp) == 514
    run(machine, "gpiochip_free_own_desc", lamp)
    run(machine, "gpiod_put", lamp)
    assert frees.calls == 1
    put_function(machine, REQUEST, -errno.ENODEV)
    assert line(machine, 2) == error_pointer(errno.ENODEV)


def test_what_is_written_and_read_is_the_chips(machine: Machine) -> None:
    sets, gets = put_function(machine, SET), put_function(machine, GET, 5)
    turns = put_function(machine, OUTPUT)
    lamp = line(machine, 1, how=OUT_HIGH)
    assert turns.arguments == (CHIP, 1, 1)
    assert run(machine, "gpiod_get_direction", lamp) == 0
    for name, value in (("gpiod_set_value", 9), ("gpiod_set_raw_value_cansleep", 0)):
        run(machine, name, lamp, value)
        assert sets.arguments == (CHIP, 1, int(bool(value)))
    for name in ("gpiod_get_value", "gpiod_get_raw_value", "gpiod_get_value_cansleep"):
        assert run(machine, name, lamp) == 1
    assert gets.arguments[:2] == (CHIP, 1)
    put_function(machine, GET, -errno.EIO)
    assert run(machine, "gpiod_get_value", lamp) == -errno.EIO


def test_a_line_that_is_active_low_is_the_other_way_round(machine: Machine) -> None:
    sets = put_function(machine, SET)
    put_function(machine, GET, 0)
    lamp = line(machine, 0, ACTIVE_LOW, OUT_LOW)
    assert run(machine, "gpiod_is_active_low", lamp) == 1
    assert sets.arguments == (CHIP, 0, 1)
    for name, level in (("gpiod_set_value_cansleep", 0), ("gpiod_set_raw_value", 1)):
        run(machine, name, lamp, 1)
        assert sets.arguments[2] == level
    assert run(machine, "gpiod_get_value", lamp) == 1
    assert run(machine, "gpiod_get_raw_value_cansleep", lamp) == 0


def test_a_line_turns_as_far_as_the_chip_can(machine: Machine) -> None:
    lamp = line(machine, 0)
    assert run(machine, "gpiod_direction_output", lamp, 1) == -errno.EIO
    assert run(machine, "gpiod_direction_input", lamp) == 0
    turns = put_function(machine, INPUT, -errno.EPERM)
    assert run(machine, "gpiod_direction_input", lamp) == -errno.EPERM
    assert turns.arguments[:2] == (CHIP, 0)
    assert line(machine, 1, how=IN) == error_pointer(errno.EPERM)
    put_function(machine, SET)
    assert run(machine, "gpiod_direction_output_raw", lamp, 1) == 0
    assert run(machine, "gpiod_get_direction", lamp) == 0
    assert ("GPIO line", "GPIO line 1") not in held(machine)


def test_a_number_is_a_line_and_one_without_may_come_later(machine: Machine) -> None:
    sets = put_function(machine, SET)
    assert run(machine, "gpio_request", 513, LABEL) == 0
    assert run(machine, "gpio_request", 513, LABEL) == -errno.EBUSY
    assert run(machine, "gpio_request", 4, LABEL) == -EPROBE_DEFER
    assert run(machine, "gpio_request", 1 << 31, LABEL) == -errno.EINVAL
    run(machine, "gpio_free", 513)
    run(machine, "gpio_free", 4)
    assert run(machine, "gpio_request_one", 513, 2, LABEL) == 0
    assert sets.arguments == (CHIP, 1, 1)
    run(machine, "gpio_free", 513)
    assert run(machine, "gpio_request_one", 513, 1, LABEL) == 0
    assert run(machine, "gpio_request_one", 4, 1, LABEL) == -EPROBE_DEFER


@pytest.mark.parametrize("name", ["gpiod_get", "devm_gpiod_get"])
def test_nothing_says_which_lines_a_device_has(name: str) -> None:
    machine = new_machine()
    assert run(machine, name, ROOM, LABEL, OUT_LOW) == error_pointer(errno.ENOENT)
    run(machine, "devm_gpiod_put", ROOM, 0)


def test_what_is_no_line_is_refused(machine: Machine) -> None:
    for name in ("gpiod_direction_input", "gpiod_direction_output", "gpiod_direction_output_raw"):
        assert run(machine, name, ROOM, 1) == -errno.EINVAL
    assert run(machine, "gpiod_get_direction", 0) == -errno.EINVAL
    assert run(machine, "gpiod_get_value", 0) == run(machine, "gpiod_is_active_low", 0) == 0
    run(machine, "gpiod_set_value", 0, 1)
    run(machine, "gpiod_set_raw_value", 0, 1)
    assert run(machine, "desc_to_gpio", 0) == -1


def test_a_module_that_goes_takes_its_chip_and_its_lines_along(machine: Machine) -> None:
    lamp = line(machine, 3)
    assert [kind for kind, _ in unload(machine)] == ["GPIO chip", "GPIO line"]
    assert run(machine, "gpio_to_desc", 515) == 0
    run(machine, "gpiod_put", lamp)
    assert add(machine) == 0
