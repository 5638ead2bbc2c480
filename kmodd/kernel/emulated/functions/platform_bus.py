# SPDX-License-Identifier: Apache-2.0
"""The platform bus: devices that are there because somebody says so (drivers/base/platform.c)."""

import errno
from itertools import count as count_from

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import (
    DEVICE,
    DRIVER,
    KOBJECT,
    PLATFORM_DEVICE,
    PLATFORM_DEVICE_ID,
    PLATFORM_DEVICE_INFO,
    PLATFORM_DRIVER,
    RESOURCE,
)
from kmodd.kernel.emulated.functions.bus import (
    BUSES,
    Bus,
    BusDevice,
    Driver,
    add_device,
    add_driver,
    buses_of,
    remove_device,
    remove_driver,
)
from kmodd.kernel.emulated.functions.devices import put_device
from kmodd.kernel.emulated.functions.kobjects import set_name
from kmodd.kernel.emulated.machine.machine import Machine

_NONE, _AUTO = -1, -2
_IDS_MAX = 4096
_DATA_MAX = 1 << 20
_DMA_32 = 0xFFFFFFFF


def _platform_match(machine: Machine, device: BusDevice, driver: Driver) -> int:
    """Return the entry of the driver's table that names the device, or the driver itself."""
    memory = machine.memory
    name = memory.string(memory.number(device.address + PLATFORM_DEVICE.name), 64)
    table = memory.number(driver.address + PLATFORM_DRIVER.id_table)
    size = PLATFORM_DEVICE_ID.size
    for entry in range(table, table + size * _IDS_MAX, size) if table else ():
        wanted = memory.string(entry, PLATFORM_DEVICE_ID.name_size)
        if not wanted:
            return 0
        if wanted == name:
            memory.put(device.address + PLATFORM_DEVICE.id_entry, entry)
            return entry
    own = memory.number(driver.base + DRIVER.name)
    return driver.address if own and memory.string(own, 64) == name else 0


def _platform_probe(machine: Machine, device: BusDevice, driver: Driver, _match: int) -> int:
    probe = machine.memory.number(driver.address + PLATFORM_DRIVER.probe)
    return machine.call(probe, device.address) if probe else 0


@function(
    "int __platform_driver_register(struct platform_driver *drv, struct module *owner)",
    "int __platform_driver_register(struct platform_driver *drv, struct module *owner, const char"
    " *mod_name)",
)
def platform_driver_register(machine: Machine, address: int, *_owner: int) -> int:
    return add_driver(machine, Driver(address, address + PLATFORM_DRIVER.driver, "platform"))


@function("void platform_driver_unregister(struct platform_driver *drv)")
def platform_driver_unregister(machine: Machine, address: int) -> None:
    remove_driver(machine, address)


@function(
    "int __platform_driver_probe(struct platform_driver *drv, int (*probe)(struct platform_device"
    " *), struct module *module)",
    "int __platform_driver_probe(struct platform_driver *drv, int (*probe)(struct platform_device"
    " *), struct module *module, const char *mod_name)",
)
def platform_driver_probe(machine: Machine, address: int, probe: int, *_module: int) -> int:
    """A driver for devices that are there already, or never: ENODEV where none is bound."""
    machine.memory.put(address + PLATFORM_DRIVER.probe, probe)
    driver = Driver(address, address + PLATFORM_DRIVER.driver, "platform")
    code = add_driver(machine, driver)
    if code:
        return code
    if any(each.driver is driver for each in buses_of(machine).devices.values()):
        return 0
    remove_driver(machine, address)
    return -errno.ENODEV


@function(
    "int __platform_register_drivers(struct platform_driver * const *drivers, unsigned int count,"
    " struct module *owner)",
    "int __platform_register_drivers(struct platform_driver * const *drivers, unsigned int count,"
    " struct module *owner, const char *mod_name)",
)
def platform_register_drivers(machine: Machine, drivers: int, count: int, *_owner: int) -> int:
    for at in range(min(count, _IDS_MAX)):
        code = platform_driver_register(machine, machine.memory.number(drivers + 8 * at))
        if code:
            platform_unregister_drivers(machine, drivers, at)
            return code
    return 0


@function(
    "void platform_unregister_drivers(struct platform_driver * const *drivers, unsigned int count)"
)
def platform_unregister_drivers(machine: Machine, drivers: int, count: int) -> None:
    for at in reversed(range(min(count, _IDS_MAX))):
        remove_driver(machine, machine.memory.number(drivers + 8 * at))


