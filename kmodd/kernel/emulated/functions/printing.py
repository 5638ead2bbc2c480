# SPDX-License-Identifier: Apache-2.0
"""printk and its kin (kernel/printk, lib/vsprintf.c, drivers/base/core.c)."""

import errno
from itertools import islice

from kmodd.kernel.emulated.abi.failing import KERNEL_ERRNOS
from kmodd.kernel.emulated.abi.function_table import RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.abi.printf import Arguments, format_text
from kmodd.kernel.emulated.abi.structures import BUS, CLASS, DEVICE, DRIVER, NET_DEVICE, RATE_LIMIT
from kmodd.kernel.emulated.functions.kobjects import device_name
from kmodd.kernel.emulated.functions.variadic import formatted, formatted_list, variadic_arguments
from kmodd.kernel.emulated.hardware.memory import PAGE, BadAddress
from kmodd.kernel.emulated.machine import crash
from kmodd.kernel.emulated.machine.clock import HZ
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

DEFAULT_LEVEL = Level.WARNING
"""The level of a line that does not begin with one (CONFIG_MESSAGE_LOGLEVEL_DEFAULT)."""

_HEADER = 1
"""``struct ratelimit_state``; the interval is in ticks."""

DUMP_MAX = 64 << 10
"""Bytes that are logged of one dump: a thousand lines at least."""

_PREFIX_ADDRESS, _PREFIX_OFFSET = 1, 2
_EPROBE_DEFER = KERNEL_ERRNOS["EPROBE_DEFER"]
_INT_MAX = (1 << 31) - 1


@function("int _printk|printk(const char *fmt, ...)")
def printk(machine: Machine, template: int) -> int:
    return _log(machine, formatted(machine, template, 1))


@function("int vprintk(const char *fmt, va_list args)")
def vprintk(machine: Machine, template: int, arguments: int) -> int:
    return _log(machine, formatted_list(machine, template, arguments))


@function("void panic(const char *fmt, ...)")
def panic(machine: Machine, template: int) -> None:
    """End the code that has called it: here it only takes its module with it."""
    text = formatted(machine, template, 1).decode("utf-8", "surrogateescape")
    _end(machine, f"Kernel panic - not syncing: {text}")


def _end(machine: Machine, why: str) -> None:
    raise crash.out_of_place(why, machine.faults.scene(machine.calls.caller))


@function("void fortify_panic(const char *name)")
def fortify_panic(machine: Machine, name: int) -> None:
    """End code that would write or read beyond an object (lib/string_helpers.c)."""
    _end(machine, f"detected buffer overflow in {machine.memory.text(name, 64)}")


@function("void __fortify_panic(const u8 reason, const size_t avail, const size_t size)")
def fortify_panic_with_sizes(machine: Machine, reason: int, room: int, size: int) -> None:
    how = "write" if reason & 1 else "read"
    _end(machine, f"detected buffer overflow: {size} byte {how} of buffer size {room}")


@function("void __warn_printk(const char *fmt, ...)")
def warn_printk(machine: Machine, template: int) -> None:
    machine.log.write(Level.WARNING, "------------[ cut here ]------------\n")
    _log(machine, formatted(machine, template, 1))


def _log(machine: Machine, data: bytes) -> int:
    """Log a text that may begin with a level, ASCII SOH and a digit, or 'c' for a continuation."""
    level, goes_on = DEFAULT_LEVEL, False
    while len(data) > 1 and data[0] == _HEADER:
        mark, data = data[1:2], data[2:]
        if mark.isdigit() and mark < b"8":
            level = Level(int(mark))
        goes_on |= mark == b"c"
    machine.log.write(level, data.decode("utf-8", "surrogateescape"), is_continuation=goes_on)
    return len(data.removesuffix(b"\n"))


def _about_device(level: Level) -> None:
    name = {
        Level.EMERG: "emerg",
        Level.ALERT: "alert",
        Level.CRIT: "crit",
        Level.ERR: "err",
        Level.WARNING: "warn",
        Level.NOTICE: "notice",
        Level.INFO: "info",
    }[level]

    @function(f"void _dev_{name}(const struct device *dev, const char *fmt, ...)")
    def about_device(machine: Machine, device: int, template: int) -> None:
        _log_device(machine, level, device, formatted(machine, template, 2))

    @function(f"void netdev_{name}(const struct net_device *dev, const char *format, ...)")
    def about_interface(machine: Machine, device: int, template: int) -> None:
        text = formatted(machine, template, 2).decode("utf-8", "surrogateescape")
        name = machine.memory.text(device + NET_DEVICE.name, 16) if device else "(NULL net_device)"
        machine.log.write(level, f"{name}: {text}")


