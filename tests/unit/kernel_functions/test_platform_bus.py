# SPDX-License-Identifier: Apache-2.0
"""Platform devices and their drivers (drivers/base/platform.c, dd.c)."""

import errno
import struct
from dataclasses import dataclass

import pytest

from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    Callback,
    callback,
    error_pointer,
    having,
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

ID, DEVICE, RESOURCE_COUNT, RESOURCE, ID_ENTRY, SIZE = 8, 16, 792, 800, 808, 832
DRIVER, PLATFORM_DATA, DRIVER_DATA, DMA_MASK = 104, 112, 120, 576
NONE, AUTO = -1, -2
MEMORY, INTERRUPT = 0x200, 0x400
EPROBE_DEFER = 517
DEVICES = "/sys/bus/platform/devices/"


@pytest.fixture
def machine() -> Machine:
    return new_machine()


@dataclass(frozen=True, slots=True)
class Driver:
    """A ``struct platform_driver`` with its functions."""

    address: int
    probe: Callback
    remove: Callback


def driver(machine: Machine, name: str, *, result: int = 0, table: int = 0) -> Driver:
    probe, remove = callback(machine, result), callback(machine)
    fields = {0: probe.address, 8: remove.address, 48: put_text(machine, name), 192: table}
    return Driver(put_structure(machine, 240, fields), probe, remove)


def registered(machine: Machine, name: str, **how: int) -> Driver:
    made = driver(machine, name, **how)
    assert run(machine, "__platform_driver_register", made.address, 0) == 0
    return made


def added(machine: Machine, name: str, number: int = NONE) -> int:
    device = run(machine, "platform_device_alloc", put_text(machine, name), number)
    assert run(machine, "platform_device_add", device) == 0
    return device


def static(machine: Machine, name: str, number: int = NONE) -> int:
    """Return a ``struct platform_device`` of a module's own."""
    return put_structure(machine, SIZE, {0: put_text(machine, name), ID: number & 0xFFFFFFFF})


def resources(machine: Machine, *kinds: tuple[int, int]) -> int:
    """Return a table of resources: where each starts, and its kind."""
    data = b"".join(struct.pack("<4Q32x", start, start, 0, kind) for start, kind in kinds)
    address = machine.heap.allocate(len(data))
    machine.memory.write(address, data)
    return address


def shown(machine: Machine) -> list[str]:
    """Return the names of the devices that are on the bus."""
    found = (each for each in paths(machine.mounts.sysfs) if each.startswith(DEVICES))
    return [each.removeprefix(DEVICES)[:-1] for each in found if each.endswith("/")][1:]


def bound(machine: Machine, device: int) -> int:
    return machine.memory.number(device + DEVICE + DRIVER)


def kinds(machine: Machine) -> list[str]:
    return sorted(kind for kind, _ in held(machine))


@pytest.mark.parametrize("comes_first", ["the driver", "the device"])
def test_a_driver_probes_the_device_of_its_name(machine: Machine, comes_first: str) -> None:
    if comes_first == "the driver":
        leds = registered(machine, "leds")
        device = added(machine, "leds", 3)
    else:
        device = added(machine, "leds", 3)
        leds = registered(machine, "leds")
    added(machine, "other")
    assert (leds.probe.calls, leds.probe.arguments[0]) == (1, device)
    assert bound(machine, device) == leds.address + 48
    assert ("driver", "platform driver 'leds'") in held(machine)
    run(machine, "platform_driver_unregister", leds.address)
    assert (leds.remove.calls, leds.remove.arguments[0]) == (1, device)
    assert bound(machine, device) == 0
    assert "driver" not in kinds(machine)


def test_a_drivers_table_says_which_devices_it_is_for(machine: Machine) -> None:
    table = machine.heap.allocate(128)
    machine.memory.write(table, struct.pack("<20s12x20s12x", b"old", b"new"))
    either = registered(machine, "either", table=table)
    new, _ = added(machine, "new"), added(machine, "third")
    assert (either.probe.calls, either.probe.arguments[0]) == (1, new)
    assert machine.memory.number(new + ID_ENTRY) == table + 32


