# SPDX-License-Identifier: Apache-2.0
"""Devices that are plugged in from outside, and the configuration space of PCI devices."""

import errno
from itertools import count

from kmodd.errors import Reason
from kmodd.kernel.base import Device as ShownDevice
from kmodd.kernel.emulated.api.bus import (
    Device,
    add_device,
    buses_of,
    driver_name,
    make_platform_device,
    name_platform_device,
    platform_device_put,
    remove_device,
)
from kmodd.kernel.emulated.api.devices import set_name
from kmodd.kernel.emulated.api.structures import (
    DEVICE,
    KOBJECT,
    PCI_BUS,
    PCI_DEVICE,
    PLATFORM_DEVICE,
    device_name,
)
from kmodd.kernel.emulated.api.table import RETURN, RETURN_ZERO, alike, function, machine_code
from kmodd.kernel.emulated.cpu.machine import Machine
from kmodd.kernel.emulated.cpu.memory import BadAddress
from kmodd.kernel.emulated.modalias import PciIdentity, PlatformIdentity
from kmodd.kernel.emulated.refusal import ERRNO_MAX, Refusal

DEVICES_MAX = 256
"""Devices that can be plugged in at once."""

_SLOTS = 32
_SYSTEM_DATA_SIZE = 40
_CONFIGURATION_SIZE = 256
_CONFIGURATION = PCI_DEVICE.size + PCI_BUS.size + _SYSTEM_DATA_SIZE
"""Where the configuration space is in the memory of a PCI device, behind its bus."""

_CLASS, _SUBSYSTEM = 9, 44
_WRITABLE = frozenset({4, 5, 12, 13, 60})
"""The bytes of an empty configuration space that keep what is written: the command, the cache
line's size, the latency, the interrupt line."""

_DEVICE_NOT_FOUND, _BAD_REGISTER = 0x86, 0x87
"""PCIBIOS_DEVICE_NOT_FOUND, PCIBIOS_BAD_REGISTER_NUMBER"""

_DMA_32 = 0xFFFFFFFF


def plug(machine: Machine, identity: PlatformIdentity | PciIdentity) -> ShownDevice:
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


def plugged(machine: Machine) -> tuple[ShownDevice, ...]:
    """Return all devices, the oldest first."""
    return tuple(_shown(machine, each) for each in buses_of(machine).devices.values())


def _shown(machine: Machine, device: Device) -> ShownDevice:
    driver = device.driver
    entry = machine.ledger.find("driver", driver.address) if driver else None
    return ShownDevice(
        name=device_name(machine, device.base),
        bus=device.bus,
        modalias=_modalias(machine, device),
        driver=driver_name(machine, driver) if driver else "",
        driver_module=entry.module if entry else "",
        probe_errno=min(-device.refusal, ERRNO_MAX),
        owner="" if device.is_made else _owner(machine, device),
    )


def _owner(machine: Machine, device: Device) -> str:
    for kind in ("platform device", "static platform device"):
        entry = machine.ledger.find(kind, device.address)
        if entry is not None:
            return entry.module
    return ""


def _modalias(machine: Machine, device: Device) -> str:
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


def _forget(machine: Machine, device: Device) -> None:
    """Give a device's memory back."""
    buses_of(machine).devices.pop(device.address, None)
    if device.bus == "platform":
        platform_device_put(machine, device.address)
        return
    name = machine.memory.number(device.base + KOBJECT.name)
    if machine.ledger.give("name", name) is not None:
        machine.heap.free(name)
    machine.heap.free(device.address)


def _names(machine: Machine) -> set[str]:
    return {device_name(machine, each.base) for each in buses_of(machine).devices.values()}


def _make_platform_device(machine: Machine, identity: PlatformIdentity) -> Device:
    names = _names(machine)
    number = next(each for each in count() if f"{identity.name}.{each}" not in names)
    address = make_platform_device(machine, identity.name.encode(), number)
    return name_platform_device(machine, address)


def _make_pci_device(machine: Machine, identity: PciIdentity) -> Device:
    """Return a device in the first free slot; each has its bus, and all are in one domain."""
    names, memory = _names(machine), machine.memory
    at = next(each for each in count(1) if _pci_name(each) not in names)
    address = machine.heap.allocate(_CONFIGURATION + _CONFIGURATION_SIZE)
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
    _fill_configuration(machine, address + _CONFIGURATION, identity)
    set_name(machine, base, _pci_name(at).encode())
    return Device(address, base, "pci")


def _pci_name(at: int) -> str:
    return f"0000:{at // _SLOTS:02x}:{at % _SLOTS:02x}.0"


def _fill_configuration(machine: Machine, at: int, identity: PciIdentity) -> None:
    memory = machine.memory
    memory.put(at, identity.vendor, 2)
    memory.put(at + 2, identity.device, 2)
    memory.write(at + _CLASS, identity.kind.to_bytes(3, "little"))
    memory.put(at + _SUBSYSTEM, identity.subsystem_vendor, 2)
    memory.put(at + _SUBSYSTEM + 2, identity.subsystem_device, 2)


