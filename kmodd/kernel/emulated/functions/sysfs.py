# SPDX-License-Identifier: Apache-2.0
"""/sys: the directories of objects, and the files of their attributes (fs/sysfs, drivers/base).

A directory is known by the address
of its object, and goes with that or with its module; files are on nobody's account. A directory has
each name once.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.structures import (
    ATTRIBUTE,
    ATTRIBUTE_GROUP,
    BUS,
    CLASS,
    DEVICE,
    DEVICE_TYPE,
)
from kmodd.kernel.emulated.functions.attribute_files import Owner, TextContent, content_of
from kmodd.kernel.emulated.functions.open_files import Content, take_away
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

FILES_MAX = 65536
"""Files and directories that /sys has at most; modules are not told of more."""

_LIST_MAX = 1024
"""Groups, and attributes of a group, that are looked at."""

_PERMISSIONS = 0o777
_GROUP_PERMISSIONS = 0o664
"""The permissions that a group's files can have."""
_READABLE = 0o444
MINOR_BITS = 20
"""The bits of a device number that are its minor one (include/linux/kdev_t.h)."""

_CLASS, _BUS, _DEVICES = -1, -2, -3
_TOP = {_CLASS: "class", _BUS: "bus", _DEVICES: "devices"}
_FIRST_KEY = -1000
_KERNEL_OBJECTS = {
    "kernel_kobj": "kernel",
    "mm_kobj": "kernel/mm",
    "fs_kobj": "fs",
    "power_kobj": "power",
    "firmware_kobj": "firmware",
    "hypervisor_kobj": "hypervisor",
}
"""The kernel's own objects that modules hang theirs below."""


@dataclass(slots=True)
class NamedEntries:
    """What has no object of its own: the keys by directory and name, and the one that is next."""

    keys: dict[tuple[int, str], int] = field(default_factory=dict)
    next_key: int = _FIRST_KEY


def key_of(machine: Machine, directory: int, name: str) -> int:
    """Return the key of a named entry; a new one where /sys has none of that name."""
    named = machine.state(NamedEntries)
    key = named.keys.get((directory, name), 0)
    if key not in machine.mounts.sysfs:
        key = named.keys[directory, name] = named.next_key
        named.next_key -= 1
    return key


def add_directory(machine: Machine, key: int, parent: int, name: str) -> int:
    """Make the directory of an object; ``parent`` is another's, or 0 for the top.

    Returns 0, or an errno below zero for a name that is empty or there already.
    """
    if not name:
        return -errno.EINVAL
    if _is_there(machine, parent, name):
        return -errno.EEXIST
    if len(machine.mounts.sysfs) < FILES_MAX:
        machine.mounts.sysfs.add(key, parent, name, is_directory=True, module=machine.taker)
    return 0


def _is_there(machine: Machine, directory: int, name: str) -> bool:
    """Tell whether a directory has such a name, and log it where it has."""
    found = machine.mounts.sysfs.child(directory, name)
    if found is None:
        return False
    path = machine.mounts.sysfs.path(found).removeprefix(machine.mounts.sysfs.root)
    machine.log.write(Level.WARNING, f"sysfs: cannot create duplicate filename '{path}'\n")
    return True


def rename_directory(machine: Machine, key: int, name: str) -> int:
    """Give the directory of an object another name; returns 0, or -EEXIST where it is taken."""
    if _is_there(machine, machine.mounts.sysfs.parent(key), name):
        return -errno.EEXIST
    machine.mounts.sysfs.rename(key, name)
    return 0


def remove_directory(machine: Machine, key: int) -> None:
    """Remove the directory of an object with all that is below it."""
    for listed in machine.mounts.sysfs.remove_listed(key):
        take_away(machine, listed.content, errno.ENODEV)


def _top(machine: Machine, key: int) -> int:
    """Return one of the directories that everything is in, the kernel's own."""
    if key not in machine.mounts.sysfs:
        machine.mounts.sysfs.add(key, 0, _TOP[key], is_directory=True)
    return key


def _named_directory(machine: Machine, parent: int, name: str, module: str = "") -> int:
    """Return a directory without an object, which is made where it is not there.

    It is the kernel's own but for a ``module``.
    """
    key = key_of(machine, parent, name)
    if key not in machine.mounts.sysfs:
        machine.mounts.sysfs.add(key, parent, name, is_directory=True, module=module)
    return key


