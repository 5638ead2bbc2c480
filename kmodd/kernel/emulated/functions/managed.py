# SPDX-License-Identifier: Apache-2.0
"""What is given back when a device loses its driver (drivers/base/devres.c)."""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.abi.structures import RESOURCE
from kmodd.kernel.emulated.functions.bus import Managed, buses_of, release_managed
from kmodd.kernel.emulated.functions.interrupts import refusal
from kmodd.kernel.emulated.functions.memory import allocate, release
from kmodd.kernel.emulated.functions.variadic import formatted, variadic_arguments
from kmodd.kernel.emulated.machine.machine import Machine

_GROUP_SIZE = 64


@dataclass(slots=True)
class UnboundResources:
    """The ``actions`` of resources that are on no device yet, by the resource (devres_alloc)."""

    actions: dict[int, int] = field(default_factory=dict)


def _manage(machine: Machine, device: int, managed: Managed) -> None:
    buses_of(machine).managed.setdefault(device, []).append(managed)


@function(
    "struct resource *__devm_request_region(struct device *dev, struct resource *parent,"
    " resource_size_t start, resource_size_t n, const char *name)"
)
def devm_request_region(
    machine: Machine, device: int, _parent: int, start: int, size: int, name: int
) -> int:
    resource = devm_kmalloc(machine, device, RESOURCE.size, 0) or 0
    for offset, value in (
        (RESOURCE.start, start),
        (RESOURCE.end, start + size - 1),
        (RESOURCE.name, name),
    ):
        machine.memory.put(resource + offset, value)
    return resource


@function("void *devm_kmalloc(struct device *dev, size_t size, gfp_t gfp)")
def devm_kmalloc(machine: Machine, device: int, size: int, _flags: int) -> int:
    address = allocate(machine, size)
    _manage(machine, device, Managed(0, address))
    return address


@function("char *devm_kasprintf(struct device *dev, gfp_t gfp, const char *fmt, ...)")
def devm_kasprintf(machine: Machine, device: int, _flags: int, template: int) -> int:
    return _store(machine, device, formatted(machine, template, 3) + b"\0")


def _store(machine: Machine, device: int, data: bytes) -> int:
    """Return the address of a copy of data, 0 where there is no memory for it."""
    address = devm_kmalloc(machine, device, len(data), 0) or 0
    if address:
        machine.memory.write(address, data)
    return address


@function("char *devm_kstrdup(struct device *dev, const char *s, gfp_t gfp)")
def devm_kstrdup(machine: Machine, device: int, source: int, _flags: int) -> int:
    return _store(machine, device, machine.memory.string(source) + b"\0") if source else 0


@function("void *devm_kmemdup(struct device *dev, const void *src, size_t len, gfp_t gfp)")
def devm_kmemdup(machine: Machine, device: int, source: int, size: int, _flags: int) -> int:
    address = devm_kmalloc(machine, device, size, 0) or 0
    if address and size:
        machine.memory.write(address, machine.memory.read(source, size))
    return address


@function("void devm_kfree(struct device *dev, const void *p)")
def devm_kfree(machine: Machine, device: int, address: int) -> None:
    held = buses_of(machine).managed.get(device, [])
    for managed in held:
        if managed.data == address and not managed.action:
            held.remove(managed)
            release(machine, address)
            return


@function(
    "int devm_add_action(struct device *dev, void (*action)(void *), void *data)",
    "int __devm_add_action(struct device *dev, void (*action)(void *), void *data, const char"
    " *name)",
)
def devm_add_action(machine: Machine, device: int, action: int, data: int, *_name: int) -> int:
    _manage(machine, device, Managed(action, data))
    return 0


@function(
    "void *__devres_alloc_node(dr_release_t release, size_t size, gfp_t gfp, int nid, const char *name)"
)
def devres_alloc(machine: Machine, action: int, size: int, *_rest: int) -> int:
    made = allocate(machine, size)
    machine.state(UnboundResources).actions[made] = action
    return made


@function("void devres_add(struct device *dev, void *res)")
def devres_add(machine: Machine, device: int, resource: int) -> None:
    action = machine.state(UnboundResources).actions.pop(resource, 0)
    _manage(machine, device, Managed(action, resource, is_resource=True))


def _find_resource(
    machine: Machine, device: int, action: int, match: int, data: int
) -> Managed | None:
    """Return the youngest resource with that action that ``match`` is content with."""
    for managed in reversed(tuple(buses_of(machine).managed.get(device, ()))):
        if not managed.is_resource or managed.action != action:
            continue
        if not match or machine.invoke(match, device, managed.data, data) & 0xFFFFFFFF:
            return managed
    return None


