# SPDX-License-Identifier: Apache-2.0
"""Objects with a name and a count of references (lib/kobject.c)."""

import errno

from kmodd.kernel.emulated.abi.function_table import RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.abi.structures import DEVICE, KERNEL_SET, KOBJECT, OBJECT_TYPE
from kmodd.kernel.emulated.functions.sysfs import (
    add_directory,
    add_groups,
    kernel_directory,
    remove_directory,
    rename_directory,
)
from kmodd.kernel.emulated.functions.variadic import formatted
from kmodd.kernel.emulated.hardware.memory import BadAddress
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

_INITIALIZED = 1
"""The flag of an object that has been initialized."""


def count_references(machine: Machine, kobject: int, change: int) -> int:
    """Change the count of references by ``change`` and return it."""
    at = kobject + KOBJECT.references
    count = machine.memory.number(at, 4) + change
    machine.memory.put(at, count, 4)
    return count


def set_name(machine: Machine, kobject: int, name: bytes) -> None:
    """Give an object its name, in memory of its own; a slash would be one in a path."""
    name = name.replace(b"/", b"!")
    old = machine.memory.number(kobject + KOBJECT.name)
    if old and machine.ledger.give("name", old) is not None:
        machine.heap.free(old)
    text = machine.heap.allocate(len(name) + 1)
    machine.memory.write(text, name + b"\0")
    machine.ledger.take("name", text, f"the name of '{name.decode('utf-8', 'replace')}'")
    machine.memory.put(kobject + KOBJECT.name, text)


def device_name(machine: Machine, device: int) -> str:
    """Return a device's name (dev_name)."""
    memory = machine.memory
    for offset in (DEVICE.init_name, KOBJECT.name):
        try:
            pointer = memory.number(device + offset)
            if pointer:
                return memory.text(pointer, 64)
        except BadAddress:
            return "(bad device)"
    return "(null)"


def forget_name(machine: Machine, kobject: int) -> None:
    """Give back the memory of an object's name."""
    name = machine.memory.number(kobject + KOBJECT.name)
    if name and machine.ledger.give("name", name) is not None:
        machine.heap.free(name)


@function(
    "int dev_set_name(struct device *dev, const char *name, ...)",
    "int kobject_set_name(struct kobject *kobj, const char *fmt, ...)",
)
def dev_set_name(machine: Machine, device: int, template: int) -> int:
    set_name(machine, device, formatted(machine, template, 2))
    return 0


@function("void kobject_init(struct kobject *kobj, const struct kobj_type *ktype)")
def kobject_init(machine: Machine, kobject: int, kind: int) -> None:
    if not kobject or not kind:
        machine.log.write(Level.ERR, f"kobject ({kobject:#x}): it has no address, or no ktype\n")
        return
    start(machine, kobject)
    machine.memory.put(kobject + KOBJECT.type, kind)


def start(machine: Machine, kobject: int) -> None:
    """Make an object one that has been initialized, with one reference."""
    flags = machine.memory.number(kobject + KOBJECT.flags, 4)
    machine.memory.put(kobject + KOBJECT.references, 1, 4)
    machine.memory.put(kobject + KOBJECT.flags, flags | _INITIALIZED, 4)


@function("int kobject_add(struct kobject *kobj, struct kobject *parent, const char *fmt, ...)")
def kobject_add(machine: Machine, kobject: int, parent: int, template: int) -> int:
    if not kobject:
        return -errno.EINVAL
    return _add(machine, kobject, parent, formatted(machine, template, 3))


def _add(machine: Machine, kobject: int, parent: int, name: bytes) -> int:
    """Name an object and make its directory; returns 0 or an errno below zero."""
    if not machine.memory.number(kobject + KOBJECT.flags, 4) & _INITIALIZED:
        machine.log.write(
            Level.ERR, f"kobject ({kobject:#x}): it is added but was not initialized\n"
        )
        return -errno.EINVAL
    set_name(machine, kobject, name)
    return _show(machine, kobject, parent)


