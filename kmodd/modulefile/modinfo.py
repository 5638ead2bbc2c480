# SPDX-License-Identifier: Apache-2.0
"""The ``.modinfo`` section: ``key=value`` strings (include/linux/moduleparam.h).

Compilers end each with a NUL. Editors and scripts may not: the last one ends with the section, any
number of NULs stands between two, and whatever else is in a string belongs to it.
"""

from __future__ import annotations

from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from kmodd.modulefile.elf import Elf

MAX_MODINFO = 4 << 20
"""Bytes in the longest ``.modinfo`` (the longest of Debian's, option's, has 76,055)."""

_SHORTEST = 2


@record
class DeclaredParameter:
    """A parameter that a module declares.

    ``type`` is in the words of moduleparam.h (``int``, ``charp``, ``array of int``), empty where
    only a description is given; ``description`` is empty where the author gave none.
    """

    name: str
    type: str
    description: str


def read_strings(elf: Elf) -> tuple[str, ...]:
    """Return the strings of ``.modinfo`` in file order, () where there is none.

    A single byte is not taken for a string where nothing but NULs is before it and nothing after,
    as libkmod has it. Raises ModuleFileError where the section is too long.
    """
    return strings_in(elf.named_data(b".modinfo", limit=MAX_MODINFO))


def strings_in(data: bytes) -> tuple[str, ...]:
    """Return the strings in the bytes of a ``.modinfo``, as ``read_strings`` does."""
    data = data.lstrip(b"\0")
    if len(data) < _SHORTEST:
        return ()
    return tuple(filter(None, data.decode("utf-8", "surrogateescape").split("\0")))


def pairs_of(strings: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the key and the value of each string.

    One without ``=`` is a key with an empty value, as libkmod has it.
    """
    return tuple([(part[0], part[2]) for part in [each.partition("=") for each in strings]])


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


def common_vermagic(found: Iterable[str]) -> str:
    """Return the version magic that most of a tree's modules have; empty where none has one."""
    counts: dict[str, int] = {}
    for each in found:
        if each:
            counts[each] = counts.get(each, 0) + 1
    return max(counts, key=counts.__getitem__, default="")
