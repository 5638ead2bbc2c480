# SPDX-License-Identifier: Apache-2.0
"""Module parameters as the kernel parses and sets them (kernel/params.c, lib/cmdline.c)."""

import errno
import re
from collections.abc import Callable, Iterator

from kmodd.kernel.emulated.modules.param_table import UNSAFE, ModuleParameter, ParameterTable, shown
from kmodd.kernel.emulated.reporting.log import Level
from kmodd.records import record

TEXT_MAX = 64 << 10
"""Characters of parameters for one module that are taken; no command line is as long."""

CHARP_MAX = 1024
"""Bytes of the longest value of a ``charp`` parameter (param_set_charp)."""


@record
class _Integer:
    low: int
    high: int


_INTEGERS = {
    "byte": _Integer(0, 0xFF),
    "short": _Integer(-0x8000, 0x7FFF),
    "ushort": _Integer(0, 0xFFFF),
    "int": _Integer(-0x80000000, 0x7FFFFFFF),
    "uint": _Integer(0, 0xFFFFFFFF),
    "hexint": _Integer(0, 0xFFFFFFFF),
    "ullong": _Integer(0, (1 << 64) - 1),
}
_LONGS = {
    32: {"long": _Integer(-(1 << 31), (1 << 31) - 1), "ulong": _Integer(0, (1 << 32) - 1)},
    64: {"long": _Integer(-(1 << 63), (1 << 63) - 1), "ulong": _Integer(0, (1 << 64) - 1)},
}
_BOOLEANS = frozenset({"bool", "invbool", "bint", "bool_enable_only"})
_NO_VALUE_NEEDED = frozenset({"bool", "bint", "bool_enable_only"})
_DIGITS = re.compile(r"[0-9a-fA-F]+")
_SPACES = re.compile(r"[ \t\n\v\f\r]*")
_WORD = re.compile(r'(?:[^ \t\n\v\f\r"]|"[^"]*(?:"|\Z))*')
_QUOTED = re.compile(r'[^"]*"?')

_OF_THE_LOADER = frozenset({"async_probe", "dyndbg"})
"""Parameters that every module has (unknown_module_param_cb)."""


@record
class Remark:
    """A line that the kernel logs about parameters; one with an errno fails the load.

    ``taints`` tells that what was set taints the kernel (TAINT_USER).
    """

    errno: int
    level: Level
    text: str
    taints: bool = False


def split_arguments(text: str) -> Iterator[tuple[str, str | None, int]]:
    """Yield (parameter, value, where the next one begins) for each, as next_arg() cuts them.

    The value is None where the argument has no equals sign. Double quotes keep spaces together
    and are dropped from around a value, or from around the whole argument.
    """
    at = _skip_spaces(text, 0)
    while at < len(text):
        quoted = text[at] == '"'
        at += quoted
        end = _end(_WORD, text, _end(_QUOTED, text, at) if quoted else at)
        argument = text[at:end]
        at = _skip_spaces(text, end)
        name, equals, value = argument.partition("=") if "=" in argument[1:] else (argument, "", "")
        if equals and value.startswith('"'):
            value = value[1:].removesuffix('"')
        elif quoted and equals:
            value = value.removesuffix('"')
        elif quoted:
            name = name.removesuffix('"')
        yield name, value if equals else None, at


