# SPDX-License-Identifier: Apache-2.0
"""Objects, devices, drivers and their buses."""

from typing import Final

from kmodd.kernel.emulated.abi.structures.declaring import (
    Structure,
    at,
    bytes_of,
    since_6_1,
    whole,
)


class _KernelObject(Structure, of="kobject"):
    """``struct kobject``"""

    name: int = at(0)
    parent: int = at(24)
    kset: int = at(32)
    type: int = at(40, "ktype")
    references: int = at(56, "kref")
    flags: int = at(60, "state_initialized")
    size: int = whole(64)


class _KernelSet(Structure, of="kset"):
    """``struct kset``"""

    object: int = at(24, "kobj")


class _ObjectType(Structure, of="kobj_type"):
    """``struct kobj_type``"""

    release: int = at(0)
    operations: int = at(8, "sysfs_ops")
    groups: int = at(16, "default_groups")


class _ObjectOperations(Structure, of="sysfs_ops"):
    """``struct sysfs_ops``: what is called for all attributes of a type's objects"""

    show: int = at(0)
    store: int = at(8)


class _ObjectAttribute(Structure, of="kobj_attribute"):
    """``struct kobj_attribute``; those of devices, classes, buses and drivers are like it"""

    show: int = at(16)
    store: int = at(24)


class _BinaryAttribute(Structure, of="bin_attribute"):
    """``struct bin_attribute``"""

    length: int = at(16, "size")
    show: int = at(40, "read")
    store: int = at(48, "write")


class _Device(Structure, of="device"):
    """``struct device``"""

    parent: int = at(64)
    init_name: int = at(80)
    type: int = at(88)
    bus: int = at(96)
    driver: int = at(104)
    platform_data: int = at(112)
    driver_data: int = at(120)
    dma_mask: int = at(576)
    coherent_dma_mask: int = at(584)
    number: int = at(660, "devt")
    device_class: int = at(688, "class")
    groups: int = at(696)
    release: int = at(704)
    size: int = whole(752)


class _DeviceType(Structure, of="device_type"):
    """``struct device_type``"""

    groups: int = at(8)
    release: int = at(32)


class _Class(Structure, of="class"):
    """``struct class``"""

    name: int = at(0)
    groups: int = at(16, "class_groups")
    device_groups: int = at(24, "dev_groups")
    release: int = at(56, "class_release")
    device_release: int = at(64, "dev_release")
    size: int = whole(120)


class _Bus(Structure, of="bus_type"):
    """``struct bus_type``"""

    name: int = at(0)
    groups: int = at(24, "bus_groups")
    device_groups: int = at(32, "dev_groups")
    driver_groups: int = at(40, "drv_groups")
    private: int = at(168, "p")


class _BusPrivate(Structure, of="subsys_private"):
    """``struct subsys_private``, the driver core's own part of a bus"""

    size: int = whole(408)


class _Attribute(Structure, of="attribute"):
    """``struct attribute``, which all kinds of attributes begin with"""

    name: int = at(0)
    mode: int = at(8)


class _AttributeGroup(Structure, of="attribute_group"):
    """``struct attribute_group``"""

    name: int = at(0)
    is_visible: int = at(8)
    is_binary_visible: int = at(16, "is_bin_visible")
    attributes: int = at(24, "attrs")
    binaries: int = at(32, "bin_attrs")


class _Driver(Structure, of="device_driver"):
    """``struct device_driver``"""

    name: int = at(0)
    bus: int = at(8)
    owner: int = at(16)
    groups: int = at(104)
    device_groups: int = at(112, "dev_groups")


class _PlatformDriver(Structure, of="platform_driver"):
    """``struct platform_driver``"""

    probe: int = at(0)
    remove: int = at(8)
    driver: int = at(48)
    id_table: int = at(192)


class _PlatformDevice(Structure, of="platform_device"):
    """``struct platform_device``"""

    name: int = at(0)
    id: int = at(8)
    is_automatic: int = at(12, "id_auto")
    device: int = at(16, "dev")
    dma_mask: int = at(768, "platform_dma_mask")
    resource_count: int = at(792, "num_resources")
    resource: int = at(800)
    id_entry: int = at(808)
    size: int = whole(832)


class _PciDriver(Structure, of="pci_driver"):
    """``struct pci_driver``"""

    name: int = at(16)
    id_table: int = at(24)
    probe: int = at(32)
    remove: int = at(40)
    driver: int = at(120)


class _PciDevice(Structure, of="pci_dev"):
    """``struct pci_dev``"""

    bus: int = at(16)
    function: int = at(56, "devfn")
    vendor: int = at(60)
    device_id: int = at(62, "device")
    subsystem_vendor: int = at(64)
    subsystem_device: int = at(66)
    device_class: int = at(68, "class")
    driver: int = at(128)
    dma_mask: int = at(136)
    device: int = at(208, "dev")
    size: int = whole(2632)


