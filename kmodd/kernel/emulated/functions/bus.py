# SPDX-License-Identifier: Apache-2.0
"""Drivers and the devices that they are for (drivers/base/dd.c).

A device meets the drivers of its bus when either comes, and a driver's ``probe`` is called for it.
Each bus says in ``BUSES`` how it does that.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import (
    RETURN_ZERO,
    function,
    machine_code,
    reclaims,
)
from kmodd.kernel.emulated.abi.structures import DEVICE, DRIVER, SPI_DRIVER
from kmodd.kernel.emulated.functions.attribute_files import Owner
from kmodd.kernel.emulated.functions.kobjects import device_name
from kmodd.kernel.emulated.functions.memory import release
from kmodd.kernel.emulated.functions.sysfs import add_device as show_device
from kmodd.kernel.emulated.functions.sysfs import (
    add_directory,
    add_groups,
    bus_directory,
    on_bus,
    remove_directory,
)
from kmodd.kernel.emulated.hardware.memory import BadAddress
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

_QUIET = (errno.ENODEV, errno.ENXIO, 517)
"""What a probe says to a device that is none of its own, or that has to wait (EPROBE_DEFER)."""


@dataclass(slots=True, eq=False)
class Driver:
    """A driver; ``base`` is its ``struct device_driver``."""

    address: int
    base: int
    bus: str


@dataclass(slots=True, eq=False)
class BusDevice:
    """A device; ``base`` is its ``struct device``. ``driver`` is whom it is bound to.

    ``refusal`` is what the last probe returned that was not for it. ``is_made`` tells that no
    module has brought it along.
    """

    address: int
    base: int
    bus: str
    driver: Driver | None = None
    refusal: int = 0
    is_made: bool = False


@dataclass(slots=True)
class Managed:
    """What is given back when a device loses its driver: an action and its argument, or memory.

    The action of a ``resource`` (devres_add) is told the device, too. What has a ``group`` is
    nothing but the start, or the end, of that group of others.
    """

    action: int
    data: int
    is_resource: bool = False
    group: int = 0
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class Bus:
    """A kind of bus.

    ``match`` finds the entry of a driver's table that a device fits, 0 for none. ``probe`` offers
    the device to the driver with that entry, and returns what the driver says. ``remove`` tells where
    the driver has the function that lets go of a device. ``forget`` is called when it has.
    """

    match: Callable[[Machine, BusDevice, Driver], int]
    probe: Callable[[Machine, BusDevice, Driver, int], int]
    remove: Callable[[], int]
    forget: Callable[[Machine, BusDevice], None] = lambda _machine, _device: None


BUSES: dict[str, Bus] = {}
"""The buses whose devices there can be, by name."""


@dataclass(slots=True)
class Buses:
    """All drivers and devices."""

    drivers: dict[int, Driver] = field(default_factory=dict)
    devices: dict[int, BusDevice] = field(default_factory=dict)
    managed: dict[int, list[Managed]] = field(default_factory=dict)


def buses_of(machine: Machine) -> Buses:
    """Return the machine's drivers and devices."""
    return machine.state(Buses)


def driver_name(machine: Machine, driver: Driver) -> str:
    """Return a driver's name."""
    try:
        name = machine.memory.number(driver.base + DRIVER.name)
        return machine.memory.text(name, 64) if name else "?"
    except BadAddress:
        return "(bad driver)"


def add_driver(machine: Machine, driver: Driver) -> int:
    """Take a driver on, and let it probe the devices that nobody has.

    Returns 0, or -EBUSY where its bus has a driver of that name.
    """
    buses = buses_of(machine)
    text, directory = driver_name(machine, driver), on_bus(machine, driver.bus, "drivers")
    if _is_registered(machine, directory, text):
        return -errno.EBUSY
    machine.ledger.take("driver", driver.address, f"{driver.bus} driver '{text}'")
    add_directory(machine, driver.base, directory, text)
    add_groups(machine, driver.base, machine.memory.number(driver.base + DRIVER.groups), Owner.BUS)
    buses.drivers[driver.address] = driver
    for device in list(buses.devices.values()):
        if device.driver is None and device.bus == driver.bus:
            _try(machine, device, driver)
    return 0


def _is_registered(machine: Machine, directory: int, name: str) -> bool:
    """Tell whether a bus has a driver of that name, and log it where it has."""
    if machine.mounts.sysfs.child(directory, name) is None:
        return False
    machine.log.write(Level.ERR, f"Error: Driver '{name}' is already registered, aborting...\n")
    return True


def remove_driver(machine: Machine, address: int) -> None:
    """Take a driver from its devices, and forget it."""
    buses = buses_of(machine)
    driver = buses.drivers.pop(address, None)
    if driver is None:
        return
    for device in list(buses.devices.values()):
        if device.driver is driver:
            unbind(machine, device)
    remove_directory(machine, driver.base)
    machine.ledger.give("driver", address)


def add_device(machine: Machine, device: BusDevice) -> int:
    """Take a device on, and look for its driver.

    Returns 0, or -EEXIST where its bus has a device of that name.
    """
    buses = buses_of(machine)
    name, directory = device_name(machine, device.base), on_bus(machine, device.bus, "devices")
    code = show_device(machine, device.base, name, parent=directory)
    if code:
        return code
    buses.devices[device.address] = device
    for driver in list(buses.drivers.values()):
        if driver.bus == device.bus and device.driver is None:
            _try(machine, device, driver)
    return 0


