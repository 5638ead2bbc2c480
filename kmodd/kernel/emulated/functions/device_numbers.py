# SPDX-License-Identifier: Apache-2.0
"""Device numbers, and what stands behind them: character, block and misc devices.

fs/char_dev.c, block/genhd.c, drivers/char/misc.c
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function, makers, reclaims
from kmodd.kernel.emulated.abi.structures import (
    CDEV,
    DEVICE,
    FILE_OPERATIONS,
    KOBJECT,
    LIST_HEAD,
    MISC,
)
from kmodd.kernel.emulated.functions.device_files import CharacterDevices, MiscContent
from kmodd.kernel.emulated.functions.devices import NODE_MODE, device_add, device_del
from kmodd.kernel.emulated.functions.kobjects import device_name, forget_name, start
from kmodd.kernel.emulated.functions.sysfs import (
    MINOR_BITS,
    add_device,
    misc_directory,
    remove_directory,
)
from kmodd.kernel.emulated.machine.machine import Machine

_CHARACTER, _BLOCK = "character", "block"
_NUMBERS = "device numbers"
_DYNAMIC = 255
_MAJORS = {
    _CHARACTER: (*range(254, 233, -1), *range(511, 383, -1)),
    _BLOCK: range(254, 0, -1),
}
"""Where a major number is looked for that nobody has asked for, in this order."""
_MINORS = 1 << MINOR_BITS
_MAJOR_MAX = 511
_MISC_MAJOR = 10
_MISC_DYNAMIC = range(127, -1, -1)


@dataclass(slots=True)
class NumberRegion:
    """Device numbers that are taken."""

    kind: str
    major: int
    first: int
    count: int
    name: str

    def overlaps(self, other: "NumberRegion") -> bool:
        """Tell whether both have a number in common."""
        return (
            (self.kind, self.major) == (other.kind, other.major)
            and self.first < other.first + other.count
            and other.first < self.first + self.count
        )


@dataclass(slots=True)
class DeviceNumbers:
    """The ``regions`` that are taken, and the ``minors`` of misc devices.

    ``own_cdevs`` are the character devices that the kernel has made, by their first numbers.
    """

    regions: list[NumberRegion] = field(default_factory=list)
    minors: dict[int, int] = field(default_factory=dict)
    own_cdevs: dict[int, int] = field(default_factory=dict)


def _take_region(machine: Machine, region: NumberRegion) -> int:
    """Take device numbers; returns 0 or an errno below zero."""
    regions = machine.state(DeviceNumbers).regions
    if region.first + region.count > _MINORS:
        return -errno.EINVAL
    if not region.major:
        taken = {each.major for each in regions if each.kind == region.kind}
        region.major = next((each for each in _MAJORS[region.kind] if each not in taken), 0)
        if not region.major:
            return -errno.EBUSY
    if not 0 < region.major <= _MAJOR_MAX:
        return -errno.EINVAL
    if any(region.overlaps(each) for each in regions):
        return -errno.EBUSY
    regions.append(region)
    key = _key(region)
    machine.ledger.take(_NUMBERS, key, f"{_NUMBERS} {region.major}:{region.first} '{region.name}'")
    return 0


def _give_region(machine: Machine, kind: str, major: int, first: int, count: int) -> None:
    """Give device numbers back as they were taken: from the same one, and as many."""
    regions = machine.state(DeviceNumbers).regions
    for region in regions:
        place = region.kind, region.major, region.first, region.count
        if place == (kind, major, first, count):
            regions.remove(region)
            machine.ledger.give(_NUMBERS, _key(region))
            return


@reclaims(_NUMBERS)
def forget_numbers(machine: Machine, key: int) -> None:
    """Free the device numbers of a module that is gone."""
    _forget_own_cdev(machine, key)
    regions = machine.state(DeviceNumbers).regions
    regions[:] = [each for each in regions if _key(each) != key]


@reclaims("misc device")
def forget_misc(machine: Machine, misc: int) -> None:
    """Free the minor number of a module that is gone."""
    machine.state(DeviceNumbers).minors.pop(misc, None)
    machine.mounts.dev.remove(misc)


def _key(region: NumberRegion) -> int:
    return (region.kind == _BLOCK) << 40 | region.major << MINOR_BITS | region.first


@function(
    "int alloc_chrdev_region(dev_t *dev, unsigned baseminor, unsigned count, const char *name)"
)
def alloc_chrdev_region(machine: Machine, number: int, first: int, count: int, name: int) -> int:
    region = NumberRegion(_CHARACTER, 0, first, count, machine.memory.text(name, 64))
    code = _take_region(machine, region)
    if not code:
        machine.memory.put(number, region.major << MINOR_BITS | first, 4)
    return code


@function("int register_chrdev_region(dev_t from, unsigned count, const char *name)")
def register_chrdev_region(machine: Machine, number: int, count: int, name: int) -> int:
    text, taken = machine.memory.text(name, 64), list[tuple[int, int, int]]()
    for major, first, size in _parts(number, count):
        code = _take_region(machine, NumberRegion(_CHARACTER, major, first, size, text))
        if code:
            for each in taken:
                _give_region(machine, _CHARACTER, *each)
            return code
        taken.append((major, first, size))
    return 0


def _parts(number: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Yield the major number, the first minor one and the count for each major that is touched."""
    end = number + count
    while number < end:
        first = number % _MINORS
        size = min(end - number, _MINORS - first)
        yield number >> MINOR_BITS, first, size
        number += size