class _PciBus(Structure, of="pci_bus"):
    """``struct pci_bus``"""

    system_data: int = at(200, "sysdata")
    number: int = at(216)
    size: int = whole(1056)


class _SpiDriver(Structure, of="spi_driver"):
    """``struct spi_driver``"""

    driver: int = at(32)


class _PlatformDeviceId(Structure, of="platform_device_id"):
    """``struct platform_device_id``"""

    name_size: int = bytes_of(20, "name")
    size: int = whole(32)


class _PlatformDeviceInfo(Structure, of="platform_device_info"):
    """``struct platform_device_info``"""

    parent: int = at(0)
    name: int = at(24)
    id: int = at(32)
    resources: int = at(40, "res")
    resource_count: int = at(48, "num_res")
    data: int = at(56)
    data_size: int = at(64, "size_data")


class _PciDeviceId(Structure, of="pci_device_id"):
    """``struct pci_device_id``"""

    size: int = whole(40)


class _Resource(Structure, of="resource"):
    """``struct resource``"""

    start: int = at(0)
    end: int = at(8)
    name: int = at(16)
    flags: int = at(24)
    size: int = whole(64)


class _FauxDevice(Structure, of="faux_device"):
    """``struct faux_device``"""

    device: int = since_6_1("dev")
    size: int = whole(None)


class _FauxOperations(Structure, of="faux_device_ops"):
    """``struct faux_device_ops``"""

    probe: int = since_6_1()
    remove: int = since_6_1()


class _Misc(Structure, of="miscdevice"):
    """``struct miscdevice``"""

    minor: int = at(0)
    name: int = at(8)
    operations: int = at(16, "fops")
    this_device: int = at(48)
    node_name: int = at(64, "nodename")
    mode: int = at(72)


class _GpioChip(Structure, of="gpio_chip"):
    """``struct gpio_chip``; ``base`` is the number of its first line"""

    request: int = at(40)
    free: int = at(48)
    direction_input: int = at(64)
    direction_output: int = at(72)
    get: int = at(80)
    set: int = at(96, "set", "set_rv")
    base: int = at(168)
    count: int = at(172, "ngpio")


class _Led(Structure, of="led_classdev"):
    """``struct led_classdev``"""

    brightness: int = at(8)
    most: int = at(12, "max_brightness")
    set_at_once: int = at(32, "brightness_set")
    set_and_wait: int = at(40, "brightness_set_blocking")


class _InputDevice(Structure, of="input_dev"):
    """``struct input_dev``; what it has, and what is so now, in a bit for each code"""

    name: int = at(0)
    types: int = at(40, "evbit")
    keys: int = at(48, "keybit")
    relatives: int = at(144, "relbit")
    absolutes: int = at(152, "absbit")
    miscellaneous: int = at(160, "mscbit")
    leds: int = at(168, "ledbit")
    sounds: int = at(176, "sndbit")
    forces: int = at(184, "ffbit")
    switches: int = at(200, "swbit")
    pressed: int = at(336, "key")
    lit: int = at(432, "led")
    sounding: int = at(440, "snd")
    switched: int = at(448, "sw")
    open: int = at(456)
    close: int = at(464)
    users: int = at(536)
    device: int = at(544, "dev")


class _Notifier(Structure, of="notifier_block"):
    """``struct notifier_block``"""

    function: int = at(0, "notifier_call")
    priority: int = at(16)


class _KeyboardParameter(Structure, of="keyboard_notifier_param"):
    """``struct keyboard_notifier_param``"""

    down: int = at(8)
    value: int = at(20)
    size: int = whole(24)


class _Cdev(Structure, of="cdev"):
    """``struct cdev``, which begins with an object"""

    owner: int = at(64)
    operations: int = at(72, "ops")
    list: int = at(80)
    number: int = at(96, "dev")
    count: int = at(100)
    size: int = whole(104)


KOBJECT: Final = _KernelObject()
KERNEL_SET: Final = _KernelSet()
OBJECT_TYPE: Final = _ObjectType()
OBJECT_OPERATIONS: Final = _ObjectOperations()
OBJECT_ATTRIBUTE: Final = _ObjectAttribute()
BINARY_ATTRIBUTE: Final = _BinaryAttribute()
DEVICE: Final = _Device()
DEVICE_TYPE: Final = _DeviceType()
CLASS: Final = _Class()
BUS: Final = _Bus()
BUS_PRIVATE: Final = _BusPrivate()
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
FAUX_DEVICE: Final = _FauxDevice()
FAUX_OPERATIONS: Final = _FauxOperations()
GPIO_CHIP: Final = _GpioChip()
LED: Final = _Led()
INPUT_DEVICE: Final = _InputDevice()
NOTIFIER: Final = _Notifier()
KEYBOARD_PARAMETER: Final = _KeyboardParameter()
MISC: Final = _Misc()
CDEV: Final = _Cdev()