def _take_resource(
    machine: Machine, device: int, action: int, match: int, data: int
) -> Managed | None:
    found = _find_resource(machine, device, action, match, data)
    if found is not None:
        buses_of(machine).managed[device].remove(found)
    return found


@function(
    "void *devres_find(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)"
)
def devres_find(machine: Machine, device: int, action: int, match: int, data: int) -> int:
    found = _find_resource(machine, device, action, match, data)
    return found.data if found else 0


@function(
    "void *devres_remove(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)"
)
def devres_remove(machine: Machine, device: int, action: int, match: int, data: int) -> int:
    found = _take_resource(machine, device, action, match, data)
    return found.data if found else 0


@function(
    "int devres_destroy(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)"
)
def devres_destroy(machine: Machine, device: int, action: int, match: int, data: int) -> int:
    """Its action is not called."""
    found = _take_resource(machine, device, action, match, data)
    if found is None:
        return -errno.ENOENT
    release(machine, found.data)
    return 0


@function(
    "int devres_release(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)"
)
def devres_release(machine: Machine, device: int, action: int, match: int, data: int) -> int:
    found = _take_resource(machine, device, action, match, data)
    if found is None:
        return -errno.ENOENT
    release_managed(machine, device, [found])
    return 0


@function("void devres_free(void *res)")
def devres_free(machine: Machine, resource: int) -> None:
    machine.state(UnboundResources).actions.pop(resource, None)
    release(machine, resource)


@function("void *devres_open_group(struct device *dev, void *id, gfp_t gfp)")
def devres_open_group(machine: Machine, device: int, group: int, _flags: int) -> int:
    """A group that the caller does not name is called by the address of what stands for it."""
    data = 0 if group else allocate(machine, _GROUP_SIZE)
    group = group or data
    _manage(machine, device, Managed(0, data, group=group))
    return group


def _find_group(held: list[Managed], group: int) -> int | None:
    """Return where a group begins, or where 0 is given the last one that has no end."""
    ended = {each.group for each in held if each.is_end}
    for at in reversed(range(len(held))):
        of = held[at].group
        if of and not held[at].is_end and (of == group if group else of not in ended):
            return at
    return None


def _find_end(held: list[Managed], start: int) -> int:
    """Return what comes behind a group that begins at ``start``."""
    places = range(start, len(held))
    group = held[start].group
    return next((at + 1 for at in places if held[at].is_end and held[at].group == group), len(held))


@function("void devres_close_group(struct device *dev, void *id)")
def devres_close_group(machine: Machine, device: int, group: int) -> None:
    held = buses_of(machine).managed.get(device, [])
    start = _find_group(held, group)
    if start is not None:
        held.append(Managed(0, 0, group=held[start].group, is_end=True))


@function("void devres_remove_group(struct device *dev, void *id)")
def devres_remove_group(machine: Machine, device: int, group: int) -> None:
    """What is in the group stays the device's."""
    held = buses_of(machine).managed.get(device, [])
    start = _find_group(held, group)
    if start is not None:
        marks = [each for each in held if each.group == held[start].group]
        for each in marks:
            held.remove(each)
        release_managed(machine, device, marks)


@function("int devres_release_group(struct device *dev, void *id)")
def devres_release_group(machine: Machine, device: int, group: int) -> int:
    """Returns how many things were in the group."""
    held = buses_of(machine).managed.get(device, [])
    start = _find_group(held, group)
    if start is None:
        return 0
    end = _find_end(held, start)
    gone = held[start:end]
    del held[start:end]
    release_managed(machine, device, gone)
    return sum(not each.group for each in gone)


@function(
    "int devm_request_threaded_irq(struct device *dev, unsigned int irq, irq_handler_t handler,"
    " irq_handler_t thread_fn, unsigned long irqflags, const char *devname, void *dev_id)"
)
def devm_request_threaded_irq(
    machine: Machine, _device: int, number: int, handler: int, thread: int, flags: int, _name: int
) -> int:
    return refusal(number, handler, thread, flags, next(variadic_arguments(machine, 6)))


machine_code(
    RETURN_ZERO,
    """
    int devm_watchdog_register_device(struct device *dev, struct watchdog_device *wdd)
    int devm_led_classdev_register_ext(struct device *parent, struct led_classdev *led_cdev, struct led_init_data *init_data)
    """,
)
