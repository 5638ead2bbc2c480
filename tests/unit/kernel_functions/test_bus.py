# SPDX-License-Identifier: Apache-2.0
"""Drivers of buses whose devices never come (drivers/base/driver.c)."""

import errno

import pytest

from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    held,
    oops,
    paths,
    put_pointers,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import Machine, new_machine

BUS, GROUPS, SIZE = 8, 104, 144


@pytest.fixture
def machine() -> Machine:
    return new_machine()


@pytest.fixture
def rail(machine: Machine) -> int:
    bus = put_structure(machine, 176, {0: put_text(machine, "rail")})
    run(machine, "bus_register", bus)
    return bus


def driver(machine: Machine, name: str, bus: int, groups: int = 0) -> int:
    """Return a ``struct device_driver``."""
    return put_structure(machine, SIZE, {0: put_text(machine, name), BUS: bus, GROUPS: groups})


def test_a_driver_is_on_its_bus_once_until_it_is_unregistered(machine: Machine, rail: int) -> None:
    attribute = put_structure(machine, 32, {0: put_text(machine, "version"), 8: 0o444})
    group = put_structure(machine, 40, {24: put_pointers(machine, attribute)})
    engine = driver(machine, "engine", rail, put_pointers(machine, group))
    assert run(machine, "driver_register", engine) == 0
    assert ("bus driver", "driver 'engine'") in held(machine)
    assert paths(machine.mounts.sysfs)[-2:] == [
        *("/sys/bus/rail/drivers/engine/", "/sys/bus/rail/drivers/engine/version"),
    ]
    assert run(machine, "driver_register", driver(machine, "engine", rail)) == -errno.EBUSY
    assert run(machine, "driver_attach", engine) == 0
    run(machine, "driver_unregister", engine)
    assert paths(machine.mounts.sysfs)[-1] == "/sys/bus/rail/drivers/"
    assert held(machine) == [("bus", "bus 'rail'")]
    run(machine, "driver_unregister", engine)
    assert run(machine, "driver_register", driver(machine, "engine", rail)) == 0


def test_a_driver_needs_a_bus_that_is_there() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    never = put_structure(machine, 176, {0: put_text(machine, "rail")})
    assert run(machine, "driver_register", driver(machine, "engine", never)) == -errno.EINVAL
    assert (held(machine), len(lines)) == ([], 1)
    own = machine.kernel_symbols.address("usb_bus_type")
    assert run(machine, "driver_register", driver(machine, "engine", own)) == 0
    assert "/sys/bus/usb/drivers/engine/" in paths(machine.mounts.sysfs)


def test_no_driver_and_one_without_a_name_are_an_oops(machine: Machine, rail: int) -> None:
    assert oops(machine, "driver_register", 0).startswith(NULL_DEREFERENCE)
    nameless = put_structure(machine, SIZE, {BUS: rail})
    assert oops(machine, "driver_register", nameless).startswith(NULL_DEREFERENCE)


def test_an_spi_driver_is_unregistered_as_the_driver_in_it(machine: Machine) -> None:
    inner = 32
    spi = put_structure(machine, inner + SIZE, {inner: put_text(machine, "flash")})
    assert run(machine, "__spi_register_driver", 0, spi) == 0
    assert [kind for kind, _ in held(machine)] == ["bus driver"]
    run(machine, "driver_unregister", spi + inner)
    assert held(machine) == []


def test_a_serial_devices_driver_is_unregistered_as_the_driver_it_begins_with(
    machine: Machine,
) -> None:
    serial = put_structure(machine, SIZE + 16, {0: put_text(machine, "gnss")})
    assert run(machine, "__serdev_device_driver_register", serial, 0) == 0
    assert [kind for kind, _ in held(machine)] == ["bus driver"]
    run(machine, "driver_unregister", serial)
    assert held(machine) == []


def test_a_module_that_goes_without_its_driver_leaves_the_name_free(
    machine: Machine, rail: int
) -> None:
    run(machine, "driver_register", driver(machine, "engine", rail))
    unload(machine)
    assert (held(machine), paths(machine.mounts.sysfs)) == ([], ["/sys/bus/"])
    run(machine, "bus_register", rail)
    assert run(machine, "driver_register", driver(machine, "engine", rail)) == 0