@function("void unregister_chrdev_region(dev_t from, unsigned count)")
def unregister_chrdev_region(machine: Machine, number: int, count: int) -> None:
    for major, first, size in _parts(number, count):
        _give_region(machine, _CHARACTER, major, first, size)


@function(
    "int __register_chrdev(unsigned int major, unsigned int baseminor, unsigned int count, const"
    " char *name, const struct file_operations *fops)"
)
def register_chrdev(
    machine: Machine, major: int, first: int, count: int, name: int, operations: int
) -> int:
    """Its character device is the kernel's own, with the owner of the table of functions."""
    region = NumberRegion(_CHARACTER, major, first, count, machine.memory.text(name, 64))
    code = _take_region(machine, region)
    if code:
        return code
    cdev = machine.heap.allocate(CDEV.size)
    if operations:
        owner = machine.memory.number(operations + FILE_OPERATIONS.owner)
        machine.memory.put(cdev + CDEV.owner, owner)
    machine.memory.put(cdev + CDEV.operations, operations)
    number = region.major << MINOR_BITS | first
    machine.state(CharacterDevices).by_address[cdev] = number, count
    machine.state(DeviceNumbers).own_cdevs[number] = cdev
    return 0 if major else region.major


@function(
    "void __unregister_chrdev(unsigned int major, unsigned int baseminor, unsigned int count,"
    " const char *name)"
)
def unregister_chrdev(machine: Machine, major: int, first: int, count: int, _name: int) -> None:
    _give_region(machine, _CHARACTER, major, first, count)
    _forget_own_cdev(machine, major << MINOR_BITS | first)


def _forget_own_cdev(machine: Machine, number: int) -> None:
    cdev = machine.state(DeviceNumbers).own_cdevs.pop(number, 0)
    if cdev:
        machine.state(CharacterDevices).by_address.pop(cdev, None)
        machine.heap.free(cdev)


@function("int __register_blkdev(unsigned int major, const char *name, void (*probe)(dev_t devt))")
def register_blkdev(machine: Machine, major: int, name: int, _probe: int) -> int:
    region = NumberRegion(_BLOCK, major, 0, _MINORS, machine.memory.text(name, 64))
    return _take_region(machine, region) or (0 if major else region.major)


@function("void unregister_blkdev(unsigned int major, const char *name)")
def unregister_blkdev(machine: Machine, major: int, _name: int) -> None:
    _give_region(machine, _BLOCK, major, 0, _MINORS)


