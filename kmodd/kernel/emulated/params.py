# SPDX-License-Identifier: Apache-2.0
"""Module parameters as the kernel parses and checks them (kernel/params.c, lib/cmdline.c)."""

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

CHARP_MAX = 1024
"""Bytes of the longest value of a ``charp`` parameter (param_set_charp)."""


@dataclass(frozen=True, slots=True)
class _Integer:
    low: int
    high: int
    base: int = 0


_INTEGERS = {
    "byte": _Integer(0, 0xFF),
    "short": _Integer(-0x8000, 0x7FFF),
    "ushort": _Integer(0, 0xFFFF),
    "int": _Integer(-0x80000000, 0x7FFFFFFF),
    "uint": _Integer(0, 0xFFFFFFFF),
    "hexint": _Integer(0, 0xFFFFFFFF, 16),
    "ullong": _Integer(0, (1 << 64) - 1),
}
_LONGS = {
    32: {"long": _Integer(-(1 << 31), (1 << 31) - 1), "ulong": _Integer(0, (1 << 32) - 1)},
    64: {"long": _Integer(-(1 << 63), (1 << 63) - 1), "ulong": _Integer(0, (1 << 64) - 1)},
}
_BOOLEANS = frozenset({"bool", "invbool", "bint"})
_DIGITS = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Complaint:
    """A parameter that the kernel does not take: the errno and the line it logs."""

    errno: int
    text: str


def split_arguments(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Yield (parameter, value, rest of the text) for each argument, as next_arg() cuts them.

    The value is None where the argument has no equals sign. Double quotes keep spaces together
    and are dropped from around a value, or from around the whole argument.
    """
    text = text.lstrip()
    while text:
        quoted = text[0] == '"'
        if quoted:
            text = text[1:]
        end = _argument_end(text, quoted)
        argument, text = text[:end], text[end:].lstrip()
        name, equals, value = argument.partition("=") if "=" in argument[1:] else (argument, "", "")
        if equals and value.startswith('"'):
            value = value[1:].removesuffix('"')
        elif quoted and equals:
            value = value.removesuffix('"')
        elif quoted:
            name = name.removesuffix('"')
        yield name, value if equals else None, text


def _argument_end(text: str, in_quote: bool) -> int:
    for at, letter in enumerate(text):
        if letter.isspace() and not in_quote:
            return at
        if letter == '"':
            in_quote = not in_quote
    return len(text)


def check(module: str, types: Mapping[str, str], text: str, bits: int) -> list[Complaint]:
    """Return what the kernel has to say of the parameters ``text`` for ``module``.

    ``types`` maps the names of the module's parameters, with underscores, to their ``parmtype``
    (empty for a type that only the module knows). A complaint with errno 0 is but a warning: an
    unknown parameter does not fail a load. Parsing goes on after a bad value, as the kernel's does.
    """
    complaints: list[Complaint] = []
    for name, value, rest in split_arguments(text):
        if name == "--" and value is None:
            if rest:
                complaints.append(Complaint(0, f"{module}: parameters '{rest}' after `--' ignored"))
            break
        kind = types.get(name.replace("-", "_"))
        if kind is None:
            if name.replace("-", "_") not in ("async_probe", "dyndbg"):
                complaints.append(Complaint(0, f"{module}: unknown parameter '{name}' ignored"))
            continue
        code = _check_value(kind, value, bits)
        if code == errno.ENOSPC:
            what = f"`{value or ''}' too large for parameter `{name}'"
        else:
            what = f"`{value or ''}' invalid for parameter `{name}'"
        if code:
            complaints.append(Complaint(code, f"{module}: {what}"))
    return complaints


def _check_value(kind: str, value: str | None, bits: int) -> int:
    """Return 0, or the errno that the setter of the parameter's type gives."""
    if kind.startswith("array of "):
        if value is None:
            return errno.EINVAL
        codes = (_check_value(kind[len("array of ") :], one, bits) for one in value.split(","))
        return next((code for code in codes if code), 0)
    if kind in _BOOLEANS:
        return 0 if value is None or _is_boolean(value) else errno.EINVAL
    if value is None:
        return errno.EINVAL if kind else 0
    if kind == "charp":
        return errno.ENOSPC if len(value.encode("utf-8", "surrogateescape")) > CHARP_MAX else 0
    integer = _INTEGERS.get(kind) or _LONGS[bits].get(kind)
    return _check_integer(value, integer) if integer else 0


def _is_boolean(value: str) -> bool:
    """Tell whether kstrtobool() takes the value: it looks at the first one or two letters."""
    return value[:1] in tuple("yYtT1nNfF0") or value[:2].lower() in ("on", "of")


def _check_integer(value: str, integer: _Integer) -> int:
    """Return what kstrtoint() and its kin give for the value: 0, EINVAL or ERANGE."""
    digits = value.removesuffix("\n")
    negative = digits.startswith("-") and integer.low < 0
    if negative or digits.startswith("+"):
        digits = digits[1:]
    base = integer.base
    if base in (0, 16) and digits[:2].lower() == "0x" and digits[2:3]:
        digits, base = digits[2:], 16
    elif base == 0:
        base = 8 if digits.startswith("0") else 10
    if not _DIGITS.fullmatch(digits):
        return errno.EINVAL
    try:
        number = int(digits[:64], base)
    except ValueError:
        return errno.EINVAL
    number = -number if negative else number
    return 0 if integer.low <= number <= integer.high else errno.ERANGE