def _show(machine: Machine, kobject: int, parent: int) -> int:
    """Make an object's directory, with the attributes that all of its type have.

    Returns what ``add_directory`` does.
    """
    memory = machine.memory
    kset = memory.number(kobject + KOBJECT.kset)
    if not parent and kset:
        parent = kset + KERNEL_SET.object
    name = memory.number(kobject + KOBJECT.name)
    text = memory.text(name, 255) if name else ""
    code = add_directory(machine, kobject, kernel_directory(machine, parent), text)
    if code:
        return code
    memory.put(kobject + KOBJECT.parent, parent)
    kind = memory.number(kobject + KOBJECT.type)
    if kind:
        add_groups(machine, kobject, memory.number(kind + OBJECT_TYPE.groups))
    return 0


@function(
    "int kobject_init_and_add(struct kobject *kobj, const struct kobj_type *ktype, struct kobject"
    " *parent, const char *fmt, ...)"
)
def kobject_init_and_add(
    machine: Machine, kobject: int, kind: int, parent: int, template: int
) -> int:
    kobject_init(machine, kobject, kind)
    return _add(machine, kobject, parent, formatted(machine, template, 4))


@function("struct kobject *kobject_create_and_add(const char *name, struct kobject *parent)")
def kobject_create_and_add(machine: Machine, name: int, parent: int) -> int:
    return _make_kobject(machine, name, parent, 0)


@function(
    "struct kset *kset_create_and_add(const char *name, const struct kset_uevent_ops *u, struct"
    " kobject *parent_kobj)"
)
def kset_create_and_add(machine: Machine, name: int, _operations: int, parent: int) -> int:
    return _make_kobject(machine, name, parent, KERNEL_SET.object)


def _make_kobject(machine: Machine, name: int, parent: int, at: int) -> int:
    """Return an object, or what has one ``at`` an offset; 0 where there is one of that name."""
    made = machine.heap.allocate(at + KOBJECT.size + 8)
    start(machine, made + at)
    if _add(machine, made + at, parent, machine.memory.string(name, 255)):
        forget_name(machine, made + at)
        machine.heap.free(made)
        return 0
    machine.ledger.take("kobject", made, f"kobject '{machine.memory.text(name, 64)}'")
    return made


@function("int kset_register(struct kset *k)")
def kset_register(machine: Machine, kset: int) -> int:
    if not kset:
        return -errno.EINVAL
    kobject = kset + KERNEL_SET.object
    start(machine, kobject)
    code = _show(machine, kobject, machine.memory.number(kobject + KOBJECT.parent))
    if not code:
        machine.ledger.take("kobject", kset, "a kset")
    return code


@function("void kset_unregister(struct kset *k)")
def kset_unregister(machine: Machine, kset: int) -> None:
    if not kset:
        return
    forget_name(machine, kset + KERNEL_SET.object)
    remove_directory(machine, kset + KERNEL_SET.object)
    if machine.ledger.give("kobject", kset) is not None:
        machine.heap.free(kset)


@function("void kobject_put(struct kobject *kobj)")
def kobject_put(machine: Machine, kobject: int) -> None:
    if not kobject or count_references(machine, kobject, -1) > 0:
        return
    kind = machine.memory.number(kobject + KOBJECT.type)
    remove_directory(machine, kobject)
    forget_name(machine, kobject)
    release = machine.memory.number(kind + OBJECT_TYPE.release) if kind else 0
    if machine.ledger.give("kobject", kobject) is not None:
        machine.heap.free(kobject)
    elif release:
        machine.invoke(release, kobject)


@function("void kobject_del(struct kobject *kobj)")
def kobject_del(machine: Machine, kobject: int) -> None:
    if kobject:
        remove_directory(machine, kobject)


@function("int kobject_rename(struct kobject *kobj, const char *new_name)")
def kobject_rename(machine: Machine, kobject: int, name: int) -> int:
    """An object at the top of /sys keeps its name, and what is not shown has none there."""
    if not kobject or not machine.memory.number(kobject + KOBJECT.parent):
        return -errno.EINVAL
    if kobject in machine.mounts.sysfs:
        code = rename_directory(machine, kobject, machine.memory.text(name, 255))
        if code:
            return code
    set_name(machine, kobject, machine.memory.string(name, 255))
    return 0


machine_code(
    RETURN_ZERO,
    """
    int kobject_uevent(struct kobject *kobj, enum kobject_action action)
    int kobject_uevent_env(struct kobject *kobj, enum kobject_action action, char *envp[])
    """,
)
