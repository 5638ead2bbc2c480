# SPDX-License-Identifier: Apache-2.0
"""Devices that are plugged in from outside."""

import errno
from itertools import count

from kmodd.errors import Reason
from kmodd.kernel.base import Device
from kmodd.kernel.emulated.abi.structures import (
    DEVICE,
    KOBJECT,
    PCI_BUS,
    PCI_DEVICE,
    PLATFORM_DEVICE,
)
from kmodd.kernel.emulated.functions.bus import (
    BusDevice,
    add_device,
    buses_of,
    driver_name,
    remove_device,
)
from kmodd.kernel.emulated.functions.kobjects import device_name, set_name
from kmodd.kernel.emulated.functions.pci import CONFIGURATION_SIZE, configuration_at
from kmodd.kernel.emulated.functions.platform_bus import (
    make_platform_device,
    name_platform_device,
    platform_device_put,
)
from kmodd.kernel.emulated.functions.sysfs import remove_directory
from kmodd.kernel.emulated.hardware.memory import BadAddress
from kmodd.kernel.emulated.hardware.modalias import PciIdentity, PlatformIdentity
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.refusal import Refusal, errno_of

DEVICES_MAX = 256
"""Devices that can be plugged in at once."""

_SLOTS = 32

_CLASS, _SUBSYSTEM = 9, 44

_DMA_32 = 0xFFFFFFFF


def plug(machine: Machine, identity: PlatformIdentity | PciIdentity) -> Device:
    """Make a device and offer it to the drivers of its bus.

    Raises Refusal (LIMIT_REACHED), and Crash where a driver's code goes wrong; there is no such
    device then.
    """
    if sum(each.is_made for each in buses_of(machine).devices.values()) >= DEVICES_MAX:
        why = f"{DEVICES_MAX} devices are plugged in already"
        raise Refusal(Reason.LIMIT_REACHED, errno.ENOSPC, why)
    if isinstance(identity, PciIdentity):
        device = _make_pci_device(machine, identity)
    else:
        device = _make_platform_device(machine, identity)
    device.is_made = True
    try:
        add_device(machine, device)
    except BaseException:
        _forget(machine, device)
        raise
    return _shown(machine, device)


def unplug(machine: Machine, name: str) -> None:
    """Take a device from its driver, and away.

    Raises Refusal (DEVICE_NOT_FOUND, KERNEL_REFUSED), and Crash where the driver's code goes
    wrong; the device is gone then, too.
    """
    devices = buses_of(machine).devices.values()
    found = next((each for each in devices if device_name(machine, each.base) == name), None)
    if found is None:
        why = f"there is no device {name[:64]!r}"
        raise Refusal(Reason.DEVICE_NOT_FOUND, errno.ENODEV, why, detail=name[:64])
    if not found.is_made:
        owner = _owner(machine, found)
        why = f"device {name} was brought along by the module {owner}"
        raise Refusal(Reason.KERNEL_REFUSED, errno.EBUSY, why, detail=owner)
    try:
        remove_device(machine, found)
    finally:
        _forget(machine, found)


def plugged(machine: Machine) -> tuple[Device, ...]:
    """Return all devices, the oldest first."""
    return tuple(_shown(machine, each) for each in buses_of(machine).devices.values())


def _shown(machine: Machine, device: BusDevice) -> Device:
    driver = device.driver
    entry = machine.ledger.find("driver", driver.address) if driver else None
    return Device(
        name=device_name(machine, device.base),
        bus=device.bus,
        modalias=_modalias(machine, device),
        driver=driver_name(machine, driver) if driver else "",
        driver_module=entry.module if entry else "",
        probe_errno=errno_of(-device.refusal),
        owner="" if device.is_made else _owner(machine, device),
    )


def _owner(machine: Machine, device: BusDevice) -> str:
    for kind in ("platform device", "static platform device"):
        entry = machine.ledger.find(kind, device.address)
        if entry is not None:
            return entry.module
    return ""