for _level in Level:
    if _level is not Level.DEBUG:
        _about_device(_level)


@function(
    "void _dev_printk|dev_printk(const char *level, const struct device *dev, const char *fmt, ...)"
)
def dev_printk(machine: Machine, level: int, device: int, template: int) -> None:
    mark = machine.memory.string(level, 3)[1:2]
    severity = Level(int(mark)) if mark.isdigit() and mark < b"8" else DEFAULT_LEVEL
    _log_device(machine, severity, device, formatted(machine, template, 3))


@function("int dev_err_probe(const struct device *dev, int err, const char *fmt, ...)")
def dev_err_probe(machine: Machine, device: int, code: int, template: int) -> int:
    """A driver that is to be asked again later only says so when it is debugged."""
    if code != -_EPROBE_DEFER:
        name = errno.errorcode.get(-code)
        shown = f"-{name}" if name else str(code)
        text = formatted(machine, template, 3)
        _log_device(machine, Level.ERR, device, f"error {shown}: ".encode() + text)
    return code


def _log_device(machine: Machine, level: Level, device: int, text: bytes) -> None:
    """Log a text about a device: its driver's name and its own stand before it.

    Where no driver has it, the name of its bus or of its class stands for that.
    """
    shown = text.decode("utf-8", "surrogateescape")
    if not device:
        machine.log.write(level, f"(NULL device *): {shown}")
        return
    name = _driver_name(machine, device)
    machine.log.write(level, f"{name} {device_name(machine, device)}: {shown}")


def _driver_name(machine: Machine, device: int) -> str:
    memory = machine.memory
    for owner, name in (
        (DEVICE.driver, DRIVER.name),
        (DEVICE.bus, BUS.name),
        (DEVICE.device_class, CLASS.name),
    ):
        try:
            found = memory.number(device + owner)
            if found:
                return memory.text(memory.number(found + name), 64)
        except BadAddress:
            return ""
    return ""


@function("int snprintf(char *buf, size_t size, const char *fmt, ...)")
def snprintf(machine: Machine, buffer: int, size: int, template: int) -> int:
    return _print(machine, buffer, size, formatted(machine, template, 3))


@function("int scnprintf(char *buf, size_t size, const char *fmt, ...)")
def scnprintf(machine: Machine, buffer: int, size: int, template: int) -> int:
    return _print_stored(machine, buffer, size, formatted(machine, template, 3))


@function("int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)")
def vsnprintf(machine: Machine, buffer: int, size: int, template: int, arguments: int) -> int:
    return _print(machine, buffer, size, formatted_list(machine, template, arguments))


@function("int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)")
def vscnprintf(machine: Machine, buffer: int, size: int, template: int, arguments: int) -> int:
    return _print_stored(machine, buffer, size, formatted_list(machine, template, arguments))


@function("int sprintf(char *buf, const char *fmt, ...)")
def sprintf(machine: Machine, buffer: int, template: int) -> int:
    return _print(machine, buffer, _INT_MAX, formatted(machine, template, 2))


@function("int sysfs_emit(char *buf, const char *fmt, ...)")
def sysfs_emit(machine: Machine, buffer: int, template: int) -> int:
    return _emit(machine, buffer, 0, formatted(machine, template, 2))


@function("int sysfs_emit_at(char *buf, int at, const char *fmt, ...)")
def sysfs_emit_at(machine: Machine, buffer: int, at: int, template: int) -> int:
    return _emit(machine, buffer, at, formatted(machine, template, 3))


def _emit(machine: Machine, buffer: int, at: int, text: bytes) -> int:
    """Store ``text`` in a file's page."""
    if not buffer or buffer % PAGE or not 0 <= at < PAGE:
        machine.log.write(Level.WARNING, f"invalid sysfs_emit: buf:{buffer:#x} at:{at}\n")
        return 0
    return _print_stored(machine, buffer + at, PAGE - at, text)


def _print(machine: Machine, buffer: int, size: int, text: bytes) -> int:
    return store_text(machine, buffer, size, text) if size <= _INT_MAX else 0


def _print_stored(machine: Machine, buffer: int, size: int, text: bytes) -> int:
    """Return how long it is that was stored."""
    return min(_print(machine, buffer, size, text), max(size - 1, 0))


