# SPDX-License-Identifier: Apache-2.0
"""The faux bus, since 6.14: devices of a module's own that nothing stands behind (drivers/base/faux.c)."""

from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.abi.structures import (
    BUS,
    DEVICE,
    DRIVER,
    FAUX_DEVICE,
    FAUX_OPERATIONS,
)
from kmodd.kernel.emulated.functions.devices import device_del, device_register
from kmodd.kernel.emulated.functions.kobjects import forget_name, set_name
from kmodd.kernel.emulated.machine.machine import Machine

_KIND = "faux device"
_DRIVER_SIZE = 512
"""More than a driver has, or a bus."""


@dataclass(slots=True)
class FauxDevices:
    """The ``operations`` of each device that there is, 0 where it has none, and the only ``driver``
    of the bus, 0 before there is any.
    """

    operations: dict[int, int] = field(default_factory=dict)
    driver: int = 0


@function(
    "struct faux_device *faux_device_create(const char *name, struct device *parent, const struct"
    " faux_device_ops *faux_ops)",
    "struct faux_device *faux_device_create_with_groups(const char *name, struct device *parent,"
    " const struct faux_device_ops *faux_ops, const struct attribute_group **groups)",
)
def faux_device_create(
    machine: Machine, name: int, parent: int, operations: int, groups: int = 0
) -> int:
    """Make a device and have its driver probe it at once; NULL where either fails."""
    memory = machine.memory
    text = memory.string(name, 255)
    made = machine.heap.allocate(FAUX_DEVICE.size)
    device = made + FAUX_DEVICE.device
    memory.put(device + DEVICE.parent, parent)
    memory.put(device + DEVICE.groups, groups)
    set_name(machine, device, text)
    if device_register(machine, device):
        _free(machine, made)
        return 0
    machine.ledger.take(_KIND, made, f"{_KIND} '{text.decode('utf-8', 'replace')}'")
    machine.state(FauxDevices).operations[made] = operations
    driver = _driver(machine)
    memory.put(device + DEVICE.driver, driver)
    memory.put(device + DEVICE.bus, memory.number(driver + DRIVER.bus))
    probe = memory.number(operations + FAUX_OPERATIONS.probe) if operations else 0
    if probe and machine.call(probe, made):
        machine.state(FauxDevices).operations[made] = 0
        faux_device_destroy(machine, made)
        return 0
    return made


@function("void faux_device_destroy(struct faux_device *faux_dev)")
def faux_device_destroy(machine: Machine, made: int) -> None:
    if machine.ledger.find(_KIND, made) is None:
        return
    operations = machine.state(FauxDevices).operations.pop(made)
    remove = machine.memory.number(operations + FAUX_OPERATIONS.remove) if operations else 0
    if remove:
        machine.invoke(remove, made)
    device_del(machine, made + FAUX_DEVICE.device)
    machine.ledger.give(_KIND, made)
    _free(machine, made)


@reclaims(_KIND)
def forget_faux_device(machine: Machine, made: int) -> None:
    """Free a device that a module has left; its driver is gone."""
    machine.state(FauxDevices).operations.pop(made, None)
    machine.heap.free(made)


def _driver(machine: Machine) -> int:
    """Return the ``struct device_driver`` that all devices of the bus have."""
    known = machine.state(FauxDevices)
    if not known.driver:
        known.driver, bus = machine.heap.allocate(_DRIVER_SIZE), machine.heap.allocate(_DRIVER_SIZE)
        for name_at, name in (
            (known.driver + DRIVER.name, b"faux_driver"),
            (bus + BUS.name, b"faux"),
        ):
            text = machine.heap.allocate(len(name) + 1)
            machine.memory.write(text, name)
            machine.memory.put(name_at, text)
        machine.memory.put(known.driver + DRIVER.bus, bus)
    return known.driver


def _free(machine: Machine, made: int) -> None:
    forget_name(machine, made + FAUX_DEVICE.device)
    machine.heap.free(made)