@pytest.mark.parametrize(
    ("code", "is_told"),
    [(-errno.ENODEV, False), (-errno.ENXIO, False), (-EPROBE_DEFER, False), (-errno.EIO, True)],
)
def test_a_device_whose_probe_fails_stays_without_a_driver(code: int, is_told: bool) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    registered(machine, "leds", result=code)
    device = added(machine, "leds")
    machine.memory.put(device + DEVICE + DRIVER_DATA, 7)
    assert bound(machine, device) == 0
    assert lines == [f"leds: probe of leds failed with error {code}"] * is_told
    assert registered(machine, "leds2").probe.calls == 0


def test_a_drivers_name_is_its_own(machine: Machine) -> None:
    registered(machine, "leds")
    second = driver(machine, "leds")
    assert run(machine, "__platform_driver_register", second.address, 0) == -errno.EBUSY
    code = run(machine, "__platform_driver_probe", second.address, second.probe.address, 0)
    assert code == -errno.EBUSY
    assert kinds(machine) == ["driver"]
    run(machine, "platform_driver_unregister", second.address)
    assert kinds(machine) == ["driver"]
    assert oops(machine, "__platform_driver_register", 0, 0).startswith(NULL_DEREFERENCE)


def test_a_driver_of_what_is_there_already_or_never(machine: Machine) -> None:
    leds, probe = driver(machine, "leds"), callback(machine)
    name = "__platform_driver_probe"
    assert run(machine, name, leds.address, probe.address, 0) == -errno.ENODEV
    assert held(machine) == []
    device = added(machine, "leds")
    assert run(machine, name, leds.address, probe.address, 0) == 0
    assert (probe.calls, leds.probe.calls) == (1, 0)
    assert bound(machine, device) == leds.address + 48


def test_of_several_drivers_all_are_there_or_none(machine: Machine) -> None:
    one, two, again = (driver(machine, each) for each in ("one", "two", "one"))
    table = put_pointers(machine, one.address, two.address)
    assert run(machine, "__platform_register_drivers", table, 2, 0) == 0
    assert kinds(machine) == ["driver", "driver"]
    run(machine, "platform_unregister_drivers", table, 2)
    assert held(machine) == []
    table = put_pointers(machine, one.address, two.address, again.address)
    assert run(machine, "__platform_register_drivers", table, 3, 0) == -errno.EBUSY
    assert held(machine) == []


@pytest.mark.parametrize(
    ("number", "name"), [(NONE, "leds"), (0, "leds.0"), (7, "leds.7"), (AUTO, "leds.0.auto")]
)
def test_a_devices_name_has_its_number(machine: Machine, number: int, name: str) -> None:
    device = added(machine, "leds", number)
    assert shown(machine) == [name]
    assert kinds(machine) == ["name", "platform device"]
    run(machine, "platform_device_unregister", device)
    assert (shown(machine), held(machine)) == ([], [])
    assert machine.heap.size(device) is None


def test_an_automatic_number_is_the_lowest_free_one(machine: Machine) -> None:
    first, _ = (added(machine, "leds", AUTO) for _ in range(2))
    assert machine.memory.number(first + ID, 4) == 0
    run(machine, "platform_device_unregister", first)
    added(machine, "keys", AUTO)
    assert shown(machine) == ["keys.0.auto", "leds.1.auto"]


def test_a_devices_name_is_its_own(machine: Machine) -> None:
    added(machine, "leds", 1)
    second = run(machine, "platform_device_alloc", put_text(machine, "leds"), 1)
    assert run(machine, "platform_device_add", second) == -errno.EEXIST
    assert run(machine, "platform_device_add", 0) == -errno.EINVAL
    run(machine, "platform_device_put", second)
    assert machine.heap.size(second) is None
    assert kinds(machine) == ["name", "platform device"]
    assert run(machine, "platform_device_register", static(machine, "leds", 1)) == -errno.EEXIST
    assert "static platform device" not in kinds(machine)


