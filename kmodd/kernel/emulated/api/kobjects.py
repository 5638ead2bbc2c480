# SPDX-License-Identifier: Apache-2.0
"""Objects with a name and a count of references (lib/kobject.c)."""

from kmodd.kernel.emulated.api.structures import KOBJECT
from kmodd.kernel.emulated.api.table import RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.cpu.machine import Machine


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
    set_name(machine, device, machine.format(template, 2))
    return 0


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
    forget_name(machine, kset + 24)
    if machine.ledger.give("kobject", kset) is not None:
        machine.heap.free(kset)


@function("void kobject_put(struct kobject *kobj)")
def kobject_put(machine: Machine, kobject: int) -> None:
    if not kobject or count_references(machine, kobject, -1) > 0:
        return
    kind = machine.memory.number(kobject + KOBJECT.type)
    forget_name(machine, kobject)
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
    """,
)