def add_class(machine: Machine, which: int, name: str, groups: int = 0) -> int:
    """Make the directory of a class; returns what ``add_directory`` does."""
    code = add_directory(machine, which, _top(machine, _CLASS), name)
    if not code:
        add_groups(machine, which, groups, Owner.PART)
    return code


def add_bus(machine: Machine, bus: int, name: str, groups: int = 0) -> int:
    """Make the directory of a bus that a module brings along; returns what ``add_directory`` does."""
    code = add_directory(machine, bus, _top(machine, _BUS), name)
    if not code:
        for below in ("devices", "drivers"):
            _named_directory(machine, bus, below)
        add_groups(machine, bus, groups, Owner.BUS)
    return code


def bus_directory(machine: Machine, bus: int) -> int:
    """Return the directory for the drivers of a module's bus, 0 where it is none."""
    return _named_directory(machine, bus, "drivers") if bus in machine.mounts.sysfs else 0


def misc_directory(machine: Machine) -> int:
    """Return the directory of the kernel's own class "misc"."""
    return _named_directory(machine, _top(machine, _CLASS), "misc")


def net_directory(machine: Machine) -> int:
    """Return the directory of the kernel's own class "net"."""
    return _named_directory(machine, _top(machine, _CLASS), "net")


def input_directory(machine: Machine) -> int:
    """Return the directory of the kernel's own class "input"."""
    return _named_directory(machine, _top(machine, _CLASS), "input")


def on_bus(machine: Machine, bus: str, kind: str) -> int:
    """Return the directory of a bus for its ``devices`` or ``drivers``."""
    return _named_directory(machine, _named_directory(machine, _top(machine, _BUS), bus), kind)


def add_device(machine: Machine, device: int, name: str, *, parent: int = 0) -> int:
    """Make a device's directory with its attributes: in its class, on its bus, below its parent.

    The kernel has it elsewhere, and a link to it in these. Returns what ``add_directory`` does.
    """
    memory = machine.memory
    which, bus = memory.number(device + DEVICE.device_class), memory.number(device + DEVICE.bus)
    above = memory.number(device + DEVICE.parent)
    if which in machine.mounts.sysfs:
        parent = which
    elif bus in machine.mounts.sysfs:
        parent = _named_directory(machine, bus, "devices")
    elif above in machine.mounts.sysfs:
        parent = parent or above
    code = add_directory(machine, device, parent or _top(machine, _DEVICES), name)
    if code:
        return code
    add_file(machine, device, "uevent", 0o644)
    number = memory.number(device + DEVICE.number, 4)
    if number:
        text = TextContent(f"{number >> MINOR_BITS}:{number & (1 << MINOR_BITS) - 1}\n")
        add_file(machine, device, "dev", _READABLE, text)
    kind = memory.number(device + DEVICE.type)
    if which in machine.mounts.sysfs:
        add_groups(machine, device, memory.number(which + CLASS.device_groups), Owner.PART)
    elif bus in machine.mounts.sysfs:
        add_groups(machine, device, memory.number(bus + BUS.device_groups), Owner.PART)
    if kind:
        add_groups(machine, device, memory.number(kind + DEVICE_TYPE.groups), Owner.PART)
    add_groups(machine, device, memory.number(device + DEVICE.groups), Owner.PART)
    return 0


def kernel_directory(machine: Machine, kobject: int) -> int:
    """Return where an object's directory is: its key, one for the kernel's own, 0 for none."""
    if not kobject or kobject in machine.mounts.sysfs:
        return kobject
    for symbol, path in _KERNEL_OBJECTS.items():
        if machine.memory.number(machine.kernel_symbols.address(symbol)) == kobject:
            return _named_directory(machine, 0, path)
    return 0


def add_file(
    machine: Machine, directory: int, name: str, mode: int, content: Content | None = None
) -> int:
    """Make a file where the directory is one of these; returns 0, or -EEXIST."""
    if directory not in machine.mounts.sysfs:
        return 0
    if _is_there(machine, directory, name):
        return -errno.EEXIST
    if len(machine.mounts.sysfs) >= FILES_MAX:
        return 0
    key = key_of(machine, directory, name)
    module = machine.taker
    machine.mounts.sysfs.add(
        key, directory, name, is_directory=False, mode=mode, module=module, content=content
    )
    return 0


def remove_file(machine: Machine, directory: int, name: str) -> None:
    """Remove a file, or a group's directory, by its name."""
    remove_directory(machine, machine.state(NamedEntries).keys.pop((directory, name), 0))


def _name_of(machine: Machine, attribute: int) -> str:
    return machine.memory.text(machine.memory.number(attribute + ATTRIBUTE.name), 255)


