# SPDX-License-Identifier: Apache-2.0
"""Drivers and the devices that they are for: the platform bus, PCI (drivers/base, drivers/pci).

A device meets the drivers of its bus when either comes, and a driver's ``probe`` is called for it.
"""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.api.devices import put_device, set_name
from kmodd.kernel.emulated.api.memory import allocate, release
from kmodd.kernel.emulated.api.structures import (
    DEVICE,
    DRIVER,
    KOBJECT,
    PCI_DEVICE,
    PCI_DRIVER,
    PLATFORM_DEVICE,
    PLATFORM_DRIVER,
    device_name,
)
from kmodd.kernel.emulated.api.table import (
    RETURN,
    RETURN_ONE,
    RETURN_ZERO,
    function,
    machine_code,
    pairs,
    reclaims,
)
from kmodd.kernel.emulated.cpu.machine import Machine
from kmodd.kernel.emulated.cpu.memory import BadAddress
from kmodd.kernel.emulated.log import Level

_NONE, _AUTO = -1, -2
_QUIET = (errno.ENODEV, errno.ENXIO, 517)
"""What a probe says to a device that is none of its own, or that has to wait (EPROBE_DEFER)."""
_NAME_SIZE, _ID_SIZE = 20, 32
_PCI_ID_SIZE = 40
_IDS_MAX = 4096
_ANY = 0xFFFFFFFF
_RESOURCE_SIZE = 64
_SPI_DRIVER_BASE = 32


@dataclass(slots=True, eq=False)
class Driver:
    """A driver; ``base`` is its ``struct device_driver``."""

    address: int
    base: int
    bus: str


@dataclass(slots=True, eq=False)
class Device:
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

    The action of a ``resource`` (devres_add) is told the device, too.
    """

    action: int
    data: int
    is_resource: bool = False


@dataclass(slots=True)
class Buses:
    """All drivers and devices."""

    drivers: dict[int, Driver] = field(default_factory=dict)
    devices: dict[int, Device] = field(default_factory=dict)
    managed: dict[int, list[Managed]] = field(default_factory=dict)
    automatic: int = 0


def buses_of(machine: Machine) -> Buses:
    """Return the machine's drivers and devices."""
    if machine.buses is None:
        machine.buses = Buses()
    assert isinstance(machine.buses, Buses)
    return machine.buses


def driver_name(machine: Machine, driver: Driver) -> str:
    """Return a driver's name."""
    try:
        name = machine.memory.number(driver.base + DRIVER.name)
        return machine.memory.text(name, 64) if name else "?"
    except BadAddress:
        return "(bad driver)"


def add_driver(machine: Machine, driver: Driver) -> None:
    """Take a driver on, and let it probe the devices that nobody has."""
    buses = buses_of(machine)
    text = driver_name(machine, driver)
    machine.ledger.take("driver", driver.address, f"{driver.bus} driver '{text}'")
    buses.drivers[driver.address] = driver
    for device in list(buses.devices.values()):
        if device.driver is None and device.bus == driver.bus:
            _try(machine, device, driver)


def remove_driver(machine: Machine, address: int) -> None:
    """Take a driver from its devices, and forget it."""
    buses = buses_of(machine)
    driver = buses.drivers.pop(address, None)
    if driver is None:
        return
    for device in list(buses.devices.values()):
        if device.driver is driver:
            unbind(machine, device)
    machine.ledger.give("driver", address)


def add_device(machine: Machine, device: Device) -> None:
    """Take a device on, and look for its driver."""
    buses = buses_of(machine)
    buses.devices[device.address] = device
    for driver in list(buses.drivers.values()):
        if driver.bus == device.bus and device.driver is None:
            _try(machine, device, driver)


def remove_device(machine: Machine, device: Device) -> None:
    """Take a device from its driver, and forget it."""
    unbind(machine, device)
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
    machine.heap.free(address)


def _try(machine: Machine, device: Device, driver: Driver) -> int:
    """Probe a device if the driver is for it; return 0 where it is bound then."""
    match = _MATCHES[device.bus](machine, device, driver)
    if not match:
        return -errno.ENODEV
    memory = machine.memory
    memory.put(device.base + DEVICE.driver, driver.base)
    device.driver = driver
    try:
        code = _PROBES[device.bus](machine, device, driver, match)
    except Exception:
        _let_go(machine, device)
        raise
    device.refusal = min(code, 0)
    if code < 0:
        _release_managed(machine, device)
        _let_go(machine, device)
        if -code not in _QUIET:
            name, whom = driver_name(machine, driver), device_name(machine, device.base)
            machine.log(Level.WARNING, f"{name}: probe of {whom} failed with error {code}\n")
    return code


