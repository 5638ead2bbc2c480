# SPDX-License-Identifier: Apache-2.0
"""Device numbers, character and block devices, classes, devices, kobjects (drivers/base, fs/char_dev.c)."""

import errno
from dataclasses import dataclass

from kmodd.kernel.emulated.api.structures import DEVICE, KOBJECT, MISC, device_name
from kmodd.kernel.emulated.api.table import (
    RETURN,
    RETURN_ZERO,
    function,
    machine_code,
    makers,
    pairs,
    reclaims,
)
from kmodd.kernel.emulated.cpu.machine import Machine

_CHARACTER, _BLOCK = "character", "block"
_NUMBERS = "device numbers"
_DYNAMIC = 255
_MAJORS = (*range(254, 233, -1), *range(511, 383, -1))
_MINOR_BITS = 20
_MAJOR_MAX = 511
_CLASS_NAME, _CLASS_SIZE = 0, 120
_CLASS_RELEASE, _CLASS_DEVICE_RELEASE, _TYPE_RELEASE = 56, 64, 32
_MISC_MAJOR = 10
_MISC_DYNAMIC = range(127, 0, -1)

DEVICE_NODE = "device node"


@dataclass(slots=True)
class Region:
    """Device numbers that are taken."""

    kind: str
    major: int
    first: int
    count: int
    name: str

    def overlaps(self, other: "Region") -> bool:
        """Tell whether both have a number in common."""
        return (
            (self.kind, self.major) == (other.kind, other.major)
            and self.first < other.first + other.count
            and other.first < self.first + self.count
        )


def _take_region(machine: Machine, region: Region) -> int:
    """Take device numbers; returns 0 or an errno below zero."""
    if not region.major:
        taken = {each.major for each in machine.regions if each.kind == region.kind}
        region.major = next((each for each in _MAJORS if each not in taken), 0)
        if not region.major:
            return -errno.EBUSY
    if not 0 < region.major <= _MAJOR_MAX:
        return -errno.EINVAL
    if any(region.overlaps(each) for each in machine.regions):
        return -errno.EBUSY
    machine.regions.append(region)
    key = _key(region)
    machine.ledger.take(_NUMBERS, key, f"{_NUMBERS} {region.major}:{region.first} '{region.name}'")
    return 0


def _give_region(machine: Machine, kind: str, major: int, first: int) -> None:
    for region in machine.regions:
        if (region.kind, region.major, region.first) == (kind, major, first):
            machine.regions.remove(region)
            machine.ledger.give(_NUMBERS, _key(region))
            return


@reclaims(_NUMBERS)
def forget_numbers(machine: Machine, key: int) -> None:
    """Free the device numbers of a module that is gone."""
    machine.regions[:] = [each for each in machine.regions if _key(each) != key]


@reclaims("misc device")
def forget_misc(machine: Machine, misc: int) -> None:
    """Free the minor number of a module that is gone."""
    machine.minors.pop(misc, None)
    machine.dev.remove(misc)


@reclaims("device")
def forget_made(machine: Machine, device: int) -> None:
    """Forget a device of a module that is gone."""
    machine.dev.remove(device)
    for key in [key for key, made in machine.created.items() if made == device]:
        del machine.created[key]


def _key(region: Region) -> int:
    return (region.kind == _BLOCK) << 40 | region.major << _MINOR_BITS | region.first


@function(
    "int alloc_chrdev_region(dev_t *dev, unsigned baseminor, unsigned count, const char *name)"
)
def alloc_chrdev_region(machine: Machine, number: int, first: int, count: int, name: int) -> int:
    region = Region(_CHARACTER, 0, first, count, machine.memory.text(name, 64))
    code = _take_region(machine, region)
    if not code:
        machine.memory.put(number, region.major << _MINOR_BITS | first, 4)
    return code


@function("int register_chrdev_region(dev_t from, unsigned count, const char *name)")
def register_chrdev_region(machine: Machine, number: int, count: int, name: int) -> int:
    text = machine.memory.text(name, 64)
    minor = number & (1 << _MINOR_BITS) - 1
    return _take_region(machine, Region(_CHARACTER, number >> _MINOR_BITS, minor, count, text))


@function("void unregister_chrdev_region(dev_t from, unsigned count)")
def unregister_chrdev_region(machine: Machine, number: int, _count: int) -> None:
    minor = number & (1 << _MINOR_BITS) - 1
    _give_region(machine, _CHARACTER, number >> _MINOR_BITS, minor)