def test_a_device_of_the_modules_own_is_there_until_it_is_unregistered(machine: Machine) -> None:
    device = static(machine, "leds", 2)
    assert run(machine, "platform_device_register", device) == 0
    assert kinds(machine) == ["name", "static platform device"]
    masks = [machine.memory.number(device + DEVICE + at) for at in (DMA_MASK, DMA_MASK + 8)]
    assert machine.memory.number(masks[0]) == masks[1] == 0xFFFFFFFF
    run(machine, "platform_device_unregister", device)
    assert (shown(machine), held(machine)) == ([], [])


def test_of_several_devices_all_are_there_or_none(machine: Machine) -> None:
    one, two, again = (static(machine, each) for each in ("one", "two", "one"))
    assert run(machine, "platform_add_devices", put_pointers(machine, one, two), 2) == 0
    assert shown(machine) == ["one", "two"]
    for each in (one, two):
        run(machine, "platform_device_unregister", each)
    table = put_pointers(machine, one, two, again)
    assert run(machine, "platform_add_devices", table, 3) == -errno.EEXIST
    assert shown(machine) == []
    assert run(machine, "platform_add_devices", table, 0) == 0


def test_a_device_that_is_deleted_is_let_go_and_still_there(machine: Machine) -> None:
    leds = registered(machine, "leds")
    device = added(machine, "leds")
    run(machine, "platform_device_del", device)
    assert leds.remove.calls == 1
    assert shown(machine) == []
    assert machine.heap.size(device) is not None
    run(machine, "platform_device_put", device)
    assert machine.heap.size(device) is None
    assert kinds(machine) == ["driver"]


@pytest.mark.parametrize(
    "function", ["platform_device_del", "platform_device_put", "platform_device_unregister"]
)
def test_no_device_is_let_go(machine: Machine, function: str) -> None:
    added(machine, "leds")
    run(machine, function, 0)
    assert shown(machine) == ["leds"]
    run(machine, "platform_device_unregister", error_pointer(errno.ENOMEM))
    assert shown(machine) == ["leds"]


def test_resources_are_copied_and_counted_by_their_kind(machine: Machine) -> None:
    device = run(machine, "platform_device_alloc", put_text(machine, "leds"), NONE)
    given = resources(machine, (0x1000, MEMORY), (9, INTERRUPT), (0x2000, MEMORY))
    assert run(machine, "platform_device_add_resources", device, given, 3) == 0
    machine.memory.fill(given, 3 * 64)
    first = machine.memory.number(device + RESOURCE)
    find = "platform_get_resource"
    assert run(machine, find, device, MEMORY, 0) == first
    assert run(machine, find, device, MEMORY, 1) == first + 128
    assert machine.memory.number(first + 128) == 0x2000
    assert run(machine, find, device, MEMORY, 2) == 0
    assert run(machine, find, device, 0x100, 0) == 0
    assert run(machine, "platform_device_add_resources", device, 0, 0) == 0
    assert machine.memory.number(device + RESOURCE_COUNT, 4) == 0
    assert machine.heap.size(first) is None
    assert run(machine, find, device, MEMORY, 0) == 0


@pytest.mark.parametrize("function", ["platform_get_irq", "platform_get_irq_optional"])
def test_an_interrupt_is_a_resource_and_never_0(machine: Machine, function: str) -> None:
    device = run(machine, "platform_device_alloc", put_text(machine, "leds"), NONE)
    given = resources(machine, (9, INTERRUPT), (0, INTERRUPT))
    run(machine, "platform_device_add_resources", device, given, 2)
    answers = [run(machine, function, device, each) for each in range(3)]
    assert answers == [9, -errno.EINVAL, -errno.ENXIO]