def make_platform_device(
    machine: Machine, name: bytes, number: int, *, resources: int = 0, count: int = 0
) -> int:
    """Return the address of a new platform device, on the caller's account."""
    memory = machine.memory
    device = machine.heap.allocate(PLATFORM_DEVICE.size + len(name) + 1)
    text = device + PLATFORM_DEVICE.size
    memory.write(text, name + b"\0")
    memory.put(device + PLATFORM_DEVICE.name, text)
    memory.put(device + PLATFORM_DEVICE.id, number, 4)
    memory.put(device + PLATFORM_DEVICE.device + KOBJECT.references, 1, 4)
    shown = name.decode("utf-8", "replace")
    machine.ledger.take("platform device", device, f"platform device '{shown}'")
    _set_dma_masks(machine, device)
    if resources and 0 < count <= _IDS_MAX:
        _add_resources(machine, device, resources, count)
    return device


def _set_dma_masks(machine: Machine, device: int) -> None:
    """Let a device that has not said so reach 32 bits of memory (setup_pdev_dma_masks)."""
    memory, base = machine.memory, device + PLATFORM_DEVICE.device
    if not memory.number(base + DEVICE.coherent_dma_mask):
        memory.put(base + DEVICE.coherent_dma_mask, _DMA_32)
    if not memory.number(base + DEVICE.dma_mask):
        memory.put(device + PLATFORM_DEVICE.dma_mask, _DMA_32)
        memory.put(base + DEVICE.dma_mask, device + PLATFORM_DEVICE.dma_mask)


def _add_resources(machine: Machine, device: int, resources: int, count: int) -> None:
    """Give a device a copy of resources, in the place of those that it has."""
    memory, copy = machine.memory, 0
    if resources and 0 < count <= _IDS_MAX:
        given = memory.read(resources, count * RESOURCE.size)
        copy = machine.heap.allocate(len(given))
        memory.write(copy, given)
    machine.heap.free(memory.number(device + PLATFORM_DEVICE.resource))
    memory.put(device + PLATFORM_DEVICE.resource, copy)
    memory.put(device + PLATFORM_DEVICE.resource_count, count if copy else 0, 4)


@function("struct platform_device *platform_device_alloc(const char *name, int id)")
def platform_device_alloc(machine: Machine, name: int, number: int) -> int:
    return make_platform_device(machine, machine.memory.string(name, 64), number)


@function(
    "int platform_device_add_resources(struct platform_device *pdev, const struct resource *res,"
    " unsigned int num)"
)
def platform_device_add_resources(machine: Machine, device: int, resources: int, count: int) -> int:
    _add_resources(machine, device, resources, count)
    return 0


@function(
    "int platform_device_add_data(struct platform_device *pdev, const void *data, size_t size)"
)
def platform_device_add_data(machine: Machine, device: int, data: int, size: int) -> int:
    return _add_data(machine, device, data, size)


def _add_data(machine: Machine, device: int, data: int, size: int) -> int:
    """Give a device a copy of data, in the place of what it has; returns 0 or -ENOMEM."""
    memory, where = machine.memory, device + PLATFORM_DEVICE.device + DEVICE.platform_data
    copy = 0
    if data:
        if size > _DATA_MAX:
            return -errno.ENOMEM
        copy = machine.heap.allocate(size)
        memory.write(copy, memory.read(data, size))
    machine.heap.free(memory.number(where))
    memory.put(where, copy)
    return 0


@function("int platform_device_add(struct platform_device *pdev)")
def platform_device_add(machine: Machine, address: int) -> int:
    if not address:
        return -errno.EINVAL
    return add_device(machine, name_platform_device(machine, address))


def name_platform_device(machine: Machine, address: int) -> BusDevice:
    """Give a platform device the name that it has on its bus, from its own and its number."""
    memory = machine.memory
    name = memory.string(memory.number(address + PLATFORM_DEVICE.name), 64)
    number = memory.number(address + PLATFORM_DEVICE.id, 4, signed=True)
    if number == _AUTO:
        number = _automatic(machine)
        memory.put(address + PLATFORM_DEVICE.id, number, 4)
        memory.put(address + PLATFORM_DEVICE.is_automatic, 1, 1)
        name += b".%d.auto" % number
    elif number != _NONE:
        name += b".%d" % number
    base = address + PLATFORM_DEVICE.device
    set_name(machine, base, name)
    return BusDevice(address, base, "platform")


def _automatic(machine: Machine) -> int:
    """Return the first number that no device has that was given one."""
    memory = machine.memory
    taken = {
        memory.number(each + PLATFORM_DEVICE.id, 4)
        for each, device in buses_of(machine).devices.items()
        if device.bus == "platform" and memory.number(each + PLATFORM_DEVICE.is_automatic, 1)
    }
    return next(each for each in count_from(0) if each not in taken)


@function("int platform_device_register(struct platform_device *pdev)")
def platform_device_register(machine: Machine, address: int) -> int:
    base = address + PLATFORM_DEVICE.device
    machine.memory.put(base + KOBJECT.references, 1, 4)
    _set_dma_masks(machine, address)
    machine.ledger.take("static platform device", address, "a platform device")
    code = platform_device_add(machine, address) or 0
    if code:
        machine.ledger.give("static platform device", address)
    return code


