# SPDX-License-Identifier: Apache-2.0
"""Objects, devices, drivers and their buses."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class _KernelObject:
    """``struct kobject``"""

    name: int = 0
    parent: int = 24
    kset: int = 32
    type: int = 40
    references: int = 56
    flags: int = 60
    size: int = 64


@dataclass(frozen=True, slots=True)
class _KernelSet:
    """``struct kset``"""

    object: int = 24


@dataclass(frozen=True, slots=True)
class _ObjectType:
    """``struct kobj_type``"""

    release: int = 0
    groups: int = 16


@dataclass(frozen=True, slots=True)
class _Device:
    """``struct device``"""

    parent: int = 64
    init_name: int = 80
    type: int = 88
    bus: int = 96
    driver: int = 104
    platform_data: int = 112
    driver_data: int = 120
    dma_mask: int = 576
    coherent_dma_mask: int = 584
    number: int = 660
    device_class: int = 688
    groups: int = 696
    release: int = 704
    size: int = 752


@dataclass(frozen=True, slots=True)
class _DeviceType:
    """``struct device_type``"""

    groups: int = 8
    release: int = 32


@dataclass(frozen=True, slots=True)
class _Class:
    """``struct class``"""

    name: int = 0
    groups: int = 16
    device_groups: int = 24
    release: int = 56
    device_release: int = 64
    size: int = 120


@dataclass(frozen=True, slots=True)
class _Bus:
    """``struct bus_type``"""

    name: int = 0
    groups: int = 24
    device_groups: int = 32
    driver_groups: int = 40


@dataclass(frozen=True, slots=True)
class _Attribute:
    """``struct attribute``, which all kinds of attributes begin with"""

    name: int = 0
    mode: int = 8


@dataclass(frozen=True, slots=True)
class _AttributeGroup:
    """``struct attribute_group``"""

    name: int = 0
    is_visible: int = 8
    is_binary_visible: int = 16
    attributes: int = 24
    binaries: int = 32


@dataclass(frozen=True, slots=True)
class _Driver:
    """``struct device_driver``"""

    name: int = 0
    bus: int = 8
    owner: int = 16
    groups: int = 104
    device_groups: int = 112


@dataclass(frozen=True, slots=True)
class _PlatformDriver:
    """``struct platform_driver``"""

    probe: int = 0
    remove: int = 8
    driver: int = 48
    id_table: int = 192


@dataclass(frozen=True, slots=True)
class _PlatformDevice:
    """``struct platform_device``"""

    name: int = 0
    id: int = 8
    is_automatic: int = 12
    device: int = 16
    dma_mask: int = 768
    resource_count: int = 792
    resource: int = 800
    id_entry: int = 808
    size: int = 832


@dataclass(frozen=True, slots=True)
class _PciDriver:
    """``struct pci_driver``"""

    name: int = 16
    id_table: int = 24
    probe: int = 32
    remove: int = 40
    driver: int = 120


@dataclass(frozen=True, slots=True)
class _PciDevice:
    """``struct pci_dev``"""

    bus: int = 16
    function: int = 56
    vendor: int = 60
    device_id: int = 62
    subsystem_vendor: int = 64
    subsystem_device: int = 66
    device_class: int = 68
    driver: int = 128
    dma_mask: int = 136
    device: int = 208
    size: int = 2632


@dataclass(frozen=True, slots=True)
class _PciBus:
    """``struct pci_bus``"""

    system_data: int = 200
    number: int = 216
    size: int = 1056


@dataclass(frozen=True, slots=True)
class _SpiDriver:
    """``struct spi_driver``"""

    driver: int = 32


@dataclass(frozen=True, slots=True)
class _PlatformDeviceId:
    """``struct platform_device_id``"""

    name_size: int = 20
    size: int = 32


@dataclass(frozen=True, slots=True)
class _PlatformDeviceInfo:
    """``struct platform_device_info``"""

    parent: int = 0
    name: int = 24
    id: int = 32
    resources: int = 40
    resource_count: int = 48
    data: int = 56
    data_size: int = 64


@dataclass(frozen=True, slots=True)
class _PciDeviceId:
    """``struct pci_device_id``"""

    size: int = 40


@dataclass(frozen=True, slots=True)
class _Resource:
    """``struct resource``"""

    start: int = 0
    end: int = 8
    name: int = 16
    flags: int = 24
    size: int = 64


@dataclass(frozen=True, slots=True)
class _Misc:
    """``struct miscdevice``"""

    minor: int = 0
    name: int = 8
    this_device: int = 48
    node_name: int = 64
    mode: int = 72


@dataclass(frozen=True, slots=True)
class _Cdev:
    """``struct cdev``, which begins with an object"""

    operations: int = 72
    list: int = 80
    number: int = 96
    count: int = 100
    size: int = 104


KOBJECT: Final = _KernelObject()
KERNEL_SET: Final = _KernelSet()
OBJECT_TYPE: Final = _ObjectType()
DEVICE: Final = _Device()
DEVICE_TYPE: Final = _DeviceType()
CLASS: Final = _Class()
BUS: Final = _Bus()
ATTRIBUTE: Final = _Attribute()
ATTRIBUTE_GROUP: Final = _AttributeGroup()
DRIVER: Final = _Driver()
PLATFORM_DRIVER: Final = _PlatformDriver()
PLATFORM_DEVICE: Final = _PlatformDevice()
PCI_DRIVER: Final = _PciDriver()
PCI_DEVICE: Final = _PciDevice()
PCI_BUS: Final = _PciBus()
SPI_DRIVER: Final = _SpiDriver()
PLATFORM_DEVICE_ID: Final = _PlatformDeviceId()
PLATFORM_DEVICE_INFO: Final = _PlatformDeviceInfo()
PCI_DEVICE_ID: Final = _PciDeviceId()
RESOURCE: Final = _Resource()
MISC: Final = _Misc()
CDEV: Final = _Cdev()
