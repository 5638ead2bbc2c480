# SPDX-License-Identifier: Apache-2.0
"""The text files of a module tree: what the kernel's build leaves there, and what depmod writes.

The formats are those of modules.dep(5) and of kmod's tools/depmod.c. A line ends at its newline,
and text is UTF-8 with whatever is not kept as surrogates. What a reader cannot make sense of it
leaves out; nothing here raises.
"""

from __future__ import annotations

from kmodd.names import module_name_of_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Pairs = tuple[tuple[str, str], ...]
"""(what is asked for, what answers) or (module, text), in the order of the file."""


def decode(data: bytes) -> str:
    """Return the text of ``data``; ``encode`` gives the same bytes back."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Return the bytes of ``text``."""
    return text.encode("utf-8", "surrogateescape")


def read_order(data: bytes) -> tuple[str, ...]:
    """Return the lines of modules.order; none where the last one has no newline.

    A file that breaks off says nothing reliable, so depmod goes without it.
    """
    return tuple(decode(data).split("\n")[:-1]) if data.endswith(b"\n") else ()


def read_builtin(data: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names in modules.builtin, line by line, and the lines that are no paths."""
    names = []
    bad = []
    for line in decode(data).removesuffix("\n").split("\n") if data else ():
        if line[:1].isascii() and line[:1].isalpha():
            names.append(module_name_of_path(line))
        else:
            bad.append(line)
    return tuple(names), tuple(bad)


def read_builtin_modinfo(data: bytes) -> tuple[tuple[str, str, str], ...]:
    """Return (module, key, value) of each string of modules.builtin.modinfo.

    One without ``=`` is a key with an empty value, as in a module's own. A last string without its
    NUL is cut short, and does not count.
    """
    strings = []
    for string in decode(data).split("\0")[:-1]:
        module, dot, rest = string.partition(".")
        key, _, value = rest.partition("=")
        if module and dot:
            strings.append((module, key, value))
    return tuple(strings)


def builtin_aliases(data: bytes) -> Pairs:
    """Return (alias, module) of modules.builtin.modinfo, the modules by their first string."""
    aliases: dict[str, list[str]] = {}
    for module, key, value in read_builtin_modinfo(data):
        known = aliases.setdefault(module, [])
        if key == "alias" and value:
            known.append(value)
    return tuple((alias, module) for module, known in aliases.items() for alias in known)


def read_dependencies(data: bytes) -> dict[str, tuple[str, ...]]:
    """Return what modules.dep says: for each path the paths that it needs, as written."""
    needs = {}
    for line in lines(data):
        path, colon, rest = line.partition(":")
        if colon:
            needs[path] = tuple(rest.split())
    return needs


def read_aliases(data: bytes) -> Pairs:
    """Return (alias, module) of the lines of modules.alias or modules.symbols."""
    pairs = []
    for line in lines(data):
        keyword, _, rest = line.partition(" ")
        alias, space, module = rest.rpartition(" ")
        if keyword == "alias" and space:
            pairs.append((alias, module))
    return tuple(pairs)


def read_softdeps(data: bytes, keyword: str = "softdep") -> Pairs:
    """Return (module, text) of the lines of modules.softdep, or with ``weakdep`` of its sister."""
    pairs = []
    for line in lines(data):
        first, _, rest = line.partition(" ")
        module, space, text = rest.partition(" ")
        if first == keyword and space:
            pairs.append((module, text))
    return tuple(pairs)


def lines(data: bytes) -> Iterator[str]:
    """Yield the lines of a file of depmod's that are no comments."""
    return (line for line in decode(data).split("\n") if line and not line.startswith("#"))
