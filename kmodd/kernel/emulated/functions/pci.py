# SPDX-License-Identifier: Apache-2.0
"""PCI devices: their drivers, their configuration space, and that there is nothing else (drivers/pci)."""

import errno

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ZERO,
    alike,
    function,
    machine_code,
)
from kmodd.kernel.emulated.abi.structures import (
    DEVICE,
    DRIVER,
    PCI_BUS,
    PCI_DEVICE,
    PCI_DEVICE_ID,
    PCI_DRIVER,
)
from kmodd.kernel.emulated.functions.bus import (
    BUSES,
    Bus,
    BusDevice,
    Driver,
    add_driver,
    buses_of,
    remove_driver,
)
from kmodd.kernel.emulated.machine.machine import Machine

_IDS_MAX = 4096
_ANY = 0xFFFFFFFF
_SYSTEM_DATA_SIZE = 40

CONFIGURATION_SIZE = 256
_WRITABLE = frozenset({4, 5, 12, 13, 60})
"""The bytes of an empty configuration space that keep what is written: the command, the cache
line's size, the latency, the interrupt line."""

_DMA_LEAST = (1 << 24) - 1
"""What every device has to reach: the zone for DMA (dma_direct_supported)."""

_DEVICE_NOT_FOUND, _BAD_REGISTER = 0x86, 0x87
"""PCIBIOS_DEVICE_NOT_FOUND, PCIBIOS_BAD_REGISTER_NUMBER"""


def _pci_match(machine: Machine, device: BusDevice, driver: Driver) -> int:
    """Return the entry of the driver's ``struct pci_device_id`` that the device fits."""
    memory = machine.memory
    table = memory.number(driver.address + PCI_DRIVER.id_table)
    at = device.address
    ids = [
        memory.number(at + offset, 2)
        for offset in (
            PCI_DEVICE.vendor,
            PCI_DEVICE.device_id,
            PCI_DEVICE.subsystem_vendor,
            PCI_DEVICE.subsystem_device,
        )
    ]
    kind = memory.number(at + PCI_DEVICE.device_class, 4)
    size = PCI_DEVICE_ID.size
    for entry in range(table, table + size * _IDS_MAX, size) if table else ():
        wanted = [memory.number(entry + 4 * each, 4) for each in range(6)]
        if not (wanted[0] or wanted[2] or wanted[5]):
            return 0
        pairs_ = zip(wanted, ids, strict=False)
        if (
            all(want in (_ANY, have) for want, have in pairs_)
            and not (kind ^ wanted[4]) & wanted[5]
        ):
            return entry
    return 0


def _pci_probe(machine: Machine, device: BusDevice, driver: Driver, match: int) -> int:
    memory = machine.memory
    memory.put(device.address + PCI_DEVICE.driver, driver.address)
    probe = memory.number(driver.address + PCI_DRIVER.probe)
    return machine.call(probe, device.address, match) if probe else 0


@function(
    "int __pci_register_driver(struct pci_driver *drv, struct module *owner, const char *mod_name)"
)
def pci_register_driver(machine: Machine, address: int, _owner: int, _module: int) -> int:
    name = machine.memory.number(address + PCI_DRIVER.name)
    machine.memory.put(address + PCI_DRIVER.driver + DRIVER.name, name)
    return add_driver(machine, Driver(address, address + PCI_DRIVER.driver, "pci"))


@function("void pci_unregister_driver(struct pci_driver *dev)")
def pci_unregister_driver(machine: Machine, address: int) -> None:
    remove_driver(machine, address)


def configuration_at() -> int:
    """Return where the configuration space is in the memory of a PCI device, behind its bus."""
    return PCI_DEVICE.size + PCI_BUS.size + _SYSTEM_DATA_SIZE


def _pci_forget(machine: Machine, device: BusDevice) -> None:
    machine.memory.put(device.address + PCI_DEVICE.driver, 0)


BUSES["pci"] = Bus(_pci_match, _pci_probe, lambda: PCI_DRIVER.remove, _pci_forget)


def _configuration(machine: Machine, device: int, where: int, size: int) -> tuple[int, int]:
    """Return where ``size`` bytes of a configuration space are, and 0 or what is wrong.

    That is an error of PCI's, or an errno below zero for what lies beyond.
    """
    found = buses_of(machine).devices.get(device)
    if found is None or found.bus != "pci":
        return 0, _DEVICE_NOT_FOUND
    if where % size:
        return 0, _BAD_REGISTER
    if not 0 <= where < CONFIGURATION_SIZE:
        return 0, -errno.EINVAL
    return device + configuration_at() + where, 0


def _read(machine: Machine, device: int, where: int, value: int, size: int) -> int:
    """Read a register; one that is not there has all bits set."""
    at, code = _configuration(machine, device, where, size)
    if code != _BAD_REGISTER:
        read = machine.memory.number(at, size) if at else (1 << 8 * size) - 1
        machine.memory.put(value, read, size)
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


def _no_region(_machine: Machine, _device: int, mask: int, _name: int) -> int:
    """A device without any BAR has none of the mask's (pcim_iomap_regions)."""
    return -errno.EINVAL if mask else 0


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
    """,
)


@function(
    "int pci_enable_msix_range(struct pci_dev *dev, struct msix_entry *entries, int minvec, int maxvec)"
)
def pci_enable_msix_range(
    _machine: Machine, _device: int, _entries: int, least: int, most: int
) -> int:
    """No device has the capability."""
    return -errno.ERANGE if most < least else -errno.EINVAL


@function("int dma_set_mask(struct device *dev, u64 mask)")
def dma_set_mask(machine: Machine, device: int, mask: int) -> int:
    where = machine.memory.number(device + DEVICE.dma_mask)
    if not where or mask < _DMA_LEAST:
        return -errno.EIO
    machine.memory.put(where, mask)
    return 0


@function("int dma_set_coherent_mask(struct device *dev, u64 mask)")
def dma_set_coherent_mask(machine: Machine, device: int, mask: int) -> int:
    if mask < _DMA_LEAST:
        return -errno.EIO
    machine.memory.put(device + DEVICE.coherent_dma_mask, mask)
    return 0


machine_code(
    RETURN_ZERO,
    """
    int pci_enable_device(struct pci_dev *dev)
    int pcim_enable_device(struct pci_dev *pdev)
    int pci_request_regions(struct pci_dev *pdev, const char *res_name)
    int pci_set_power_state(struct pci_dev *dev, pci_power_t state)
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
machine_code(
    RETURN,
    """
    void pci_release_selected_regions(struct pci_dev *pdev, int bars)
    void pci_set_master(struct pci_dev *dev)
    void pci_disable_device(struct pci_dev *dev)
    void pci_release_regions(struct pci_dev *pdev)
    """,
)