def _modalias(machine: Machine, device: BusDevice) -> str:
    memory, at = machine.memory, device.address
    if device.bus == "platform":
        try:
            name = memory.number(at + PLATFORM_DEVICE.name)
            return str(PlatformIdentity(memory.text(name, 64) if name else ""))
        except BadAddress:
            return ""
    return str(
        PciIdentity(
            memory.number(at + PCI_DEVICE.vendor, 2),
            memory.number(at + PCI_DEVICE.device_id, 2),
            memory.number(at + PCI_DEVICE.subsystem_vendor, 2),
            memory.number(at + PCI_DEVICE.subsystem_device, 2),
            memory.number(at + PCI_DEVICE.device_class, 4),
        )
    )


def _forget(machine: Machine, device: BusDevice) -> None:
    """Give a device's memory back."""
    buses_of(machine).devices.pop(device.address, None)
    remove_directory(machine, device.base)
    if device.bus == "platform":
        platform_device_put(machine, device.address)
        return
    name = machine.memory.number(device.base + KOBJECT.name)
    if machine.ledger.give("name", name) is not None:
        machine.heap.free(name)
    machine.heap.free(device.address)


def _names(machine: Machine) -> set[str]:
    return {device_name(machine, each.base) for each in buses_of(machine).devices.values()}


def _make_platform_device(machine: Machine, identity: PlatformIdentity) -> BusDevice:
    names = _names(machine)
    number = next(each for each in count() if f"{identity.name}.{each}" not in names)
    address = make_platform_device(machine, identity.name.encode(), number)
    return name_platform_device(machine, address)


def _make_pci_device(machine: Machine, identity: PciIdentity) -> BusDevice:
    """Return a device in the first free slot; each has its bus, and all are in one domain."""
    names, memory = _names(machine), machine.memory
    at = next(each for each in count(1) if _pci_name(each) not in names)
    address = machine.heap.allocate(configuration_at() + CONFIGURATION_SIZE)
    base, bus = address + PCI_DEVICE.device, address + PCI_DEVICE.size
    memory.put(address + PCI_DEVICE.bus, bus)
    memory.put(bus + PCI_BUS.system_data, bus + PCI_BUS.size)
    memory.put(bus + PCI_BUS.number, at // _SLOTS, 1)
    memory.put(address + PCI_DEVICE.function, at % _SLOTS << 3, 4)
    for offset, number in (
        (PCI_DEVICE.vendor, identity.vendor),
        (PCI_DEVICE.device_id, identity.device),
        (PCI_DEVICE.subsystem_vendor, identity.subsystem_vendor),
        (PCI_DEVICE.subsystem_device, identity.subsystem_device),
    ):
        memory.put(address + offset, number, 2)
    memory.put(address + PCI_DEVICE.device_class, identity.kind, 4)
    memory.put(address + PCI_DEVICE.dma_mask, _DMA_32)
    memory.put(base + DEVICE.dma_mask, address + PCI_DEVICE.dma_mask)
    memory.put(base + DEVICE.coherent_dma_mask, _DMA_32)
    memory.put(base + KOBJECT.references, 1, 4)
    _fill_configuration(machine, address + configuration_at(), identity)
    set_name(machine, base, _pci_name(at).encode())
    return BusDevice(address, base, "pci")


def _pci_name(at: int) -> str:
    return f"0000:{at // _SLOTS:02x}:{at % _SLOTS:02x}.0"


def _fill_configuration(machine: Machine, at: int, identity: PciIdentity) -> None:
    memory = machine.memory
    memory.put(at, identity.vendor, 2)
    memory.put(at + 2, identity.device, 2)
    memory.write(at + _CLASS, identity.kind.to_bytes(3, "little"))
    memory.put(at + _SUBSYSTEM, identity.subsystem_vendor, 2)
    memory.put(at + _SUBSYSTEM + 2, identity.subsystem_device, 2)