def _configuration(machine: Machine, device: int, where: int, size: int) -> tuple[int, int]:
    """Return where ``size`` bytes of a configuration space are, and 0 or an error of PCI's."""
    found = buses_of(machine).devices.get(device)
    if found is None or found.bus != "pci":
        return 0, _DEVICE_NOT_FOUND
    if where % size or not 0 <= where < _CONFIGURATION_SIZE:
        return 0, _BAD_REGISTER
    return device + _CONFIGURATION + where, 0


def _read(machine: Machine, device: int, where: int, value: int, size: int) -> int:
    at, code = _configuration(machine, device, where, size)
    machine.memory.put(value, machine.memory.number(at, size) if at else (1 << 8 * size) - 1, size)
    return code


def _write(machine: Machine, device: int, where: int, value: int, size: int) -> int:
    at, code = _configuration(machine, device, where, size)
    for each in range(size) if at else ():
        if where + each in _WRITABLE:
            machine.memory.put(at + each, value >> 8 * each & 0xFF, 1)
    return code


@function("int pci_read_config_byte(const struct pci_dev *dev, int where, u8 *val)")
def pci_read_config_byte(machine: Machine, device: int, where: int, value: int) -> int:
    return _read(machine, device, where, value, 1)


@function("int pci_read_config_word(const struct pci_dev *dev, int where, u16 *val)")
def pci_read_config_word(machine: Machine, device: int, where: int, value: int) -> int:
    return _read(machine, device, where, value, 2)


@function("int pci_read_config_dword(const struct pci_dev *dev, int where, u32 *val)")
def pci_read_config_dword(machine: Machine, device: int, where: int, value: int) -> int:
    return _read(machine, device, where, value, 4)


@function("int pci_write_config_byte(const struct pci_dev *dev, int where, u8 val)")
def pci_write_config_byte(machine: Machine, device: int, where: int, value: int) -> int:
    return _write(machine, device, where, value, 1)


@function("int pci_write_config_word(const struct pci_dev *dev, int where, u16 val)")
def pci_write_config_word(machine: Machine, device: int, where: int, value: int) -> int:
    return _write(machine, device, where, value, 2)


@function("int pci_write_config_dword(const struct pci_dev *dev, int where, u32 val)")
def pci_write_config_dword(machine: Machine, device: int, where: int, value: int) -> int:
    return _write(machine, device, where, value, 4)


def _no_region(_machine: Machine, *_arguments: int) -> int:
    """A device without any BAR has none that is named (pcim_iomap_regions)."""
    return -errno.EINVAL


def _no_interrupt(_machine: Machine, *_arguments: int) -> int:
    """A device without an interrupt line or a capability for messages has none."""
    return -errno.ENOSPC


alike(
    _no_region,
    """
    int pcim_iomap_regions(struct pci_dev *pdev, int mask, const char *name)
    int pcim_iomap_regions_request_all(struct pci_dev *pdev, int mask, const char *name)
    """,
)
alike(
    _no_interrupt,
    """
    int pci_alloc_irq_vectors(struct pci_dev *dev, unsigned int min_vecs, unsigned int max_vecs, unsigned int flags)
    int pci_alloc_irq_vectors_affinity(struct pci_dev *dev, unsigned int min_vecs, unsigned int max_vecs, unsigned int flags, struct irq_affinity *affd)
    int pci_enable_msix_range(struct pci_dev *dev, struct msix_entry *entries, int minvec, int maxvec)
    """,
)
machine_code(
    RETURN_ZERO,
    """
    int pci_enable_device_mem(struct pci_dev *dev)
    int pci_select_bars(struct pci_dev *dev, unsigned long flags)
    int pci_request_selected_regions(struct pci_dev *pdev, int bars, const char *res_name)
    int pci_request_selected_regions_exclusive(struct pci_dev *pdev, int bars, const char *res_name)
    int pci_save_state(struct pci_dev *dev)
    u8 pci_find_capability(struct pci_dev *dev, int cap)
    u16 pci_find_ext_capability(struct pci_dev *dev, int cap)
    void __iomem *pci_ioremap_bar(struct pci_dev *pdev, int bar)
    void __iomem *pci_iomap(struct pci_dev *dev, int bar, unsigned long maxlen)
    void __iomem *pci_iomap_range(struct pci_dev *dev, int bar, unsigned long offset, unsigned long maxlen)
    void __iomem *pcim_iomap(struct pci_dev *pdev, int bar, unsigned long maxlen)
    void __iomem * const *pcim_iomap_table(struct pci_dev *pdev)
    """,
)
machine_code(RETURN, "void pci_release_selected_regions(struct pci_dev *pdev, int bars)")