def store_text(machine: Machine, buffer: int, size: int, text: bytes) -> int:
    """Store ``text`` with its NUL in ``size`` bytes; return how long it would have been."""
    if size:
        machine.memory.write(buffer, text[: size - 1] + b"\0")
    return len(text)


machine_code(
    RETURN_ZERO,
    """
    void __dynamic_pr_debug(struct _ddebug *descriptor, const char *fmt, ...)
    void __dynamic_dev_dbg(struct _ddebug *descriptor, const struct device *dev, const char *fmt, ...)
    void __dynamic_netdev_dbg(struct _ddebug *descriptor, const struct net_device *dev, const char *fmt, ...)
    void __dynamic_ibdev_dbg(struct _ddebug *descriptor, const struct ib_device *ibdev, const char *fmt, ...)
    void dump_stack(void)
    void __drm_dev_dbg(struct _ddebug *desc, const struct device *dev, int category, const char *format, ...)
    void ___drm_dbg(struct _ddebug *desc, int category, const char *format, ...)
    void dump_page(struct page *page, const char *reason)
    """,
)


@function(
    "void print_hex_dump(const char *level, const char *prefix_str, int prefix_type, int rowsize,"
    " int groupsize, const void *buf, size_t len, bool ascii)"
)
def print_hex_dump(
    machine: Machine, level: int, prefix: int, kind: int, row: int, group: int, start: int
) -> None:
    """Log bytes in rows (lib/hexdump.c); what a dump has beyond ``DUMP_MAX`` is left out."""
    size, ascii_too = islice(variadic_arguments(machine, 6), 2)
    row = row if row in (16, 32) else 16
    group = group if group in (1, 2, 4, 8) else 1
    before = machine.memory.string(level) + machine.memory.string(prefix)
    data = machine.memory.read(start, min(size, DUMP_MAX))
    for at in range(0, len(data), row):
        place = {
            _PREFIX_ADDRESS: format_text(machine, b"%p: ", Arguments(iter((start + at,)))),
            _PREFIX_OFFSET: b"%.8x: " % at,
        }.get(kind, b"")
        shown = _dumped(data[at : at + row], row, group, with_text=bool(ascii_too & 0xFF))
        _log(machine, before + place + shown + b"\n")


def _dumped(data: bytes, row: int, group: int, *, with_text: bool) -> bytes:
    """Return a row: numbers of ``group`` bytes, and what they are as text."""
    group = 1 if len(data) % group else group
    numbers = b" ".join(
        data[at : at + group][::-1].hex().encode() for at in range(0, len(data), group)
    )
    if not with_text:
        return numbers
    text = bytes(each if 0x20 <= each < 0x7F else ord(".") for each in data)
    return numbers.ljust(2 * row + row // group + 1) + text


@function("int ___ratelimit(struct ratelimit_state *rs, const char *func)")
def ratelimit(machine: Machine, state: int, name: int) -> int:
    """Let so many through in an interval, and then say how many were not."""
    memory, now = machine.memory, machine.memory.number(machine.kernel_symbols.jiffies)
    interval, burst = (
        memory.number(state + at, 4, signed=True) for at in (RATE_LIMIT.interval, RATE_LIMIT.burst)
    )
    if not interval:
        return 1
    began, missed = (
        memory.number(state + RATE_LIMIT.began),
        memory.number(state + RATE_LIMIT.missed, 4),
    )
    if began and now > began + interval and missed:
        said = f"{memory.text(name, 64)}: {missed} callbacks suppressed\n"
        machine.log.write(Level.WARNING, said)
    if not began or now > began + interval:
        memory.put(state + RATE_LIMIT.began, now)
        memory.write(state + RATE_LIMIT.printed, bytes(8))
    is_let_through = memory.number(state + RATE_LIMIT.printed, 4) < burst
    counter = state + (RATE_LIMIT.printed if is_let_through else RATE_LIMIT.missed)
    memory.put(counter, memory.number(counter, 4) + 1, 4)
    return int(is_let_through)


@function("int __printk_ratelimit(const char *func)")
def printk_ratelimit(machine: Machine, name: int) -> int:
    """All who ask so share ten lines in five seconds."""
    state = machine.kernel_symbols.address("printk_ratelimit_state")
    machine.memory.put(state + RATE_LIMIT.interval, 5 * HZ, 4)
    machine.memory.put(state + RATE_LIMIT.burst, 10, 4)
    return ratelimit(machine, state, name) or 0
