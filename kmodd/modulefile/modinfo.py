# SPDX-License-Identifier: Apache-2.0
"""The ``.modinfo`` section: NUL-terminated ``key=value`` strings (include/linux/moduleparam.h)."""

from dataclasses import dataclass

from kmodd.modulefile.elf import Elf

MAX_MODINFO = 4 << 20
"""Bytes in the longest ``.modinfo`` (the longest of Debian's, option's, has 76,055)."""


@dataclass(frozen=True, slots=True)
class DeclaredParameter:
    """A parameter that a module declares.

    ``type`` is in the words of moduleparam.h (``int``, ``charp``, ``array of int``), empty where
    only a description is given; ``description`` is empty where the author gave none.
    """

    name: str
    type: str
    description: str


def read_modinfo(elf: Elf) -> tuple[tuple[str, str], ...]:
    """Return the keys and values of ``.modinfo`` in file order, () where there is none.

    A string without ``=`` is a key with an empty value, as libkmod has it. Raises
    ModuleFileError where the section is too long or its last string does not end.
    """
    data = elf.named_data(b".modinfo", limit=MAX_MODINFO)
    if data and data[-1]:
        raise elf.error(".modinfo does not end in a NUL byte")
    strings = data.decode("utf-8", "surrogateescape").split("\0")
    return tuple([(part[0], part[2]) for part in [s.partition("=") for s in strings if s]])


def parameters_of(modinfo: tuple[tuple[str, str], ...]) -> tuple[DeclaredParameter, ...]:
    """Return the parameters that ``parm`` and ``parmtype`` declare, in order of first mention.

    Both values read ``name:text``; one without a colon names no parameter and is left out, as
    modinfo(8) does.
    """
    found: dict[str, dict[str, str]] = {}
    for key, value in modinfo:
        if key not in ("parm", "parmtype"):
            continue
        name, colon, text = value.partition(":")
        if colon:
            found.setdefault(name, {}).setdefault(key, text)
    return tuple(
        DeclaredParameter(name, texts.get("parmtype", ""), texts.get("parm", ""))
        for name, texts in found.items()
    )
