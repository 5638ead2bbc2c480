# SPDX-License-Identifier: Apache-2.0
"""Classes and devices (drivers/base/class.c, drivers/base/core.c)."""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import (
    RETURN_ZERO,
    function,
    machine_code,
    makers,
    pairs,
    reclaims,
)
from kmodd.kernel.emulated.abi.structures import (
    BUS,
    BUS_PRIVATE,
    CLASS,
    DEVICE,
    DEVICE_TYPE,
    KOBJECT,
)
from kmodd.kernel.emulated.functions.device_files import CharacterContent
from kmodd.kernel.emulated.functions.kobjects import (
    count_references,
    device_name,
    forget_name,
    set_name,
    start,
)
from kmodd.kernel.emulated.functions.sysfs import add_bus, add_class, add_device, remove_directory
from kmodd.kernel.emulated.functions.variadic import formatted
from kmodd.kernel.emulated.machine.machine import Machine

NODE_MODE = 0o600
"""The permissions of a device's node that nobody has given any."""


@dataclass(slots=True)
class CreatedDevices:
    """What device_create has made, by class and number."""

    by_number: dict[tuple[int, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class PrivateParts:
    """The driver core's own parts of buses, by bus."""

    by_bus: dict[int, int] = field(default_factory=dict)


@reclaims("device")
def forget_made(machine: Machine, device: int) -> None:
    """Forget a device of a module that is gone."""
    machine.mounts.dev.remove(device)
    created = machine.state(CreatedDevices).by_number
    for key in [key for key, made in created.items() if made == device]:
        del created[key]


@function(
    "struct class *__class_create(struct module *owner, const char *name, struct lock_class_key *key)"
)
def class_create_of(machine: Machine, _owner: int, name: int, _key: int) -> int | None:
    return class_create(machine, name)


@function("struct class *class_create(const char *name)")
def class_create(machine: Machine, name: int) -> int:
    made = machine.heap.allocate(CLASS.size)
    machine.memory.put(made + CLASS.name, name)
    text = machine.memory.text(name, 64)
    code = add_class(machine, made, text)
    if code:
        machine.heap.free(made)
        return code
    machine.ledger.take("class", made, f"class '{text}'")
    return made


@function("void class_destroy(struct class *cls)")
def class_destroy(machine: Machine, which: int) -> None:
    remove_directory(machine, which)
    if machine.ledger.give("class", which) is not None:
        machine.heap.free(which)


@function(
    "int __class_register(struct class *cls, struct lock_class_key *key)",
    "int class_register(const struct class *cls)",
)
def class_register(machine: Machine, which: int, *_key: int) -> int:
    name = machine.memory.text(machine.memory.number(which + CLASS.name), 64)
    code = add_class(machine, which, name, machine.memory.number(which + CLASS.groups))
    if not code:
        machine.ledger.take("class", which, f"class '{name}'")
    return code


@function("void class_unregister(struct class *cls)")
def class_unregister(machine: Machine, which: int) -> None:
    remove_directory(machine, which)
    machine.ledger.give("class", which)
    release = machine.memory.number(which + CLASS.release)
    if release:
        machine.invoke(release, which)


@function("int bus_register(struct bus_type *bus)")
def bus_register(machine: Machine, bus: int) -> int:
    name = machine.memory.text(machine.memory.number(bus + BUS.name), 64)
    code = add_bus(machine, bus, name, machine.memory.number(bus + BUS.groups))
    if not code:
        machine.ledger.take("bus", bus, f"bus '{name}'")
        _add_private_part(machine, bus)
    return code


@function("void bus_unregister(struct bus_type *bus)")
def bus_unregister(machine: Machine, bus: int) -> None:
    remove_directory(machine, bus)
    if machine.ledger.give("bus", bus) is not None:
        forget_private_part(machine, bus)
        if BUS.has("private"):
            machine.memory.put(bus + BUS.private, 0, 8)


def _add_private_part(machine: Machine, bus: int) -> None:
    """Give a bus the driver core's own part: up to Linux 6.3 a bus that is there has one, and
    modules look whether it has.
    """
    if BUS.has("private") and BUS_PRIVATE.has("size"):
        part = machine.heap.allocate(BUS_PRIVATE.size)
        machine.state(PrivateParts).by_bus[bus] = part
        machine.memory.put(bus + BUS.private, part, 8)


@reclaims("bus")
def forget_private_part(machine: Machine, bus: int) -> None:
    """Take back the driver core's own part of a bus."""
    part = machine.state(PrivateParts).by_bus.pop(bus, 0)
    if part:
        machine.heap.free(part)


pairs(
    """
    bus notifier: int bus_register_notifier(struct bus_type *bus, struct notifier_block *nb) / int bus_unregister_notifier(struct bus_type *bus, struct notifier_block *nb)
    """
)
makers(
    """
    class: struct class_compat *class_compat_register(const char *name) / void class_compat_unregister(struct class_compat *cls)
    """
)


@function("void device_initialize(struct device *dev)")
def device_initialize(machine: Machine, device: int) -> None:
    start(machine, device)


@function("int device_add(struct device *dev)")
def device_add(machine: Machine, device: int) -> int:
    memory = machine.memory
    initial = memory.number(device + DEVICE.init_name)
    if initial:
        set_name(machine, device, memory.string(initial, 255))
        memory.put(device + DEVICE.init_name, 0)
    if not memory.number(device + KOBJECT.name):
        return -errno.EINVAL
    name = device_name(machine, device)
    code = add_device(machine, device, name)
    if code:
        return code
    count_references(machine, device, 1)
    machine.ledger.take("device", device, f"device '{name}'")
    number = memory.number(device + DEVICE.number, 4)
    if number:
        node, module, content = name.replace("!", "/"), machine.taker, CharacterContent(number)
        machine.mounts.dev.add(
            device, 0, node, is_directory=False, mode=NODE_MODE, module=module, content=content
        )
    return 0


@function("int device_register(struct device *dev)")
def device_register(machine: Machine, device: int) -> int:
    device_initialize(machine, device)
    return device_add(machine, device) or 0


@function("void device_del(struct device *dev)")
def device_del(machine: Machine, device: int) -> None:
    if machine.ledger.give("device", device) is not None:
        machine.mounts.dev.remove(device)
        remove_directory(machine, device)
        count_references(machine, device, -1)


@function("void device_unregister(struct device *dev)")
def device_unregister(machine: Machine, device: int) -> None:
    device_del(machine, device)
    put_device(machine, device)


@function(
    "struct device *get_device(struct device *dev)",
    "struct kobject *kobject_get(struct kobject *kobj)",
)
def get_device(machine: Machine, device: int) -> int:
    if device:
        count_references(machine, device, 1)
    return device


@function("void put_device(struct device *dev)")
def put_device(machine: Machine, device: int) -> None:
    if not device or count_references(machine, device, -1) > 0:
        return
    memory = machine.memory
    kind, which = memory.number(device + DEVICE.type), memory.number(device + DEVICE.device_class)
    release = memory.number(device + DEVICE.release)
    if not release and kind:
        release = memory.number(kind + DEVICE_TYPE.release)
    if not release and which:
        release = memory.number(which + CLASS.device_release)
    forget_name(machine, device)
    if release:
        machine.invoke(release, device)
    elif machine.ledger.give("created device", device) is not None:
        machine.heap.free(device)


def _make_device(
    machine: Machine, which: int, parent: int, number: int, data: int, name: bytes, groups: int = 0
) -> int:
    memory = machine.memory
    device = machine.heap.allocate(DEVICE.size)
    for offset, value in (
        (DEVICE.parent, parent),
        (DEVICE.device_class, which),
        (DEVICE.driver_data, data),
        (DEVICE.groups, groups),
    ):
        memory.put(device + offset, value)
    memory.put(device + DEVICE.number, number, 4)
    machine.ledger.take("created device", device, f"device '{name.decode('utf-8', 'replace')}'")
    set_name(machine, device, name)
    code = device_register(machine, device)
    if code:
        put_device(machine, device)
        return code
    machine.state(CreatedDevices).by_number[which, number] = device
    return device


@function(
    "struct device *device_create(struct class *class, struct device *parent, dev_t devt, void"
    " *drvdata, const char *fmt, ...)"
)
def device_create(
    machine: Machine, which: int, parent: int, number: int, data: int, template: int
) -> int:
    if not which:
        return -errno.ENODEV
    name = formatted(machine, template, 5)
    return _make_device(machine, which, parent, number, data, name)


@function(
    "struct device *device_create_with_groups(struct class *class, struct device *parent, dev_t"
    " devt, void *drvdata, const struct attribute_group **groups, const char *fmt, ...)"
)
def device_create_with_groups(
    machine: Machine, which: int, parent: int, number: int, data: int, groups: int, template: int
) -> int:
    if not which:
        return -errno.ENODEV
    name = formatted(machine, template, 6)
    return _make_device(machine, which, parent, number, data, name, groups)


@function("void device_destroy(struct class *class, dev_t devt)")
def device_destroy(machine: Machine, which: int, number: int) -> None:
    device = machine.state(CreatedDevices).by_number.pop((which, number), None)
    if device is not None:
        device_unregister(machine, device)


@function("struct device *__root_device_register(const char *name, struct module *owner)")
def root_device_register(machine: Machine, name: int, _owner: int) -> int:
    return _make_device(machine, 0, 0, 0, 0, machine.memory.string(name, 255))


@function("void root_device_unregister(struct device *dev)")
def root_device_unregister(machine: Machine, device: int) -> None:
    device_unregister(machine, device)


machine_code(
    RETURN_ZERO,
    """
    int bus_for_each_dev(struct bus_type *bus, struct device *start, void *data, int (*fn)(struct device *dev, void *data))
    int bus_for_each_drv(struct bus_type *bus, struct device_driver *start, void *data, int (*fn)(struct device_driver *, void *))
    struct device *bus_find_device(struct bus_type *bus, struct device *start, const void *data, void *match)
    int class_for_each_device(struct class *class, struct device *start, void *data, int (*fn)(struct device *, void *))
    struct device *class_find_device(struct class *class, struct device *start, const void *data, void *match)
    int driver_for_each_device(struct device_driver *drv, struct device *start, void *data, int (*fn)(struct device *, void *))
    struct device *driver_find_device(struct device_driver *drv, struct device *start, const void *data, void *match)
    struct device_driver *driver_find(const char *name, struct bus_type *bus)
    int device_for_each_child(struct device *parent, void *data, int (*fn)(struct device *dev, void *data))
    int bus_rescan_devices(struct bus_type *bus)
    void device_set_wakeup_capable(struct device *dev, bool capable)
    int device_init_wakeup(struct device *dev, bool enable)
    """,
)