def pointers(machine: Machine, table: int) -> Iterator[int]:
    """Yield the pointers of a table that ends with 0."""
    for at in range(table, table + 8 * _LIST_MAX, 8) if table else ():
        pointer = machine.memory.number(at)
        if not pointer:
            return
        yield pointer


def add_attribute(
    machine: Machine,
    kobject: int,
    attribute: int,
    kind: Owner = Owner.OBJECT,
    *,
    is_binary: bool = False,
) -> int:
    """Make the file of an attribute; returns 0 or an errno below zero."""
    if not kobject or not attribute:
        return -errno.EINVAL
    directory = kernel_directory(machine, kobject)
    mode = machine.memory.number(attribute + ATTRIBUTE.mode, 2) & _PERMISSIONS
    content = content_of(machine, kobject, attribute, kind, is_binary=is_binary)
    return add_file(machine, directory, _name_of(machine, attribute), mode, content)


def remove_attribute(machine: Machine, kobject: int, attribute: int) -> None:
    """Remove the file of an attribute."""
    remove_file(machine, kernel_directory(machine, kobject), _name_of(machine, attribute))


def group_name(machine: Machine, group: int) -> str:
    """Return the name of a group, empty where it has none."""
    name = machine.memory.number(group + ATTRIBUTE_GROUP.name)
    return machine.memory.text(name, 255) if name else ""


def add_group(machine: Machine, kobject: int, group: int, kind: Owner = Owner.OBJECT) -> int:
    """Make the files of a group that it says are visible, in a directory where it has a name.

    Returns 0 or an errno below zero; there is nothing of the group then.
    """
    if not kobject or not any(tables(machine, group)):
        return -errno.EINVAL
    directory = kernel_directory(machine, kobject)
    if directory not in machine.mounts.sysfs:
        return 0
    name = group_name(machine, group)
    if name and _is_there(machine, directory, name):
        return -errno.EEXIST
    if name:
        directory = _named_directory(machine, directory, name, machine.taker)
    code = fill_group(machine, kobject, group, directory, kind)
    if code and name:
        remove_directory(machine, directory)
    return code


def tables(machine: Machine, group: int) -> list[int]:
    """Return the tables of a group's attributes, 0 for one that it does not have."""
    tables = (ATTRIBUTE_GROUP.attributes, ATTRIBUTE_GROUP.binaries)
    return [machine.memory.number(group + each) for each in tables]


def fill_group(
    machine: Machine, kobject: int, group: int, directory: int, kind: Owner = Owner.OBJECT
) -> int:
    """Make the visible files of a group; returns 0, or -EEXIST and takes them back."""
    memory, made = machine.memory, list[str]()
    visible = (ATTRIBUTE_GROUP.is_visible, ATTRIBUTE_GROUP.is_binary_visible)
    for table, where in zip(tables(machine, group), visible, strict=True):
        ask = memory.number(group + where)
        for number, each in enumerate(pointers(machine, table)):
            mode = memory.number(each + ATTRIBUTE.mode, 2)
            if ask:
                mode = machine.invoke(ask, kobject, each, number) & 0xFFFF
            if not mode:
                continue
            name = _name_of(machine, each)
            is_binary = where == ATTRIBUTE_GROUP.is_binary_visible
            content = content_of(machine, kobject, each, kind, is_binary=is_binary)
            content.mode = mode & _GROUP_PERMISSIONS
            code = add_file(machine, directory, name, content.mode, content)
            if code:
                for one in made:
                    remove_file(machine, directory, one)
                return code
            made.append(name)
    return 0


def add_groups(machine: Machine, kobject: int, groups: int, kind: Owner = Owner.OBJECT) -> int:
    """Make the files of all groups of a table; returns 0, or what went wrong with one of them."""
    made = list[int]()
    for group in pointers(machine, groups):
        code = add_group(machine, kobject, group, kind)
        if code:
            for each in made:
                remove_group(machine, kobject, each)
            return code
        made.append(group)
    return 0


def remove_group(machine: Machine, kobject: int, group: int) -> None:
    """Remove a group's directory, or its files where it has none."""
    directory = kernel_directory(machine, kobject)
    name = group_name(machine, group)
    if name:
        remove_file(machine, directory, name)
    else:
        empty_group(machine, group, directory)


def empty_group(machine: Machine, group: int, directory: int) -> None:
    """Remove the files of a group from a directory."""
    for table in tables(machine, group):
        for each in pointers(machine, table):
            remove_file(machine, directory, _name_of(machine, each))