def test_data_is_copied_into_memory_of_the_devices(machine: Machine) -> None:
    device = run(machine, "platform_device_alloc", put_text(machine, "leds"), NONE)
    where, data = device + DEVICE + PLATFORM_DATA, put_text(machine, "data")
    assert run(machine, "platform_device_add_data", device, data, 5) == 0
    copy = machine.memory.number(where)
    assert copy != data
    assert machine.memory.read(copy, 5) == b"data\0"
    assert run(machine, "platform_device_add_data", device, data, 1 << 40) == -errno.ENOMEM
    assert machine.memory.number(where) == copy
    assert run(machine, "platform_device_add_data", device, 0, 0) == 0
    assert machine.memory.number(where) == 0
    assert machine.heap.size(copy) is None
    bad = oops(machine, "platform_device_add_data", device, 64, 8)
    assert bad.startswith(NULL_DEREFERENCE)


def test_a_device_is_made_as_its_description_says(machine: Machine) -> None:
    given, data = resources(machine, (0x1000, MEMORY)), put_text(machine, "data")
    words = {24: put_text(machine, "leds"), 32: 5, 40: given, 48: 1, 56: data, 64: 5}
    info = put_structure(machine, 96, words)
    device = run(machine, "platform_device_register_full", info)
    assert shown(machine) == ["leds.5"]
    found = run(machine, "platform_get_resource", device, MEMORY, 0)
    assert machine.memory.number(found) == 0x1000
    copy = machine.memory.number(device + DEVICE + PLATFORM_DATA)
    assert machine.memory.read(copy, 5) == b"data\0"
    again = run(machine, "platform_device_register_full", info)
    assert again == error_pointer(errno.EEXIST)
    run(machine, "platform_device_unregister", device)
    assert held(machine) == []
    assert [machine.heap.size(each) for each in (device, copy, found)] == [None] * 3


def test_a_driver_may_bring_its_device_along(machine: Machine) -> None:
    leds, probe = driver(machine, "leds"), callback(machine)
    name, rest = "__platform_create_bundle", (0, 0, 0, 0)
    device = run(machine, name, leds.address, probe.address, *rest)
    assert (probe.calls, probe.arguments[0]) == (1, device)
    assert kinds(machine) == ["driver", "name", "platform device"]
    again = run(machine, name, driver(machine, "leds").address, probe.address, *rest)
    assert again == error_pointer(errno.EEXIST)
    run(machine, "platform_device_unregister", device)
    run(machine, "platform_driver_unregister", leds.address)
    assert held(machine) == []
    unwilling = callback(machine, -errno.ENODEV)
    failed = run(machine, name, leds.address, unwilling.address, *rest)
    assert failed == error_pointer(errno.ENODEV)
    assert (held(machine), shown(machine)) == ([], [])


SINCE_7 = {
    "__platform_driver_register": "ippp",
    "__platform_driver_probe": "ipppp",
    "__platform_register_drivers": "ip4pp",
    "__platform_create_bundle": "pppp4p8pp",
}
"""The words of functions that take the name of their caller's module, too."""


def test_drivers_may_come_with_the_name_of_their_module(machine: Machine) -> None:
    with having(**SINCE_7):
        one, two, late = (driver(machine, each) for each in ("one", "two", "late"))
        module = put_text(machine, "sample")
        assert run(machine, "__platform_driver_register", one.address, 0, module) == 0
        table = put_pointers(machine, two.address)
        assert run(machine, "__platform_register_drivers", table, 1, 0, module) == 0
        probe = callback(machine)
        arguments = (late.address, probe.address)
        assert run(machine, "__platform_driver_probe", *arguments, 0, module) == -errno.ENODEV
        device = run(machine, "__platform_create_bundle", *arguments, 0, 0, 0, 0, 0, module)
        assert (probe.calls, probe.arguments[0]) == (1, device)
    assert kinds(machine) == ["driver"] * 3 + ["name", "platform device"]


def test_a_module_that_goes_without_them_leaves_neither_driver_nor_device(
    machine: Machine,
) -> None:
    leds = registered(machine, "leds")
    device = added(machine, "leds")
    unload(machine)
    assert (held(machine), shown(machine)) == ([], [])
    assert machine.heap.size(device) is None
    assert leds.remove.calls == 0
    registered(machine, "leds")
    added(machine, "leds")
    assert leds.probe.calls == 1
