# SPDX-License-Identifier: Apache-2.0
"""Module parameters in the module's memory (kernel/params.c)."""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import (
    PARAMETER,
    PARAMETER_ARRAY,
    PARAMETER_OPERATIONS,
    PARAMETER_STRING,
)
from kmodd.kernel.emulated.functions.numerals import parse_integer, read_boolean, read_integer
from kmodd.kernel.emulated.functions.printing import store_text
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.modules.param_table import SIGNED, SIZES, ModuleParameter, shown

_BOOLEANS = ("bool", "invbool", "bool_enable_only")
_PAGE = 4096
_TEXT_MAX = 1024


@dataclass(slots=True)
class ParameterTexts:
    """The ``copies`` of parameters' texts that are the kernel's own."""

    copies: set[int] = field(default_factory=set)


def size_of(kind: str) -> int:
    """Return the bytes of a variable of that kind; 0 for one that only code knows."""
    if kind in _BOOLEANS:
        return 1
    return 8 if kind in ("long", "ulong") else SIZES.get(kind, 0)


def set_in_memory(
    machine: Machine, table: int, parameter: ModuleParameter, value: str | None
) -> int:
    """Store ``value``, which was found to be good, in the variable of ``parameter``.

    ``table`` is where the module's ``struct kernel_param`` are. What only the module's own code can
    set, it is called for. Returns 0 or an errno.
    """
    record = table + PARAMETER.size * parameter.index
    memory = machine.memory
    place = memory.number(record + PARAMETER.place)
    if not parameter.kind:
        # What is above zero is no errno.
        return max(0, -_call_setter(machine, record, value))
    if parameter.is_array:
        return _set_array(machine, place, parameter.kind, value or "")
    if parameter.kind == "string":
        buffer = memory.number(place + PARAMETER_STRING.text)
        size = memory.number(place + PARAMETER_STRING.most, 4)
        store_text(machine, buffer, size, (value or "").encode("utf-8", "surrogateescape"))
        return 0
    return _set_one(machine, place, parameter.kind, value)


def _call_setter(machine: Machine, record: int, value: str | None) -> int:
    """Call the module's own ``set``; return what it returned."""
    operations = machine.memory.number(record + PARAMETER.operations)
    setter = machine.memory.number(operations + PARAMETER_OPERATIONS.set)
    if not setter:
        return -errno.EPERM
    text = 0
    if value is not None:
        data = value.encode("utf-8", "surrogateescape") + b"\0"
        text = machine.heap.allocate(len(data))
        machine.memory.write(text, data)
    try:
        return machine.call(setter, text, record)
    finally:
        machine.heap.free(text)


def _set_array(machine: Machine, array: int, kind: str, value: str) -> int:
    memory = machine.memory
    size = memory.number(array + PARAMETER_ARRAY.element_size, 4)
    elements = memory.number(array + PARAMETER_ARRAY.elements)
    counter = memory.number(array + PARAMETER_ARRAY.count)
    texts = value.split(",")
    for at, text in enumerate(texts):
        code = _set_one(machine, elements + at * size, kind, text)
        if code:
            return code
    if counter:
        memory.put(counter, len(texts), 4)
    return 0


def _set_one(machine: Machine, place: int, kind: str, value: str | None) -> int:
    """Store one value; returns 0 or an errno."""
    memory = machine.memory
    data = (value or "").encode("utf-8", "surrogateescape")
    if kind == "charp":
        text = machine.heap.allocate(len(data) + 1)
        memory.write(text, data + b"\0")
        memory.put(place, text)
        return 0
    if kind in _BOOLEANS or kind == "bint":
        on = (
            value is None or data[:1] in (b"y", b"Y", b"1", b"t", b"T") or data[:2].lower() == b"on"
        )
        memory.put(place, on != (kind == "invbool"), 4 if kind == "bint" else 1)
        return 0
    number, _ = parse_integer(data, 0)
    memory.put(place, number or 0, size_of(kind))
    return 0


def read_from_memory(machine: Machine, table: int, parameter: ModuleParameter) -> str | None:
    """Return what reading ``parameter`` gives now; None where that cannot be told."""
    record = table + PARAMETER.size * parameter.index
    memory = machine.memory
    place = memory.number(record + PARAMETER.place)
    if not parameter.kind:
        return _call_getter(machine, record)
    if parameter.is_array:
        counter = memory.number(place + PARAMETER_ARRAY.count)
        most = memory.number(place + PARAMETER_ARRAY.most, 4)
        count = min(memory.number(counter, 4) if counter else most, most, _PAGE)
        size = memory.number(place + PARAMETER_ARRAY.element_size, 4)
        elements = memory.number(place + PARAMETER_ARRAY.elements)
        each = [_shown(machine, elements + at * size, parameter.kind) for at in range(count)]
        return ",".join(each)
    if parameter.kind == "string":
        return memory.text(memory.number(place + PARAMETER_STRING.text), _PAGE)
    return _shown(machine, place, parameter.kind)


