# SPDX-License-Identifier: Apache-2.0
"""Devices of a module's own that nothing stands behind (drivers/base/faux.c)."""

from collections.abc import Iterator

import pytest

from kmodd.kernel.emulated.abi.structures import FAUX_DEVICE, FAUX_OPERATIONS
from tests.support.kernel_calls import (
    Callback,
    callback,
    held,
    laid_out,
    paths,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine

MAKERS = ("faux_device_create", "faux_device_create_with_groups")
BUS, DRIVER = 96, 104
DEVICE = "/sys/devices/leds/"


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine of a kernel that has the bus."""
    with (
        laid_out(FAUX_DEVICE, device=0, size=792),
        laid_out(FAUX_OPERATIONS, probe=0, remove=8),
    ):
        yield new_machine()


def operations(machine: Machine, result: int = 0) -> tuple[int, Callback, Callback]:
    """Return a ``struct faux_device_ops`` with its functions."""
    probe, remove = callback(machine, result), callback(machine)
    return put_structure(machine, 32, {0: probe.address, 8: remove.address}), probe, remove


def create(machine: Machine, make: str, functions: int, name: str = "leds") -> int:
    return run(machine, make, put_text(machine, name), 0, functions, 0)


@pytest.mark.parametrize("make", MAKERS)
def test_a_device_is_probed_when_it_is_made_and_removed_when_it_goes(
    machine: Machine, make: str
) -> None:
    functions, probe, remove = operations(machine)
    made = create(machine, make, functions)
    assert (probe.calls, probe.arguments[0], remove.calls) == (1, made, 0)
    assert ("faux device", "faux device 'leds'") in held(machine)
    assert DEVICE in paths(machine.mounts.sysfs)
    run(machine, "faux_device_destroy", made)
    assert (remove.calls, remove.arguments[0]) == (1, made)
    assert (held(machine), machine.heap.size(made)) == ([], None)
    assert DEVICE not in paths(machine.mounts.sysfs)


def test_all_devices_have_the_driver_of_the_bus(machine: Machine) -> None:
    number, text = machine.memory.number, machine.memory.text
    one, two = (create(machine, MAKERS[0], 0, name) for name in ("one", "two"))
    driver = number(one + DRIVER)
    assert driver == number(two + DRIVER)
    assert text(number(driver)) == "faux_driver"
    bus = number(driver + 8)
    assert (text(number(bus)), number(one + BUS)) == ("faux", bus)


@pytest.mark.parametrize("make", MAKERS)
def test_a_device_that_its_driver_refuses_is_none(machine: Machine, make: str) -> None:
    functions, probe, remove = operations(machine, result=-5)
    assert create(machine, make, functions) == 0
    assert (probe.calls, remove.calls, held(machine)) == (1, 0, [])


def test_a_device_needs_no_functions_but_a_name_of_its_own(machine: Machine) -> None:
    made = create(machine, "faux_device_create", 0)
    assert made != 0
    before = held(machine)
    assert create(machine, "faux_device_create", 0) == 0
    assert held(machine) == before
    run(machine, "faux_device_destroy", made)
    for none in (0, made, ROOM):
        run(machine, "faux_device_destroy", none)
    assert held(machine) == []


def test_a_device_that_is_left_goes_without_its_driver(machine: Machine) -> None:
    functions, _, remove = operations(machine)
    made = create(machine, "faux_device_create", functions)
    assert ("faux device", "faux device 'leds'") in unload(machine)
    assert (remove.calls, machine.heap.size(made)) == (0, None)
    assert create(machine, "faux_device_create", functions) != 0