def unbind(machine: Machine, device: Device) -> None:
    """Call a driver's ``remove`` for its device."""
    driver = device.driver
    if driver is None:
        return
    offset = PLATFORM_DRIVER.remove if device.bus == "platform" else PCI_DRIVER.remove
    remove = machine.memory.number(driver.address + offset)
    try:
        if remove:
            machine.invoke(remove, device.address)
        _release_managed(machine, device)
    finally:
        _let_go(machine, device)


def _let_go(machine: Machine, device: Device) -> None:
    """Have a device without a driver, and forget what was to be given back with it."""
    buses_of(machine).managed.pop(device.base, None)
    device.driver = None
    for offset in (DEVICE.driver, DEVICE.driver_data):
        machine.memory.put(device.base + offset, 0)
    if device.bus == "pci":
        machine.memory.put(device.address + PCI_DEVICE.driver, 0)


def _release_managed(machine: Machine, device: Device) -> None:
    for managed in reversed(buses_of(machine).managed.pop(device.base, [])):
        if managed.is_resource:
            if managed.action:
                machine.invoke(managed.action, device.base, managed.data)
            release(machine, managed.data)
        elif managed.action:
            machine.invoke(managed.action, managed.data)
        else:
            release(machine, managed.data)


def _platform_match(machine: Machine, device: Device, driver: Driver) -> int:
    """Return the entry of the driver's table that names the device, or the driver itself."""
    memory = machine.memory
    name = memory.string(memory.number(device.address + PLATFORM_DEVICE.name), 64)
    table = memory.number(driver.address + PLATFORM_DRIVER.id_table)
    for entry in range(table, table + _ID_SIZE * _IDS_MAX, _ID_SIZE) if table else ():
        wanted = memory.string(entry, _NAME_SIZE)
        if not wanted:
            return 0
        if wanted == name:
            memory.put(device.address + PLATFORM_DEVICE.id_entry, entry)
            return entry
    own = memory.number(driver.base + DRIVER.name)
    return driver.address if own and memory.string(own, 64) == name else 0


def _platform_probe(machine: Machine, device: Device, driver: Driver, _match: int) -> int:
    probe = machine.memory.number(driver.address + PLATFORM_DRIVER.probe)
    return machine.call(probe, device.address) if probe else 0


@function("int __platform_driver_register(struct platform_driver *drv, struct module *owner)")
def platform_driver_register(machine: Machine, address: int, _owner: int) -> int:
    add_driver(machine, Driver(address, address + PLATFORM_DRIVER.driver, "platform"))
    return 0


@function("void platform_driver_unregister(struct platform_driver *drv)")
def platform_driver_unregister(machine: Machine, address: int) -> None:
    remove_driver(machine, address)


@function(
    "int __platform_driver_probe(struct platform_driver *drv, int (*probe)(struct platform_device"
    " *), struct module *module)"
)
def platform_driver_probe(machine: Machine, address: int, probe: int, _module: int) -> int:
    """A driver for devices that are there already, or never: ENODEV where none is bound."""
    machine.memory.put(address + PLATFORM_DRIVER.probe, probe)
    driver = Driver(address, address + PLATFORM_DRIVER.driver, "platform")
    add_driver(machine, driver)
    if any(each.driver is driver for each in buses_of(machine).devices.values()):
        return 0
    remove_driver(machine, address)
    return -errno.ENODEV


@function(
    "int __platform_register_drivers(struct platform_driver * const *drivers, unsigned int count, struct module *owner)"
)
def platform_register_drivers(machine: Machine, drivers: int, count: int, owner: int) -> int:
    for at in range(min(count, _IDS_MAX)):
        platform_driver_register(machine, machine.memory.number(drivers + 8 * at), owner)
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
    if resources and 0 < count <= _IDS_MAX:
        _add_resources(machine, device, resources, count)
    return device


def _add_resources(machine: Machine, device: int, resources: int, count: int) -> None:
    memory = machine.memory
    copy = machine.heap.allocate(count * _RESOURCE_SIZE)
    memory.write(copy, memory.read(resources, count * _RESOURCE_SIZE))
    memory.put(device + PLATFORM_DEVICE.resource, copy)
    memory.put(device + PLATFORM_DEVICE.resource_count, count, 4)


@function("struct platform_device *platform_device_alloc(const char *name, int id)")
def platform_device_alloc(machine: Machine, name: int, number: int) -> int:
    return make_platform_device(machine, machine.memory.string(name, 64), number)


@function(
    "int platform_device_add_resources(struct platform_device *pdev, const struct resource *res,"
    " unsigned int num)"
)
def platform_device_add_resources(machine: Machine, device: int, resources: int, count: int) -> int:
    if resources and 0 < count <= _IDS_MAX:
        _add_resources(machine, device, resources, count)
    return 0