def _shown(machine: Machine, place: int, kind: str) -> str:
    if kind == "charp":
        pointer = machine.memory.number(place)
        return machine.memory.text(pointer, _PAGE) if pointer else "(null)"
    return shown(kind, machine.memory.number(place, size_of(kind), signed=kind in SIGNED))


def _call_getter(machine: Machine, record: int) -> str | None:
    getter = machine.memory.number(
        machine.memory.number(record + PARAMETER.operations) + PARAMETER_OPERATIONS.get
    )
    if not getter:
        return None
    buffer = machine.heap.allocate(_PAGE)
    try:
        count = machine.call(getter, buffer, record)
        return (
            machine.memory.text(buffer, min(count, _PAGE)).removesuffix("\n") if count > 0 else None
        )
    finally:
        machine.heap.free(buffer)


def _set_boolean(machine: Machine, text: int, place: int, kind: str) -> int:
    """Store a yes or a no; a parameter without a value is a yes."""
    value = read_boolean(machine.memory.string(text, 8)) if text else True
    if value is None:
        return -errno.EINVAL
    if kind == "bool_enable_only" and not value:
        return -errno.EROFS if machine.memory.number(place, 1) else 0
    machine.memory.put(place, value != (kind == "invbool"), 4 if kind == "bint" else 1)
    return 0


def _set_text(machine: Machine, text: int, place: int) -> int:
    """Store a copy, which the kernel frees when another takes its place."""
    data = machine.memory.string(text, _TEXT_MAX + 1)
    if len(data) > _TEXT_MAX:
        return -errno.ENOSPC
    copies = machine.state(ParameterTexts).copies
    copy, old = machine.heap.allocate(len(data) + 1), machine.memory.number(place)
    machine.memory.write(copy, data + b"\0")
    machine.memory.put(place, copy)
    copies.add(copy)
    if old in copies:
        copies.remove(old)
        machine.heap.free(old)
    return 0


def _operations(kind: str) -> None:
    @function(f"int param_set_{kind}(const char *val, const struct kernel_param *kp)")
    def param_set(machine: Machine, text: int, record: int) -> int:
        place = machine.memory.number(record + PARAMETER.place)
        if kind in (*_BOOLEANS, "bint"):
            return _set_boolean(machine, text, place, kind)
        if not text:
            return -errno.EINVAL
        if kind == "charp":
            return _set_text(machine, text, place)
        data, size = machine.memory.string(text, _PAGE), size_of(kind)
        number, code = read_integer(data, 0, size, signed=kind in SIGNED)
        if not code:
            machine.memory.put(place, number, size)
        return -code

    @function(f"int param_get_{kind}(char *buffer, const struct kernel_param *kp)")
    def param_get(machine: Machine, buffer: int, record: int) -> int:
        text = _shown(machine, machine.memory.number(record + PARAMETER.place), kind) + "\n"
        return store_text(machine, buffer, _PAGE, text.encode("utf-8", "surrogateescape"))


for _kind in (
    "byte",
    "short",
    "ushort",
    "int",
    "uint",
    "long",
    "ulong",
    "ullong",
    "hexint",
    "charp",
    "bool",
    "invbool",
    "bint",
    "bool_enable_only",
):
    _operations(_kind)


@function(
    "int param_set_uint_minmax(const char *val, const struct kernel_param *kp, unsigned int min,"
    " unsigned int max)"
)
def param_set_uint_minmax(machine: Machine, text: int, record: int, least: int, most: int) -> int:
    if not text:
        return -errno.EINVAL
    number, code = read_integer(machine.memory.string(text, _PAGE), 0, 4, signed=False)
    if code:
        return -code
    if not least <= number <= most:
        return -errno.EINVAL
    machine.memory.put(machine.memory.number(record + PARAMETER.place), number, 4)
    return 0


@function(
    "void kernel_param_lock(struct module *mod)", "void kernel_param_unlock(struct module *mod)"
)
def kernel_param_lock(_machine: Machine, _module: int) -> None:
    """Nobody else sets parameters meanwhile."""