@function(
    "int __register_chrdev(unsigned int major, unsigned int baseminor, unsigned int count, const"
    " char *name, const struct file_operations *fops)"
)
def register_chrdev(
    machine: Machine, major: int, first: int, count: int, name: int, _operations: int
) -> int:
    region = Region(_CHARACTER, major, first, count, machine.memory.text(name, 64))
    return _take_region(machine, region) or (0 if major else region.major)


@function(
    "void __unregister_chrdev(unsigned int major, unsigned int baseminor, unsigned int count,"
    " const char *name)"
)
def unregister_chrdev(machine: Machine, major: int, first: int, _count: int, _name: int) -> None:
    _give_region(machine, _CHARACTER, major, first)


@function("int __register_blkdev(unsigned int major, const char *name, void (*probe)(dev_t devt))")
def register_blkdev(machine: Machine, major: int, name: int, _probe: int) -> int:
    region = Region(_BLOCK, major, 0, 1 << _MINOR_BITS, machine.memory.text(name, 64))
    return _take_region(machine, region) or (0 if major else region.major)


@function("void unregister_blkdev(unsigned int major, const char *name)")
def unregister_blkdev(machine: Machine, major: int, _name: int) -> None:
    _give_region(machine, _BLOCK, major, 0)


@function("int misc_register(struct miscdevice *misc)")
def misc_register(machine: Machine, misc: int) -> int:
    memory = machine.memory
    minor, name = memory.number(misc, 4), memory.text(memory.number(misc + MISC.name), 64)
    taken = set(machine.minors.values())
    if minor == _DYNAMIC:
        free = next((each for each in _MISC_DYNAMIC if each not in taken), None)
        if free is None:
            return -errno.EBUSY
        minor = free
        memory.put(misc, minor, 4)
    elif minor in taken:
        return -errno.EBUSY
    machine.minors[misc] = minor
    device = machine.heap.allocate(DEVICE.size)
    memory.put(device + DEVICE.init_name, memory.number(misc + MISC.name))
    memory.put(misc + MISC.this_device, device)
    node = memory.number(misc + MISC.node_name)
    machine.dev.add(misc, 0, memory.text(node, 64) if node else name, is_directory=False)
    machine.ledger.take("misc device", misc, f"misc device '{name}'")
    return 0


@function("void misc_deregister(struct miscdevice *misc)")
def misc_deregister(machine: Machine, misc: int) -> None:
    if machine.ledger.give("misc device", misc) is not None:
        machine.minors.pop(misc, None)
        machine.dev.remove(misc)
        machine.heap.free(machine.memory.number(misc + MISC.this_device))


@function(
    "struct class *__class_create(struct module *owner, const char *name, struct lock_class_key *key)"
)
def class_create(machine: Machine, _owner: int, name: int, _key: int) -> int:
    made = machine.heap.allocate(_CLASS_SIZE)
    machine.memory.put(made + _CLASS_NAME, name)
    machine.ledger.take("class", made, f"class '{machine.memory.text(name, 64)}'")
    return made


@function("void class_destroy(struct class *cls)")
def class_destroy(machine: Machine, which: int) -> None:
    if machine.ledger.give("class", which) is not None:
        machine.heap.free(which)


pairs(
    """
    class: int __class_register(struct class *cls, struct lock_class_key *key) / void class_unregister(struct class *cls)
    bus: int bus_register(struct bus_type *bus) / void bus_unregister(struct bus_type *bus)
    bus notifier: int bus_register_notifier(struct bus_type *bus, struct notifier_block *nb) / int bus_unregister_notifier(struct bus_type *bus, struct notifier_block *nb)
    """
)
makers(
    """
    class: struct class_compat *class_compat_register(const char *name) / void class_compat_unregister(struct class_compat *cls)
    character device: struct cdev *cdev_alloc(void)
    """
)


@function("int cdev_add(struct cdev *p, dev_t dev, unsigned count)")
def cdev_add(machine: Machine, device: int, number: int, _count: int) -> int:
    name = f"character device {number >> _MINOR_BITS}:{number & (1 << _MINOR_BITS) - 1}"
    machine.ledger.take("cdev", device, name)
    return 0


@function("void cdev_del(struct cdev *p)")
def cdev_del(machine: Machine, device: int) -> None:
    machine.ledger.give("cdev", device)
    if machine.ledger.give("character device", device) is not None:
        machine.heap.free(device)


@function("int cdev_device_add(struct cdev *cdev, struct device *dev)")
def cdev_device_add(machine: Machine, device: int, owner: int) -> int:
    machine.ledger.take("cdev", device, f"character device of {device_name(machine, owner)}")
    return device_add(machine, owner) or 0