@function(
    "int platform_device_add_data(struct platform_device *pdev, const void *data, size_t size)"
)
def platform_device_add_data(machine: Machine, device: int, data: int, size: int) -> int:
    _add_data(machine, device, data, size)
    return 0


def _add_data(machine: Machine, device: int, data: int, size: int) -> None:
    if not data or size > 1 << 20:
        return
    copy = machine.heap.allocate(size)
    machine.memory.write(copy, machine.memory.read(data, size))
    machine.memory.put(device + PLATFORM_DEVICE.device + DEVICE.platform_data, copy)


@function("int platform_device_add(struct platform_device *pdev)")
def platform_device_add(machine: Machine, address: int) -> int:
    add_device(machine, name_platform_device(machine, address))
    return 0


def name_platform_device(machine: Machine, address: int) -> Device:
    """Give a platform device the name that it has on its bus, from its own and its number."""
    memory = machine.memory
    buses = buses_of(machine)
    name = memory.string(memory.number(address + PLATFORM_DEVICE.name), 64)
    number = memory.number(address + PLATFORM_DEVICE.id, 4, signed=True)
    if number == _AUTO:
        name += b".%d.auto" % buses.automatic
        buses.automatic += 1
    elif number != _NONE:
        name += b".%d" % number
    base = address + PLATFORM_DEVICE.device
    set_name(machine, base, name)
    return Device(address, base, "platform")


@function("int platform_device_register(struct platform_device *pdev)")
def platform_device_register(machine: Machine, address: int) -> int:
    base = address + PLATFORM_DEVICE.device
    machine.memory.put(base + KOBJECT.references, 1, 4)
    machine.ledger.take("static platform device", address, "a platform device")
    return platform_device_add(machine, address) or 0


@function("int platform_add_devices(struct platform_device **devs, int num)")
def platform_add_devices(machine: Machine, devices: int, count: int) -> int:
    for at in range(min(max(count, 0), _IDS_MAX)):
        platform_device_register(machine, machine.memory.number(devices + 8 * at))
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
    """``struct platform_device_info``: parent, node, a flag, name, id, resources, data."""
    memory = machine.memory
    name, number = (
        memory.string(memory.number(info + 24), 64),
        memory.number(info + 32, 4, signed=True),
    )
    device = make_platform_device(
        machine,
        name,
        number,
        resources=memory.number(info + 40),
        count=memory.number(info + 48, 4),
    )
    memory.put(device + PLATFORM_DEVICE.device + DEVICE.parent, memory.number(info))
    _add_data(machine, device, memory.number(info + 56), memory.number(info + 64))
    platform_device_add(machine, device)
    return device


@function(
    "struct platform_device *__platform_create_bundle(struct platform_driver *driver, int"
    " (*probe)(struct platform_device *), struct resource *res, unsigned int n_res, const void"
    " *data, size_t size, struct module *module)"
)
def platform_create_bundle(
    machine: Machine, driver: int, probe: int, resources: int, count: int, data: int, size: int
) -> int:
    memory = machine.memory
    name = memory.string(memory.number(driver + PLATFORM_DRIVER.driver + DRIVER.name), 64)
    device = make_platform_device(machine, name, _NONE, resources=resources, count=count)
    _add_data(machine, device, data, size)
    platform_device_add(machine, device)
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
        resource = first + at * _RESOURCE_SIZE
        if memory.number(resource + 24) & 0x1F00 == kind:
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
    return machine.memory.number(resource, 4) if resource else -errno.ENXIO


def _pci_match(machine: Machine, device: Device, driver: Driver) -> int:
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
    for entry in range(table, table + _PCI_ID_SIZE * _IDS_MAX, _PCI_ID_SIZE) if table else ():
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


def _pci_probe(machine: Machine, device: Device, driver: Driver, match: int) -> int:
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
    add_driver(machine, Driver(address, address + PCI_DRIVER.driver, "pci"))
    return 0


@function("void pci_unregister_driver(struct pci_driver *dev)")
def pci_unregister_driver(machine: Machine, address: int) -> None:
    remove_driver(machine, address)


_MATCHES = {"platform": _platform_match, "pci": _pci_match}
_PROBES = {"platform": _platform_probe, "pci": _pci_probe}


@function("int __spi_register_driver(struct module *owner, struct spi_driver *sdrv)")
def spi_register_driver(machine: Machine, _owner: int, driver: int) -> int:
    machine.ledger.take("bus driver", driver + _SPI_DRIVER_BASE, "an SPI driver")
    return 0


@function(
    "int __serdev_device_driver_register(struct serdev_device_driver *sdrv, struct module *owner)"
)
def serdev_device_driver_register(machine: Machine, driver: int, _owner: int) -> int:
    machine.ledger.take("bus driver", driver, "a serial device driver")
    return 0


