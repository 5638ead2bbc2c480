# SPDX-License-Identifier: Apache-2.0
"""Objects with a name and a count of references (lib/kobject.c)."""

from kmodd.kernel.emulated.abi.function_table import RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.abi.structures import DEVICE, KERNEL_SET, KOBJECT, OBJECT_TYPE
from kmodd.kernel.emulated.functions.sysfs import (
    add_directory,
    add_groups,
    kernel_directory,
    remove_directory,
)
from kmodd.kernel.emulated.functions.variadic import formatted
from kmodd.kernel.emulated.hardware.memory import BadAddress
from kmodd.kernel.emulated.machine.machine import Machine


def count_references(machine: Machine, kobject: int, change: int) -> int:
    """Change the count of references by ``change`` and return it."""
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
    machine.memory.put(kobject + KOBJECT.type, kind)
    machine.memory.put(kobject + KOBJECT.references, 1, 4)


@function("int kobject_add(struct kobject *kobj, struct kobject *parent, const char *fmt, ...)")
def kobject_add(machine: Machine, kobject: int, parent: int, template: int) -> int:
    set_name(machine, kobject, formatted(machine, template, 3))
    _show(machine, kobject, parent)
    return 0


def _show(machine: Machine, kobject: int, parent: int) -> None:
    """Make an object's directory, with the attributes that all of its type have."""
    memory = machine.memory
    kset = memory.number(kobject + KOBJECT.kset)
    if not parent and kset:
        parent = kset + KERNEL_SET.object
    name = memory.text(memory.number(kobject + KOBJECT.name), 255)
    add_directory(machine, kobject, kernel_directory(machine, parent), name)
    kind = memory.number(kobject + KOBJECT.type)
    if kind:
        add_groups(machine, kobject, memory.number(kind + OBJECT_TYPE.groups))


@function(
    "int kobject_init_and_add(struct kobject *kobj, const struct kobj_type *ktype, struct kobject"
    " *parent, const char *fmt, ...)"
)
def kobject_init_and_add(
    machine: Machine, kobject: int, kind: int, parent: int, template: int
) -> int:
    kobject_init(machine, kobject, kind)
    set_name(machine, kobject, formatted(machine, template, 4))
    _show(machine, kobject, parent)
    return 0


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
    """Return an object, or what has one ``at`` an offset."""
    made = machine.heap.allocate(at + KOBJECT.size + 8)
    text = machine.memory.text(name, 64)
    machine.memory.put(made + at + KOBJECT.references, 1, 4)
    machine.ledger.take("kobject", made, f"kobject '{text}'")
    add_directory(machine, made + at, kernel_directory(machine, parent), text)
    return made


@function("int kset_register(struct kset *k)")
def kset_register(machine: Machine, kset: int) -> int:
    machine.memory.put(kset + KERNEL_SET.object + KOBJECT.references, 1, 4)
    machine.ledger.take("kobject", kset, "a kset")
    if machine.memory.number(kset + KERNEL_SET.object + KOBJECT.name):
        parent = machine.memory.number(kset + KERNEL_SET.object + KOBJECT.parent)
        _show(machine, kset + KERNEL_SET.object, parent)
    return 0


@function("void kset_unregister(struct kset *k)")
def kset_unregister(machine: Machine, kset: int) -> None:
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


machine_code(
    RETURN_ZERO,
    """
    int kobject_uevent(struct kobject *kobj, enum kobject_action action)
    int kobject_uevent_env(struct kobject *kobj, enum kobject_action action, char *envp[])
    int kobject_rename(struct kobject *kobj, const char *new_name)
    """,
)