@function("void cdev_device_del(struct cdev *cdev, struct device *dev)")
def cdev_device_del(machine: Machine, device: int, owner: int) -> None:
    machine.ledger.give("cdev", device)
    device_del(machine, owner)


machine_code(
    RETURN,
    """
    void cdev_init(struct cdev *cdev, const struct file_operations *fops)
    void cdev_set_parent(struct cdev *p, struct kobject *kobj)
    """,
)


def _references(machine: Machine, kobject: int, change: int) -> int:
    at = kobject + KOBJECT.references
    count = machine.memory.number(at, 4) + change
    machine.memory.put(at, count, 4)
    return count


def set_name(machine: Machine, kobject: int, name: bytes) -> None:
    """Give an object its name, in memory of its own."""
    old = machine.memory.number(kobject + KOBJECT.name)
    if old and machine.ledger.give("name", old) is not None:
        machine.heap.free(old)
    text = machine.heap.allocate(len(name) + 1)
    machine.memory.write(text, name + b"\0")
    machine.ledger.take("name", text, f"the name of '{name.decode('utf-8', 'replace')}'")
    machine.memory.put(kobject + KOBJECT.name, text)


def _forget_name(machine: Machine, kobject: int) -> None:
    name = machine.memory.number(kobject + KOBJECT.name)
    if name and machine.ledger.give("name", name) is not None:
        machine.heap.free(name)


@function(
    "int dev_set_name(struct device *dev, const char *name, ...)",
    "int kobject_set_name(struct kobject *kobj, const char *fmt, ...)",
)
def dev_set_name(machine: Machine, device: int, template: int) -> int:
    set_name(machine, device, machine.format(template, 2))
    return 0


@function("void device_initialize(struct device *dev)")
def device_initialize(machine: Machine, device: int) -> None:
    machine.memory.put(device + KOBJECT.references, 1, 4)


@function("int device_add(struct device *dev)")
def device_add(machine: Machine, device: int) -> int:
    memory = machine.memory
    initial = memory.number(device + DEVICE.init_name)
    if initial:
        set_name(machine, device, memory.string(initial, 255))
        memory.put(device + DEVICE.init_name, 0)
    if not memory.number(device + KOBJECT.name):
        return -errno.EINVAL
    _references(machine, device, 1)
    name = device_name(machine, device)
    machine.ledger.take("device", device, f"device '{name}'")
    if memory.number(device + DEVICE.number, 4):
        machine.dev.add(device, 0, name.replace("!", "/"), is_directory=False)
    return 0


@function("int device_register(struct device *dev)")
def device_register(machine: Machine, device: int) -> int:
    device_initialize(machine, device)
    return device_add(machine, device) or 0


@function("void device_del(struct device *dev)")
def device_del(machine: Machine, device: int) -> None:
    if machine.ledger.give("device", device) is not None:
        machine.dev.remove(device)
        _references(machine, device, -1)


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
        _references(machine, device, 1)
    return device


@function("void put_device(struct device *dev)")
def put_device(machine: Machine, device: int) -> None:
    if not device or _references(machine, device, -1) > 0:
        return
    memory = machine.memory
    kind, which = memory.number(device + 88), memory.number(device + DEVICE.device_class)
    release = memory.number(device + DEVICE.release)
    if not release and kind:
        release = memory.number(kind + _TYPE_RELEASE)
    if not release and which:
        release = memory.number(which + _CLASS_DEVICE_RELEASE)
    _forget_name(machine, device)
    if release:
        machine.invoke(release, device)
    elif machine.ledger.give("created device", device) is not None:
        machine.heap.free(device)


def _make_device(
    machine: Machine, which: int, parent: int, number: int, data: int, name: bytes
) -> int:
    memory = machine.memory
    device = machine.heap.allocate(DEVICE.size)
    for offset, value in (
        (DEVICE.parent, parent),
        (DEVICE.device_class, which),
        (DEVICE.driver_data, data),
    ):
        memory.put(device + offset, value)
    memory.put(device + DEVICE.number, number, 4)
    machine.ledger.take("created device", device, f"device '{name.decode('utf-8', 'replace')}'")
    set_name(machine, device, name)
    device_register(machine, device)
    machine.created[which, number] = device
    return device


