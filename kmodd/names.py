# SPDX-License-Identifier: Apache-2.0
"""The names of modules and aliases, as kmod and the kernel spell them.

A module is named by its file: ``snd-hda-intel.ko.xz`` is ``snd_hda_intel``. Dashes and
underscores are the same letter in a module name, and everywhere in an alias but inside the
brackets of a pattern (modprobe(8); libkmod's ``modname_normalize`` and ``alias_normalize``).
"""

from __future__ import annotations

from kmodd.errors import Reason, RequestError

ALIAS_MAX = 4096
"""Bytes in the longest name, alias or path that a request may carry (PATH_MAX)."""

MODULE_SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")
"""What depmod takes for a module file, plain or compressed."""


def module_name(name: str) -> str:
    """Return ``name`` as the kernel spells it: up to the first dot, dashes as underscores."""
    return name.partition(".")[0].replace("-", "_")


def module_name_of_path(path: str) -> str:
    """Return the module name that the file ``path`` stands for."""
    return module_name(path.rpartition("/")[2])


def is_plain_name(name: str) -> bool:
    """Tell whether ``name`` is a module's as most have it: ASCII letters, digits, underscores."""
    return name.isascii() and name.replace("_", "a").isalnum()


def symbol_key(symbol: str, prefix: str = "") -> str:
    """Return the name that depmod looks ``symbol`` up by, which a module imports.

    A function's begins with a dot in modules for the first ABI of 64-bit PowerPC, and any symbol's
    with ``prefix`` on some architectures (``depmod -P``); those who export it spell no dot.
    """
    return symbol.removeprefix(".").removeprefix(prefix)


def normalise_alias(alias: str) -> str:
    """Return ``alias`` with dashes as underscores, but for those inside brackets.

    Raises RequestError (INVALID_NAME) where a bracket has no partner, as libkmod does.
    """
    if "[" not in alias and "]" not in alias:
        return alias.replace("-", "_")
    parts: list[str] = []
    rest = alias
    while rest:
        before, bracket, rest = rest.partition("[")
        if "]" in before:
            raise _unmatched(alias)
        parts.append(before.replace("-", "_"))
        if bracket:
            inside, closing, rest = rest.partition("]")
            if not closing:
                raise _unmatched(alias)
            parts.append(f"[{inside}]")
    return "".join(parts)


def _unmatched(alias: str) -> RequestError:
    return RequestError(Reason.INVALID_NAME, f"unmatched bracket in {alias!r}", module=alias)


def check_query(name: str) -> str:
    """Return the name or alias of a request as it came, or raise RequestError (INVALID_NAME).

    A NUL would cut the name short inside the kernel; a slash cannot be in the name of a module
    or of an alias that a bus makes.
    """
    if not name:
        raise RequestError(Reason.INVALID_NAME, "a module name is empty")
    if len(name.encode("utf-8", "surrogateescape")) > ALIAS_MAX:
        raise RequestError(
            Reason.INVALID_NAME, f"a name of more than {ALIAS_MAX} bytes", module=name[:64]
        )
    if "\0" in name:
        raise RequestError(Reason.INVALID_NAME, f"a NUL byte in the name {name!r}", module=name)
    return name