machine_code(RETURN_ZERO, "int driver_attach(struct device_driver *drv)")

pairs(
    """
    bus driver: int driver_register(struct device_driver *drv) / void driver_unregister(struct device_driver *drv)
    """
)


def _manage(machine: Machine, device: int, managed: Managed) -> None:
    buses_of(machine).managed.setdefault(device, []).append(managed)


@function("void *devm_kmalloc(struct device *dev, size_t size, gfp_t gfp)")
def devm_kmalloc(machine: Machine, device: int, size: int, _flags: int) -> int:
    address = allocate(machine, size)
    _manage(machine, device, Managed(0, address))
    return address


@function("char *devm_kasprintf(struct device *dev, gfp_t gfp, const char *fmt, ...)")
def devm_kasprintf(machine: Machine, device: int, _flags: int, template: int) -> int:
    text = machine.format(template, 3)
    address = devm_kmalloc(machine, device, len(text) + 1, 0) or 0
    machine.memory.write(address, text + b"\0")
    return address


@function("char *devm_kstrdup(struct device *dev, const char *s, gfp_t gfp)")
def devm_kstrdup(machine: Machine, device: int, source: int, _flags: int) -> int:
    text = machine.memory.string(source)
    address = devm_kmalloc(machine, device, len(text) + 1, 0) or 0
    machine.memory.write(address, text + b"\0")
    return address


@function("void *devm_kmemdup(struct device *dev, const void *src, size_t len, gfp_t gfp)")
def devm_kmemdup(machine: Machine, device: int, source: int, size: int, _flags: int) -> int:
    data = machine.memory.read(source, size)
    address = devm_kmalloc(machine, device, size, 0) or 0
    machine.memory.write(address, data)
    return address


@function("void devm_kfree(struct device *dev, const void *p)")
def devm_kfree(machine: Machine, device: int, address: int) -> None:
    held = buses_of(machine).managed.get(device, [])
    for managed in held:
        if managed.data == address and not managed.action:
            held.remove(managed)
            release(machine, address)
            return


@function("int devm_add_action(struct device *dev, void (*action)(void *), void *data)")
def devm_add_action(machine: Machine, device: int, action: int, data: int) -> int:
    _manage(machine, device, Managed(action, data))
    return 0


@function(
    "void *__devres_alloc_node(dr_release_t release, size_t size, gfp_t gfp, int nid, const char *name)"
)
def devres_alloc(machine: Machine, action: int, size: int, *_rest: int) -> int:
    made = allocate(machine, size)
    machine.state.setdefault("devres", {})[made] = action
    return made


@function("void devres_add(struct device *dev, void *res)")
def devres_add(machine: Machine, device: int, resource: int) -> None:
    action = machine.state.get("devres", {}).pop(resource, 0)
    _manage(machine, device, Managed(action, resource, is_resource=True))


@function("void devres_free(void *res)")
def devres_free(machine: Machine, resource: int) -> None:
    machine.state.get("devres", {}).pop(resource, None)
    release(machine, resource)


machine_code(
    RETURN_ONE,
    """
    void *devres_open_group(struct device *dev, void *id, gfp_t gfp)
    """,
)
machine_code(
    RETURN,
    """
    void devres_close_group(struct device *dev, void *id)
    void devres_remove_group(struct device *dev, void *id)
    int devres_release_group(struct device *dev, void *id)
    """,
)

machine_code(
    RETURN_ZERO,
    """
    int devm_request_threaded_irq(struct device *dev, unsigned int irq, irq_handler_t handler, irq_handler_t thread_fn, unsigned long irqflags, const char *devname, void *dev_id)
    int devm_device_add_group(struct device *dev, const struct attribute_group *grp)
    int devm_device_add_groups(struct device *dev, const struct attribute_group **groups)
    int devm_watchdog_register_device(struct device *dev, struct watchdog_device *wdd)
    int devm_led_classdev_register_ext(struct device *parent, struct led_classdev *led_cdev, struct led_init_data *init_data)
    int dma_set_mask(struct device *dev, u64 mask)
    int dma_set_coherent_mask(struct device *dev, u64 mask)
    int pci_enable_device(struct pci_dev *dev)
    int pcim_enable_device(struct pci_dev *pdev)
    int pci_request_regions(struct pci_dev *pdev, const char *res_name)
    int pci_set_power_state(struct pci_dev *dev, pci_power_t state)
    """,
)
machine_code(
    RETURN,
    """
    void pci_set_master(struct pci_dev *dev)
    void pci_disable_device(struct pci_dev *dev)
    void pci_release_regions(struct pci_dev *pdev)
    """,
)