@function(
    "struct device *device_create(struct class *class, struct device *parent, dev_t devt, void"
    " *drvdata, const char *fmt, ...)"
)
def device_create(
    machine: Machine, which: int, parent: int, number: int, data: int, template: int
) -> int:
    name = machine.format(template, 5)
    return _make_device(machine, which, parent, number, data, name)


@function(
    "struct device *device_create_with_groups(struct class *class, struct device *parent, dev_t"
    " devt, void *drvdata, const struct attribute_group **groups, const char *fmt, ...)"
)
def device_create_with_groups(
    machine: Machine, which: int, parent: int, number: int, data: int, _groups: int, template: int
) -> int:
    name = machine.format(template, 6)
    return _make_device(machine, which, parent, number, data, name)


@function("void device_destroy(struct class *class, dev_t devt)")
def device_destroy(machine: Machine, which: int, number: int) -> None:
    device = machine.created.pop((which, number), None)
    if device is not None:
        device_unregister(machine, device)


@function("struct device *__root_device_register(const char *name, struct module *owner)")
def root_device_register(machine: Machine, name: int, _owner: int) -> int:
    return _make_device(machine, 0, 0, 0, 0, machine.memory.string(name, 255))


@function("void root_device_unregister(struct device *dev)")
def root_device_unregister(machine: Machine, device: int) -> None:
    device_unregister(machine, device)


@function("void kobject_init(struct kobject *kobj, const struct kobj_type *ktype)")
def kobject_init(machine: Machine, kobject: int, kind: int) -> None:
    machine.memory.put(kobject + KOBJECT.type, kind)
    machine.memory.put(kobject + KOBJECT.references, 1, 4)


@function("int kobject_add(struct kobject *kobj, struct kobject *parent, const char *fmt, ...)")
def kobject_add(machine: Machine, kobject: int, _parent: int, template: int) -> int:
    set_name(machine, kobject, machine.format(template, 3))
    return 0


@function(
    "int kobject_init_and_add(struct kobject *kobj, const struct kobj_type *ktype, struct kobject"
    " *parent, const char *fmt, ...)"
)
def kobject_init_and_add(
    machine: Machine, kobject: int, kind: int, _parent: int, template: int
) -> int:
    kobject_init(machine, kobject, kind)
    set_name(machine, kobject, machine.format(template, 4))
    return 0


@function("struct kobject *kobject_create_and_add(const char *name, struct kobject *parent)")
def kobject_create_and_add(machine: Machine, name: int, _parent: int) -> int:
    return _make_kobject(machine, name, 64)


@function(
    "struct kset *kset_create_and_add(const char *name, const struct kset_uevent_ops *u, struct"
    " kobject *parent_kobj)"
)
def kset_create_and_add(machine: Machine, name: int, _operations: int, _parent: int) -> int:
    return _make_kobject(machine, name, 96)


def _make_kobject(machine: Machine, name: int, size: int) -> int:
    made = machine.heap.allocate(size)
    text = machine.memory.text(name, 64)
    machine.memory.put(made + (KOBJECT.references if size == 64 else 24 + KOBJECT.references), 1, 4)
    machine.ledger.take("kobject", made, f"kobject '{text}'")
    return made


@function("int kset_register(struct kset *k)")
def kset_register(machine: Machine, kset: int) -> int:
    machine.memory.put(kset + 24 + KOBJECT.references, 1, 4)
    machine.ledger.take("kobject", kset, "a kset")
    return 0


@function("void kset_unregister(struct kset *k)")
def kset_unregister(machine: Machine, kset: int) -> None:
    _forget_name(machine, kset + 24)
    if machine.ledger.give("kobject", kset) is not None:
        machine.heap.free(kset)


@function("void kobject_put(struct kobject *kobj)")
def kobject_put(machine: Machine, kobject: int) -> None:
    if not kobject or _references(machine, kobject, -1) > 0:
        return
    kind = machine.memory.number(kobject + KOBJECT.type)
    _forget_name(machine, kobject)
    release = machine.memory.number(kind) if kind else 0
    if machine.ledger.give("kobject", kobject) is not None:
        machine.heap.free(kobject)
    elif release:
        machine.invoke(release, kobject)


machine_code(
    RETURN_ZERO,
    """
    void kobject_del(struct kobject *kobj)
    int kobject_uevent(struct kobject *kobj, enum kobject_action action)
    int kobject_uevent_env(struct kobject *kobj, enum kobject_action action, char *envp[])
    int kobject_rename(struct kobject *kobj, const char *new_name)
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
    int device_set_wakeup_capable(struct device *dev, bool capable)
    int device_init_wakeup(struct device *dev, bool enable)
    """,
)