def remove_device(machine: Machine, device: BusDevice) -> None:
    """Take a device from its driver, and forget it."""
    try:
        unbind(machine, device)
    finally:
        remove_directory(machine, device.base)
        buses_of(machine).devices.pop(device.address, None)


@reclaims("driver")
def forget_driver(machine: Machine, address: int) -> None:
    """Forget a driver whose module is gone."""
    buses = buses_of(machine)
    driver = buses.drivers.pop(address, None)
    for device in buses.devices.values():
        if driver is not None and device.driver is driver:
            _let_go(machine, device)


@reclaims("platform device", "static platform device")
def forget_device(machine: Machine, address: int) -> None:
    """Forget a device whose module is gone."""
    device = buses_of(machine).devices.pop(address, None)
    if device is not None:
        buses_of(machine).managed.pop(device.base, None)
        remove_directory(machine, device.base)
    machine.heap.free(address)


def _try(machine: Machine, device: BusDevice, driver: Driver) -> int:
    """Probe a device if the driver is for it; return 0 where it is bound then."""
    match = BUSES[device.bus].match(machine, device, driver)
    if not match:
        return -errno.ENODEV
    memory = machine.memory
    memory.put(device.base + DEVICE.driver, driver.base)
    device.driver = driver
    try:
        code = BUSES[device.bus].probe(machine, device, driver, match)
    except Exception:
        _let_go(machine, device)
        raise
    device.refusal = min(code, 0)
    if code < 0:
        _release_managed(machine, device)
        _let_go(machine, device)
        if -code not in _QUIET:
            name, whom = driver_name(machine, driver), device_name(machine, device.base)
            machine.log.write(Level.WARNING, f"{name}: probe of {whom} failed with error {code}\n")
        return code
    add_groups(machine, device.base, memory.number(driver.base + DRIVER.device_groups), Owner.PART)
    return code


def unbind(machine: Machine, device: BusDevice) -> None:
    """Call a driver's ``remove`` for its device."""
    driver = device.driver
    if driver is None:
        return
    remove = machine.memory.number(driver.address + BUSES[device.bus].remove())
    try:
        if remove:
            machine.invoke(remove, device.address)
        _release_managed(machine, device)
    finally:
        _let_go(machine, device)


def _let_go(machine: Machine, device: BusDevice) -> None:
    """Have a device without a driver, and forget what was to be given back with it."""
    buses_of(machine).managed.pop(device.base, None)
    device.driver = None
    for offset in (DEVICE.driver, DEVICE.driver_data):
        machine.memory.put(device.base + offset, 0)
    BUSES[device.bus].forget(machine, device)


def _release_managed(machine: Machine, device: BusDevice) -> None:
    release_managed(machine, device.base, buses_of(machine).managed.pop(device.base, []))


def release_managed(machine: Machine, device: int, held: list[Managed]) -> None:
    """Give back what a device holds, the last first."""
    for managed in reversed(held):
        if managed.is_resource:
            if managed.action:
                machine.invoke(managed.action, device, managed.data)
            release(machine, managed.data)
        elif managed.action:
            machine.invoke(managed.action, managed.data)
        else:
            release(machine, managed.data)


@function("int __spi_register_driver(struct module *owner, struct spi_driver *sdrv)")
def spi_register_driver(machine: Machine, _owner: int, driver: int) -> int:
    machine.ledger.take("bus driver", driver + SPI_DRIVER.driver, "an SPI driver")
    return 0


@function(
    "int __serdev_device_driver_register(struct serdev_device_driver *sdrv, struct module *owner)"
)
def serdev_device_driver_register(machine: Machine, driver: int, _owner: int) -> int:
    machine.ledger.take("bus driver", driver, "a serial device driver")
    return 0


machine_code(RETURN_ZERO, "int driver_attach(struct device_driver *drv)")


@function("int driver_register(struct device_driver *drv)")
def driver_register(machine: Machine, driver: int) -> int:
    """A driver of a bus that a module has brought along: its devices never come."""
    memory = machine.memory
    name = memory.text(memory.number(driver + DRIVER.name), 64)
    bus = memory.number(driver + DRIVER.bus)
    # The kernel's own buses have nothing but their symbols.
    own = machine.kernel_symbols.name(bus).removesuffix("_bus_type")
    directory = bus_directory(machine, bus) or (own and on_bus(machine, own, "drivers"))
    if not directory:
        machine.log.write(
            Level.ERR, f"Driver '{name}' was unable to register: its bus is not there\n"
        )
        return -errno.EINVAL
    if _is_registered(machine, directory, name):
        return -errno.EBUSY
    machine.ledger.take("bus driver", driver, f"driver '{name}'")
    add_directory(machine, driver, directory, name)
    add_groups(machine, driver, memory.number(driver + DRIVER.groups), Owner.BUS)
    return 0


@function("void driver_unregister(struct device_driver *drv)")
def driver_unregister(machine: Machine, driver: int) -> None:
    remove_directory(machine, driver)
    machine.ledger.give("bus driver", driver)
