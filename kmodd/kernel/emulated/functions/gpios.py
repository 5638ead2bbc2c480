# SPDX-License-Identifier: Apache-2.0
"""Lines that a chip has for any purpose (drivers/gpio/gpiolib.c): a PC has none but what modules
bring along. Who has one asks the chip's own functions.
"""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.failing import KERNEL_ERRNOS
from kmodd.kernel.emulated.abi.function_table import RETURN, function, machine_code, reclaims
from kmodd.kernel.emulated.abi.structures import GPIO_CHIP
from kmodd.kernel.emulated.machine.machine import Machine

_CHIP, _LINE = "GPIO chip", "GPIO line"
_DYNAMIC_BASE, _LINES_MAX = 512, 4096
_NUMBERS_MAX = 1 << 20
_ACTIVE_LOW = 1
_SETS_DIRECTION, _IS_OUTPUT, _IS_HIGH = 1, 2, 4
"""How a line is asked for (enum gpiod_flags)."""

_LEGACY_INPUT, _LEGACY_HIGH = 1, 2
"""The same of gpio_request_one (GPIOF_DIR_IN, GPIOF_INIT_HIGH)."""

_DESCRIPTOR_SIZE = 64


@dataclass(slots=True)
class GpioLine:
    """A line of a chip, by its ``offset``; one that somebody has ``is_taken``."""

    chip: int
    offset: int
    is_taken: bool = False
    is_active_low: bool = False
    is_output: bool = False


@dataclass(slots=True)
class Gpios:
    """The chips with their data, and the lines by their descriptors."""

    chips: dict[int, int] = field(default_factory=dict)
    lines: dict[int, GpioLine] = field(default_factory=dict)


def _gpios(machine: Machine) -> Gpios:
    return machine.state(Gpios)


def _field(machine: Machine, chip: int, name: str, size: int = 8) -> int:
    at = chip + getattr(GPIO_CHIP, name)
    return machine.memory.number(at, size, signed=size == 4)


def _range(machine: Machine, chip: int) -> range:
    base = _field(machine, chip, "base", 4)
    return range(base, base + _field(machine, chip, "count", 2))


@function(
    "int gpiochip_add_data_with_key(struct gpio_chip *gc, void *data, struct lock_class_key"
    " *lock_key, struct lock_class_key *request_key)"
)
def gpiochip_add(machine: Machine, chip: int, data: int, *_keys: int) -> int:
    count, base = _field(machine, chip, "count", 2), _field(machine, chip, "base", 4)
    if not 0 < count <= _LINES_MAX:
        return -errno.EINVAL
    known = _gpios(machine).chips
    others = [_range(machine, each) for each in known]
    if base < 0:
        base = max((each.stop for each in others), default=0)
        base = max(base, _DYNAMIC_BASE)
    wanted = range(base, base + count)
    if chip in known or any(
        each.start < wanted.stop and wanted.start < each.stop for each in others
    ):
        return -errno.EBUSY
    machine.memory.put(chip + GPIO_CHIP.base, base, 4)
    known[chip] = data
    for offset in range(count):
        _gpios(machine).lines[machine.heap.allocate(_DESCRIPTOR_SIZE)] = GpioLine(chip, offset)
    machine.ledger.take(_CHIP, chip)
    return 0


@function("void gpiochip_remove(struct gpio_chip *gc)")
def gpiochip_remove(machine: Machine, chip: int) -> None:
    if machine.ledger.give(_CHIP, chip) is not None:
        forget_chip(machine, chip)


@reclaims(_CHIP)
def forget_chip(machine: Machine, chip: int) -> None:
    """Forget a chip with its lines."""
    gpios = _gpios(machine)
    gpios.chips.pop(chip, None)
    for descriptor in [at for at, each in gpios.lines.items() if each.chip == chip]:
        del gpios.lines[descriptor]
        machine.heap.free(descriptor)


@function("void *gpiochip_get_data(struct gpio_chip *gc)")
def gpiochip_get_data(machine: Machine, chip: int) -> int:
    return _gpios(machine).chips.get(chip, 0)


def _line(machine: Machine, descriptor: int) -> GpioLine | None:
    return _gpios(machine).lines.get(descriptor)