@function("int misc_register(struct miscdevice *misc)")
def misc_register(machine: Machine, misc: int) -> int:
    memory = machine.memory
    minor, name = memory.number(misc, 4), memory.text(memory.number(misc + MISC.name), 64)
    taken = set(machine.state(DeviceNumbers).minors.values())
    if minor == _DYNAMIC:
        minor = next((each for each in _MISC_DYNAMIC if each not in taken), minor)
    if minor == _DYNAMIC or minor in taken:
        return -errno.EBUSY
    device = machine.heap.allocate(DEVICE.size)
    code = add_device(machine, device, name, parent=misc_directory(machine))
    if code:
        machine.heap.free(device)
        return code
    machine.state(DeviceNumbers).minors[misc] = minor
    memory.put(misc, minor, 4)
    memory.put(device + DEVICE.init_name, memory.number(misc + MISC.name))
    memory.put(misc + MISC.this_device, device)
    node = memory.number(misc + MISC.node_name)
    shown = memory.text(node, 64) if node else name
    mode = memory.number(misc + MISC.mode, 2) & 0o777 or NODE_MODE
    module = machine.taker
    content = MiscContent(misc, _MISC_MAJOR << MINOR_BITS | minor)
    machine.mounts.dev.add(
        misc, 0, shown, is_directory=False, mode=mode, module=module, content=content
    )
    machine.ledger.take("misc device", misc, f"misc device '{name}'")
    return 0


@function("void misc_deregister(struct miscdevice *misc)")
def misc_deregister(machine: Machine, misc: int) -> None:
    if machine.ledger.give("misc device", misc) is not None:
        machine.state(DeviceNumbers).minors.pop(misc, None)
        machine.mounts.dev.remove(misc)
        device = machine.memory.number(misc + MISC.this_device)
        remove_directory(machine, device)
        machine.heap.free(device)


@function("int cdev_add(struct cdev *p, dev_t dev, unsigned count)")
def cdev_add(machine: Machine, device: int, number: int, count: int) -> int:
    machine.memory.put(device + CDEV.number, number, 4)
    machine.memory.put(device + CDEV.count, count, 4)
    if not number:
        # The number that stands for a whiteout.
        return -errno.EBUSY
    name = f"character device {number >> MINOR_BITS}:{number % _MINORS}"
    machine.state(CharacterDevices).by_address[device] = number, count
    machine.ledger.take("cdev", device, name)
    return 0


@reclaims("cdev")
def forget_cdev(machine: Machine, device: int) -> None:
    """Have nobody open the character device of a module that is gone."""
    machine.state(CharacterDevices).by_address.pop(device, None)


@function("void cdev_del(struct cdev *p)")
def cdev_del(machine: Machine, device: int) -> None:
    machine.ledger.give("cdev", device)
    forget_cdev(machine, device)
    forget_name(machine, device)
    if machine.ledger.give("character device", device) is not None:
        machine.heap.free(device)


@function("int cdev_device_add(struct cdev *cdev, struct device *dev)")
def cdev_device_add(machine: Machine, device: int, owner: int) -> int:
    number = machine.memory.number(owner + DEVICE.number, 4)
    if number:
        machine.memory.put(device + CDEV.number, number, 4)
        machine.memory.put(device + CDEV.count, 1, 4)
        machine.state(CharacterDevices).by_address[device] = number, 1
    code = device_add(machine, owner) or 0
    if code:
        forget_cdev(machine, device)
    else:
        machine.ledger.take("cdev", device, f"character device of {device_name(machine, owner)}")
    return code


@function("void cdev_device_del(struct cdev *cdev, struct device *dev)")
def cdev_device_del(machine: Machine, device: int, owner: int) -> None:
    machine.ledger.give("cdev", device)
    forget_cdev(machine, device)
    device_del(machine, owner)


@function("void cdev_init(struct cdev *cdev, const struct file_operations *fops)")
def cdev_init(machine: Machine, device: int, operations: int) -> None:
    machine.memory.fill(device, CDEV.size)
    start(machine, device)
    for link in (CDEV.list + LIST_HEAD.next, CDEV.list + LIST_HEAD.previous):
        machine.memory.put(device + link, device + CDEV.list)
    machine.memory.put(device + CDEV.operations, operations)


@function("void cdev_set_parent(struct cdev *p, struct kobject *kobj)")
def cdev_set_parent(machine: Machine, device: int, parent: int) -> None:
    machine.memory.put(device + KOBJECT.parent, parent)


makers("character device: struct cdev *cdev_alloc(void)")