def _skip_spaces(text: str, at: int) -> int:
    return _end(_SPACES, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where the pattern, which matches the empty text too, ends."""
    found = pattern.match(text, at)
    assert found is not None
    return found.end()


Store = Callable[[ModuleParameter, str | None], int]
"""Lets a module's code see the value that a parameter was given; returns 0 or an errno."""


def _store_nowhere(_parameter: ModuleParameter, _value: str | None) -> int:
    return 0


def set_parameters(
    module: str, table: ParameterTable, text: str, bits: int, store: Store = _store_nowhere
) -> list[Remark]:
    """Set the parameters of ``module`` from ``text`` and return what the kernel says to that.

    ``store`` is told of every value that is found to be good.

    Parsing goes on after a bad value, as the kernel's does; an unknown parameter is only remarked
    on. The errno that the load fails with is the last one.
    """
    remarks: list[Remark] = []
    text = text.partition("\0")[0]
    for name, value, following in split_arguments(text):
        if name == "--" and value is None:
            if not any(remark.errno for remark in remarks):
                line = f"{module}: parameters '{text[following:]}' after `--' ignored"
                remarks.append(Remark(0, Level.WARNING, line))
            break
        parameter = table.find(name)
        if parameter is None:
            if name not in _OF_THE_LOADER:
                line = f"{module}: unknown parameter '{name}' ignored"
                remarks.append(Remark(0, Level.WARNING, line))
            continue
        if parameter.flags & UNSAFE and (value is not None or _needs_no_value(parameter)):
            remarks.append(_danger(parameter))
        remarks += _set_one(module, parameter, name, value, bits, store)
    return remarks


def store_parameter(parameter: ModuleParameter, value: str, bits: int) -> tuple[int, list[Remark]]:
    """Set one parameter as writing to its file in sysfs does (param_attr_store).

    Returns 0 or the errno that the write fails with, and what the kernel says to it.
    """
    remarks: list[Remark] = []
    if parameter.flags & UNSAFE:
        remarks.append(_danger(parameter))
    complaints: list[str] = []
    code = _set(parameter, value, bits, complaints.append)
    remarks += [Remark(0, Level.ERR, f"{parameter.name}: {each}") for each in complaints]
    return code, remarks


def _danger(parameter: ModuleParameter) -> Remark:
    """What the kernel says, and does, when a dangerous parameter is set (param_check_unsafe)."""
    line = f"Setting dangerous option {parameter.name} - tainting kernel"
    return Remark(0, Level.NOTICE, line, taints=True)


def _set_one(
    module: str, parameter: ModuleParameter, name: str, value: str | None, bits: int, store: Store
) -> Iterator[Remark]:
    """Set one parameter; ``name`` is how it was called."""
    complaints: list[str] = []
    if value is None and not _needs_no_value(parameter):
        code = errno.EINVAL
    else:
        code = _set(parameter, value, bits, complaints.append) or store(parameter, value)
    for complaint in complaints:
        yield Remark(0, Level.ERR, f"{parameter.name}: {complaint}")
    if parameter.is_array and value is not None:
        # The kernel has cut the text at the first comma to read the element before it.
        value = value.partition(",")[0]
    if code == errno.ENOENT:
        what = f"Unknown parameter `{name}'"
    elif code == errno.ENOSPC:
        what = f"`{value or ''}' too large for parameter `{name}'"
    else:
        what = f"`{value or ''}' invalid for parameter `{name}'"
    if code:
        yield Remark(code, Level.ERR, f"{module}: {what}")


def _needs_no_value(parameter: ModuleParameter) -> bool:
    """Tell whether the parameter may stand alone (KERNEL_PARAM_OPS_FL_NOARG).

    Where only the module's code could tell, it is taken to be so.
    """
    if parameter.is_array:
        return False
    return parameter.kind in _NO_VALUE_NEEDED or (not parameter.kind and parameter.bare)


def _set(
    parameter: ModuleParameter, value: str | None, bits: int, complain: Callable[[str], None]
) -> int:
    """Return 0, or the errno that the setter of the parameter's type gives."""
    if parameter.is_array:
        return _set_array(parameter, value or "", bits, complain)
    if parameter.kind == "string":
        if _length(value or "") + 1 > (parameter.maximum or 0):
            complain(f"string doesn't fit in {(parameter.maximum or 1) - 1} chars.")
            return errno.ENOSPC
        parameter.value = value
        return 0
    code, text = _convert(parameter.kind, value, bits, complain)
    if (parameter.kind, parameter.value, text) == ("bool_enable_only", "Y", "N"):
        return errno.EROFS
    if not code:
        parameter.value = text
    return code


def _set_array(
    parameter: ModuleParameter, value: str, bits: int, complain: Callable[[str], None]
) -> int:
    """Set the elements one by one, up to a bad one (param_array)."""
    texts: list[str | None] = []
    code = 0
    for element in value.split(","):
        if len(texts) == parameter.maximum:
            complain(f"can only take {parameter.maximum} arguments")
            code = errno.EINVAL
            break
        code, text = _convert(parameter.kind, element, bits, complain)
        if code:
            break
        texts.append(text)
    if not parameter.counted and parameter.value is not None:
        texts += parameter.value.split(",")[len(texts) :]
    parameter.value = None if None in texts else ",".join(map(str, texts))
    return code


def _convert(
    kind: str, value: str | None, bits: int, complain: Callable[[str], None]
) -> tuple[int, str | None]:
    """Return an errno, or 0 and how the kernel shows the value; None where only code can tell."""
    if kind in _BOOLEANS:
        number = 1 if value is None else _boolean(value)
        return (errno.EINVAL, None) if number is None else (0, shown(_shown_as(kind), number))
    if kind == "charp":
        if _length(value or "") > CHARP_MAX:
            complain("string parameter too long")
            return errno.ENOSPC, None
        return 0, value
    integer = _INTEGERS.get(kind) or _LONGS[bits].get(kind)
    if integer is None:
        return 0, None
    code, number = _integer(value or "", integer)
    return code, None if code else shown(kind, number)


def _shown_as(kind: str) -> str:
    """The kind that what a person wrote is shown as: an inverted bool shows what was written."""
    return "bool" if kind == "invbool" else kind


def _boolean(value: str) -> int | None:
    """Return what kstrtobool() makes of the value: it looks at the first one or two letters."""
    if value[:1] in tuple("yY1tT") or value[:2].lower() == "on":
        return 1
    if value[:1] in tuple("nN0fF") or value[:2].lower() == "of":
        return 0
    return None


def _integer(value: str, integer: _Integer) -> tuple[int, int]:
    """Return an errno (EINVAL, ERANGE), or 0 and the number, as kstrtoint() and its kin do."""
    digits = value.removesuffix("\n")
    negative = digits.startswith("-") and integer.low < 0
    if negative or digits.startswith("+"):
        digits = digits[1:]
    if digits[:2].lower() == "0x" and digits[2:3]:
        digits, base = digits[2:], 16
    else:
        base = 8 if digits.startswith("0") else 10
    if not _DIGITS.fullmatch(digits):
        return errno.EINVAL, 0
    try:
        number = int(digits[:64], base)
    except ValueError:
        return errno.EINVAL, 0
    number = -number if negative else number
    return (0, number) if integer.low <= number <= integer.high else (errno.ERANGE, 0)


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