def _find(machine: Machine, chip: int, offset: int) -> int:
    lines = _gpios(machine).lines.items()
    return next((at for at, each in lines if (each.chip, each.offset) == (chip, offset)), 0)


def _take(machine: Machine, descriptor: int) -> int:
    """Take a line; returns 0 or an errno below zero."""
    line = _line(machine, descriptor)
    if line is None:
        return -errno.EINVAL
    if line.is_taken:
        return -errno.EBUSY
    asks = _field(machine, line.chip, "request")
    code = machine.call(asks, line.chip, line.offset) if asks else 0
    if not code:
        line.is_taken = True
        machine.ledger.take(_LINE, descriptor, f"{_LINE} {line.offset}")
    return code


def _release(machine: Machine, descriptor: int) -> None:
    line = _line(machine, descriptor)
    if line is None or machine.ledger.give(_LINE, descriptor) is None:
        return
    forget_line(machine, descriptor)
    frees = _field(machine, line.chip, "free")
    if frees:
        machine.invoke(frees, line.chip, line.offset)


@reclaims(_LINE)
def forget_line(machine: Machine, descriptor: int) -> None:
    """Let others have a line."""
    line = _line(machine, descriptor)
    if line is not None:
        line.is_taken = line.is_active_low = line.is_output = False


def _configure(machine: Machine, descriptor: int, how: int) -> int:
    if not how & _SETS_DIRECTION:
        return 0
    if how & _IS_OUTPUT:
        return gpiod_direction_output(machine, descriptor, int(bool(how & _IS_HIGH))) or 0
    return gpiod_direction_input(machine, descriptor) or 0


@function(
    "struct gpio_desc *gpiochip_request_own_desc(struct gpio_chip *gc, unsigned int hwnum, const"
    " char *label, enum gpio_lookup_flags lflags, enum gpiod_flags dflags)"
)
def request_own_desc(
    machine: Machine, chip: int, offset: int, _label: int, lookup: int, how: int
) -> int:
    descriptor = _find(machine, chip, offset)
    code = _take(machine, descriptor)
    if code:
        return code
    _gpios(machine).lines[descriptor].is_active_low = bool(lookup & _ACTIVE_LOW)
    code = _configure(machine, descriptor, how)
    if code:
        _release(machine, descriptor)
    return code or descriptor


@function(
    "void gpiochip_free_own_desc(struct gpio_desc *desc)", "void gpiod_put(struct gpio_desc *desc)"
)
def free_own_desc(machine: Machine, descriptor: int) -> None:
    _release(machine, descriptor)


@function("struct gpio_desc *gpio_to_desc(unsigned gpio)")
def gpio_to_desc(machine: Machine, number: int) -> int:
    for chip in _gpios(machine).chips:
        numbers = _range(machine, chip)
        if number in numbers:
            return _find(machine, chip, number - numbers.start)
    return 0


@function("int desc_to_gpio(const struct gpio_desc *desc)")
def desc_to_gpio(machine: Machine, descriptor: int) -> int:
    line = _line(machine, descriptor)
    return -1 if line is None else _range(machine, line.chip).start + line.offset


@function("int gpio_request(unsigned gpio, const char *label)")
def gpio_request(machine: Machine, number: int, _label: int) -> int:
    """A number that no chip has may be one's that is still to come."""
    descriptor = gpio_to_desc(machine, number) or 0
    if not descriptor and number < _NUMBERS_MAX:
        return -KERNEL_ERRNOS["EPROBE_DEFER"]
    return _take(machine, descriptor)


@function("int gpio_request_one(unsigned gpio, unsigned long flags, const char *label)")
def gpio_request_one(machine: Machine, number: int, flags: int, label: int) -> int:
    code = gpio_request(machine, number, label) or 0
    if code:
        return code
    descriptor = gpio_to_desc(machine, number) or 0
    if flags & _LEGACY_INPUT:
        code = gpiod_direction_input(machine, descriptor) or 0
    else:
        high = int(bool(flags & _LEGACY_HIGH))
        code = gpiod_direction_output_raw(machine, descriptor, high) or 0
    if code:
        _release(machine, descriptor)
    return code


@function("void gpio_free(unsigned gpio)")
def gpio_free(machine: Machine, number: int) -> None:
    _release(machine, gpio_to_desc(machine, number) or 0)


