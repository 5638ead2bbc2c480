# SPDX-License-Identifier: Apache-2.0
"""PCI drivers, and the devices without regions and interrupts that they probe (drivers/pci)."""

import errno
import struct
from dataclasses import dataclass

import pytest

from kmodd.kernel.emulated.hardware.modalias import PciIdentity
from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    Callback,
    callback,
    held,
    oops,
    paths,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import Machine, new_machine

# After the emulator.
from kmodd.kernel.emulated.functions.hotplug import plug  # isort: skip

NETWORK = PciIdentity(0x8086, 0x100E, 0x1AF4, 0x1100, 0x020000)
ANY = 0xFFFFFFFF
DRIVER, DEVICE = 128, 208
COHERENT_DMA_MASK, DMA_MASK = DEVICE + 584, 136
BAD_REGISTER, DEVICE_NOT_FOUND = 0x87, 0x86
DMA_32 = (1 << 32) - 1


@pytest.fixture
def machine() -> Machine:
    return new_machine()


@dataclass(frozen=True, slots=True)
class Driver:
    """A ``struct pci_driver`` with its functions."""

    address: int
    table: int
    probe: Callback
    remove: Callback


def driver(
    machine: Machine, name: str, *ids: tuple[int, int, int, int, int, int], result: int = 0
) -> Driver:
    table = machine.heap.allocate(40 * (len(ids) + 1))
    for number, each in enumerate(ids):
        machine.memory.write(table + 40 * number, struct.pack("<6I", *each))
    probe, remove = callback(machine, result), callback(machine)
    fields = {16: put_text(machine, name), 24: table, 32: probe.address, 40: remove.address}
    return Driver(put_structure(machine, 320, fields), table, probe, remove)


def plugged(machine: Machine, identity: PciIdentity = NETWORK) -> int:
    """Plug a device in and return its address."""
    everything = driver(machine, "finder", (ANY, ANY, ANY, ANY, 0, 0), result=-errno.ENODEV)
    run(machine, "__pci_register_driver", everything.address, 0, 0)
    with machine.running(""):
        plug(machine, identity)
    run(machine, "pci_unregister_driver", everything.address)
    return everything.probe.arguments[0]


@pytest.mark.parametrize(
    ("ids", "is_probed"),
    [
        ((0x8086, 0x100E, ANY, ANY, 0, 0), True),
        ((0x8086, ANY, 0x1AF4, 0x1100, 0, 0), True),
        ((0x8086, 0x100F, ANY, ANY, 0, 0), False),
        ((0x8086, 0x100E, ANY, 0x1101, 0, 0), False),
        ((ANY, ANY, ANY, ANY, 0x020000, 0xFFFF00), True),
        ((ANY, ANY, ANY, ANY, 0x020100, 0xFFFF00), False),
    ],
)
def test_a_driver_probes_the_devices_of_its_table(
    machine: Machine, ids: tuple[int, int, int, int, int, int], is_probed: bool
) -> None:
    device = plugged(machine)
    e1000 = driver(machine, "e1000", (1, 2, ANY, ANY, 0, 0), ids)
    assert run(machine, "__pci_register_driver", e1000.address, 0, 0) == 0
    assert e1000.probe.calls == is_probed
    if is_probed:
        assert e1000.probe.arguments[:2] == (device, e1000.table + 40)
        assert machine.memory.number(device + DRIVER) == e1000.address
    run(machine, "pci_unregister_driver", e1000.address)
    assert e1000.remove.calls == is_probed
    assert machine.memory.number(device + DRIVER) == 0
    assert held(machine) == []


def test_a_drivers_name_is_its_own(machine: Machine) -> None:
    first, second = (driver(machine, "e1000") for _ in range(2))
    assert run(machine, "__pci_register_driver", first.address, 0, 0) == 0
    assert held(machine) == [("driver", "pci driver 'e1000'")]
    assert "/sys/bus/pci/drivers/e1000/" in paths(machine.mounts.sysfs)
    assert run(machine, "__pci_register_driver", second.address, 0, 0) == -errno.EBUSY
    unload(machine)
    assert run(machine, "__pci_register_driver", second.address, 0, 0) == 0
    assert oops(machine, "__pci_register_driver", 0, 0, 0).startswith(NULL_DEREFERENCE)


READS = [
    ("pci_read_config_byte", 1),
    ("pci_read_config_word", 2),
    ("pci_read_config_dword", 4),
]
WRITES = ["pci_write_config_byte", "pci_write_config_word", "pci_write_config_dword"]


@pytest.mark.parametrize(("read", "size"), READS)
def test_the_configuration_has_what_the_device_is(machine: Machine, read: str, size: int) -> None:
    device, place = plugged(machine), machine.heap.allocate(16)
    expected = {
        0: b"\x86\x80\x0e\x10",
        8: b"\x00\x00\x00\x02",
        44: b"\xf4\x1a\x00\x11",
        16: bytes(4),
    }
    for where, data in expected.items():
        machine.memory.fill(place, 16, 0xAA)
        assert run(machine, read, device, where, place) == 0
        assert machine.memory.read(place, 8) == data[:size] + b"\xaa" * (8 - size)