@function("int platform_add_devices(struct platform_device **devs, int num)")
def platform_add_devices(machine: Machine, devices: int, count: int) -> int:
    for at in range(min(max(count, 0), _IDS_MAX)):
        code = platform_device_register(machine, machine.memory.number(devices + 8 * at))
        if code:
            for before in reversed(range(at)):
                platform_device_unregister(machine, machine.memory.number(devices + 8 * before))
            return code
    return 0


@function("void platform_device_del(struct platform_device *pdev)")
def platform_device_del(machine: Machine, address: int) -> None:
    device = buses_of(machine).devices.get(address)
    if device is not None:
        remove_device(machine, device)


@function("void platform_device_put(struct platform_device *pdev)")
def platform_device_put(machine: Machine, address: int) -> None:
    if not address:
        return
    base = address + PLATFORM_DEVICE.device
    memory = machine.memory
    name = memory.number(base + KOBJECT.name)
    if machine.ledger.give("platform device", address) is None:
        put_device(machine, base)
        return
    for owned in (
        name if machine.ledger.give("name", name) is not None else 0,
        memory.number(base + DEVICE.platform_data),
        memory.number(address + PLATFORM_DEVICE.resource),
        address,
    ):
        machine.heap.free(owned)


@function("void platform_device_unregister(struct platform_device *pdev)")
def platform_device_unregister(machine: Machine, address: int) -> None:
    if not address or address >= (1 << 64) - 4095:
        return
    platform_device_del(machine, address)
    machine.ledger.give("static platform device", address)
    platform_device_put(machine, address)


@function(
    "struct platform_device *platform_device_register_full(const struct platform_device_info"
    " *pdevinfo)"
)
def platform_device_register_full(machine: Machine, info: int) -> int:
    memory = machine.memory
    name = memory.string(memory.number(info + PLATFORM_DEVICE_INFO.name), 64)
    number = memory.number(info + PLATFORM_DEVICE_INFO.id, 4, signed=True)
    size = memory.number(info + PLATFORM_DEVICE_INFO.data_size)
    device = make_platform_device(
        machine,
        name,
        number,
        resources=memory.number(info + PLATFORM_DEVICE_INFO.resources),
        count=memory.number(info + PLATFORM_DEVICE_INFO.resource_count, 4),
    )
    parent = memory.number(info + PLATFORM_DEVICE_INFO.parent)
    memory.put(device + PLATFORM_DEVICE.device + DEVICE.parent, parent)
    _add_data(machine, device, memory.number(info + PLATFORM_DEVICE_INFO.data), size)
    code = platform_device_add(machine, device)
    if code:
        platform_device_put(machine, device)
        return code
    return device


@function(
    "struct platform_device *__platform_create_bundle(struct platform_driver *driver, int"
    " (*probe)(struct platform_device *), struct resource *res, unsigned int n_res, const void"
    " *data, size_t size, struct module *module)",
    "struct platform_device *__platform_create_bundle(struct platform_driver *driver, int"
    " (*probe)(struct platform_device *), struct resource *res, unsigned int n_res, const void"
    " *data, size_t size, struct module *module, const char *mod_name)",
)
def platform_create_bundle(
    machine: Machine, driver: int, probe: int, resources: int, count: int, data: int, size: int
) -> int:
    memory = machine.memory
    name = memory.string(memory.number(driver + PLATFORM_DRIVER.driver + DRIVER.name), 64)
    device = make_platform_device(machine, name, _NONE, resources=resources, count=count)
    _add_data(machine, device, data, size)
    code = platform_device_add(machine, device)
    if code:
        platform_device_put(machine, device)
        return code
    code = platform_driver_probe(machine, driver, probe, 0)
    if code:
        platform_device_unregister(machine, device)
        return code
    return device


@function(
    "struct resource *platform_get_resource(struct platform_device *dev, unsigned int type,"
    " unsigned int num)"
)
def platform_get_resource(machine: Machine, device: int, kind: int, number: int) -> int:
    memory = machine.memory
    count = memory.number(device + PLATFORM_DEVICE.resource_count, 4)
    first = memory.number(device + PLATFORM_DEVICE.resource)
    for at in range(min(count, _IDS_MAX)):
        resource = first + at * RESOURCE.size
        if memory.number(resource + RESOURCE.flags) & 0x1F00 == kind:
            if not number:
                return resource
            number -= 1
    return 0


@function(
    "int platform_get_irq(struct platform_device *dev, unsigned int num)",
    "int platform_get_irq_optional(struct platform_device *dev, unsigned int num)",
)
def platform_get_irq(machine: Machine, device: int, number: int) -> int:
    resource = platform_get_resource(machine, device, 0x400, number)
    if not resource:
        return -errno.ENXIO
    # No device has the interrupt 0.
    return machine.memory.number(resource, 4) or -errno.EINVAL


BUSES["platform"] = Bus(_platform_match, _platform_probe, lambda: PLATFORM_DRIVER.remove)