@function("int gpiod_direction_input(struct gpio_desc *desc)")
def gpiod_direction_input(machine: Machine, descriptor: int) -> int:
    line = _line(machine, descriptor)
    if line is None:
        return -errno.EINVAL
    turns = _field(machine, line.chip, "direction_input")
    code = machine.call(turns, line.chip, line.offset) if turns else 0
    line.is_output = line.is_output and bool(code)
    return code


@function("int gpiod_direction_output_raw(struct gpio_desc *desc, int value)")
def gpiod_direction_output_raw(machine: Machine, descriptor: int, value: int) -> int:
    line = _line(machine, descriptor)
    if line is None:
        return -errno.EINVAL
    turns = _field(machine, line.chip, "direction_output")
    if not turns and not _field(machine, line.chip, "set"):
        return -errno.EIO
    if turns:
        code = machine.call(turns, line.chip, line.offset, int(bool(value)))
        if code:
            return code
    else:
        _set(machine, line, bool(value))
    line.is_output = True
    return 0


@function("int gpiod_direction_output(struct gpio_desc *desc, int value)")
def gpiod_direction_output(machine: Machine, descriptor: int, value: int) -> int:
    line = _line(machine, descriptor)
    if line is None:
        return -errno.EINVAL
    level = bool(value) != line.is_active_low
    return gpiod_direction_output_raw(machine, descriptor, int(level)) or 0


@function("int gpiod_get_direction(struct gpio_desc *desc)")
def gpiod_get_direction(machine: Machine, descriptor: int) -> int:
    """Returns 0 for an output, 1 for an input."""
    line = _line(machine, descriptor)
    return -errno.EINVAL if line is None else int(not line.is_output)


def _set(machine: Machine, line: GpioLine, level: bool) -> None:
    sets = _field(machine, line.chip, "set")
    if sets:
        machine.invoke(sets, line.chip, line.offset, int(level))


@function(
    "void gpiod_set_value(struct gpio_desc *desc, int value)",
    "void gpiod_set_value_cansleep(struct gpio_desc *desc, int value)",
)
def gpiod_set_value(machine: Machine, descriptor: int, value: int) -> None:
    line = _line(machine, descriptor)
    if line is not None:
        _set(machine, line, bool(value) != line.is_active_low)


@function(
    "void gpiod_set_raw_value(struct gpio_desc *desc, int value)",
    "void gpiod_set_raw_value_cansleep(struct gpio_desc *desc, int value)",
)
def gpiod_set_raw_value(machine: Machine, descriptor: int, value: int) -> None:
    line = _line(machine, descriptor)
    if line is not None:
        _set(machine, line, bool(value))


@function(
    "int gpiod_get_raw_value(const struct gpio_desc *desc)",
    "int gpiod_get_raw_value_cansleep(const struct gpio_desc *desc)",
)
def gpiod_get_raw_value(machine: Machine, descriptor: int) -> int:
    line = _line(machine, descriptor)
    if line is None:
        return 0
    gets = _field(machine, line.chip, "get")
    value = machine.call(gets, line.chip, line.offset) if gets else -errno.EIO
    return value if value < 0 else int(bool(value))


@function(
    "int gpiod_get_value(const struct gpio_desc *desc)",
    "int gpiod_get_value_cansleep(const struct gpio_desc *desc)",
)
def gpiod_get_value(machine: Machine, descriptor: int) -> int:
    line = _line(machine, descriptor)
    value = gpiod_get_raw_value(machine, descriptor) or 0
    return value if line is None or value < 0 else int(bool(value) != line.is_active_low)


@function("int gpiod_is_active_low(const struct gpio_desc *desc)")
def gpiod_is_active_low(machine: Machine, descriptor: int) -> int:
    line = _line(machine, descriptor)
    return int(line is not None and line.is_active_low)


@function(
    "struct gpio_desc *gpiod_get(struct device *dev, const char *con_id, enum gpiod_flags flags)",
    "struct gpio_desc *devm_gpiod_get(struct device *dev, const char *con_id, enum gpiod_flags"
    " flags)",
)
def gpiod_get(_machine: Machine, *_arguments: int) -> int:
    """Nothing says which lines a device has."""
    return -errno.ENOENT


machine_code(
    RETURN,
    """
    void devm_gpiod_put(struct device *dev, struct gpio_desc *desc)
    """,
)