@pytest.mark.parametrize(("read", "size"), READS)
def test_what_is_not_in_a_configuration_reads_as_ones(
    machine: Machine, read: str, size: int
) -> None:
    device, place = plugged(machine), machine.heap.allocate(16)
    ones = b"\xff" * size + bytes(8 - size)
    assert run(machine, read, device, 256, place) == -errno.EINVAL
    assert machine.memory.read(place, 8) == ones
    machine.memory.fill(place, 16)
    assert run(machine, read, device - 8, 0, place) == DEVICE_NOT_FOUND
    assert machine.memory.read(place, 8) == ones
    machine.memory.fill(place, 16)
    if size > 1:
        assert run(machine, read, device, 1, place) == BAD_REGISTER
        assert machine.memory.read(place, 8) == bytes(8)
    assert oops(machine, read, device, 0, 0).startswith(NULL_DEREFERENCE)


@pytest.mark.parametrize(
    ("read", "write", "size"),
    [(read, write, size) for (read, size), write in zip(READS, WRITES, strict=True)],
)
def test_only_some_of_a_configuration_keeps_what_is_written(
    machine: Machine, read: str, write: str, size: int
) -> None:
    device, place = plugged(machine), machine.heap.allocate(16)
    kept = {0: (0x100E8086).to_bytes(4, "little"), 4: b"\xff\xff\0\0", 16: bytes(4)}
    for where, data in kept.items():
        assert run(machine, write, device, where, 0xFFFFFFFF) == 0
        run(machine, read, device, where, place)
        assert machine.memory.read(place, size) == data[:size]
    assert run(machine, write, device, 256, 0) == -errno.EINVAL
    assert run(machine, write, 0, 0, 0) == DEVICE_NOT_FOUND
    if size > 1:
        assert run(machine, write, device, 5, 0) == BAD_REGISTER


@pytest.mark.parametrize("function", ["pcim_iomap_regions", "pcim_iomap_regions_request_all"])
def test_a_device_has_no_regions(machine: Machine, function: str) -> None:
    device, name = plugged(machine), put_text(machine, "sample")
    assert run(machine, function, device, 1, name) == -errno.EINVAL
    assert run(machine, function, device, 0, name) == 0
    assert run(machine, "pci_select_bars", device, 0x200) == 0
    for mapping in ("pci_ioremap_bar", "pci_iomap", "pci_iomap_range", "pcim_iomap"):
        assert run(machine, mapping, device, 0, 0, 0) == 0
    assert run(machine, "pcim_iomap_table", device) == 0


def test_a_device_has_no_interrupts(machine: Machine) -> None:
    device = plugged(machine)
    for function in ("pci_alloc_irq_vectors", "pci_alloc_irq_vectors_affinity"):
        assert run(machine, function, device, 1, 4, 7, 0) == -errno.ENOSPC
    assert run(machine, "pci_enable_msix_range", device, 0, 1, 4) == -errno.EINVAL
    assert run(machine, "pci_enable_msix_range", device, 0, 4, 1) == -errno.ERANGE


@pytest.mark.parametrize(
    ("function", "where"),
    [("dma_set_mask", DMA_MASK), ("dma_set_coherent_mask", COHERENT_DMA_MASK)],
)
def test_a_mask_for_dma_is_kept_where_it_reaches_far_enough(
    machine: Machine, function: str, where: int
) -> None:
    device = plugged(machine)
    assert machine.memory.number(device + where) == DMA_32
    for mask, code in (
        ((1 << 64) - 1, 0),
        ((1 << 24) - 1, 0),
        ((1 << 23) - 1, -errno.EIO),
        (0, -errno.EIO),
    ):
        before = machine.memory.number(device + where)
        assert run(machine, function, device + DEVICE, mask) == code
        assert machine.memory.number(device + where) == (before if code else mask)


def test_a_device_that_does_no_dma_has_no_mask(machine: Machine) -> None:
    device = put_structure(machine, 752, {})
    assert run(machine, "dma_set_mask", device, DMA_32) == -errno.EIO
    assert run(machine, "dma_set_coherent_mask", device, DMA_32) == 0


@pytest.mark.parametrize(
    "function",
    [
        *("pci_enable_device", "pcim_enable_device", "pci_enable_device_mem", "pci_save_state"),
        *("pci_request_regions", "pci_request_selected_regions", "pci_set_power_state"),
        *("pci_request_selected_regions_exclusive", "pci_find_capability"),
        *("pci_find_ext_capability", "pci_release_selected_regions", "pci_set_master"),
        *("pci_disable_device", "pci_release_regions"),
    ],
)
def test_what_every_device_can_do_succeeds_and_books_nothing(
    machine: Machine, function: str
) -> None:
    assert run(machine, function, plugged(machine), 0, 0) == 0
    assert held(machine) == []
