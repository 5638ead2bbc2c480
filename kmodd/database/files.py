# SPDX-License-Identifier: Apache-2.0
"""The files of a database as depmod writes them, byte for byte as kmod v34 (tools/depmod.c).

Each function takes what its files are made of and gives their bytes. A module's place in the
order of priority is its priority in the indexes, 0 being the highest.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from kmodd.database import text, trie
from kmodd.database.hashing import SYMBOL_BUCKETS, in_chain_order
from kmodd.database.model import Dependencies, Part
from kmodd.errors import RequestError
from kmodd.names import normalise_alias

FILE_NAMES = (
    "modules.dep",
    "modules.dep.bin",
    "modules.alias",
    "modules.alias.bin",
    "modules.softdep",
    "modules.weakdep",
    "modules.symbols",
    "modules.symbols.bin",
    "modules.builtin.bin",
    "modules.builtin.alias.bin",
    "modules.devname",
)
"""What depmod writes into a tree, in the order in which it does."""

_SPECIAL = re.compile(rb"[][\-\x80-\xff]")
"""What is not the same in an alias and in the key for it, or cannot be in a key."""


class _Index:
    """An index while its entries are gathered, and what could not be entered."""

    def __init__(self) -> None:
        self._entries: list[tuple[bytes, trie.Record]] = []
        self.problems: list[str] = []

    def enter(self, key: bytes, record: trie.Record) -> None:
        """Add ``key``, unless it is one that an index has no room for."""
        if key.isascii():
            self._entries.append((key, record))
        else:
            self.problems.append(f"ERROR: only 7-bit ASCII is supported in an index: {key!r}")

    def enter_alias(self, alias: str, raw: bytes, record: trie.Record) -> None:
        """Add ``alias``, whose bytes are ``raw``, in its normal form."""
        if not _SPECIAL.search(raw):
            self._entries.append((raw, record))
            return
        try:
            key = text.encode(normalise_alias(alias))
        except RequestError:
            self.problems.append(f"WARNING: Unmatched bracket in {alias}")
        else:
            self.enter(key, record)

    def bytes(self) -> bytes:
        """Return the finished index."""
        return trie.write_index(self._entries)


def dependency_files(names: Sequence[str], paths: Sequence[str], needs: Dependencies) -> Part:
    """Return modules.dep and its index: a line a module, ``PATH: PATH...``, users first."""
    encoded = dict(zip(names, map(text.encode, paths), strict=True))
    needed = _needed_paths(needs, [encoded[name] for name in needs.order])
    lines = []
    index = _Index()
    for place, (name, path) in enumerate(encoded.items()):
        line = b"%b:%b" % (path, needed[needs.closures[name]])
        lines.append(b"%b\n" % line)
        index.enter(text.encode(name), trie.record(place, line))
    made = {"modules.dep": b"".join(lines), "modules.dep.bin": index.bytes()}
    return Part(made, tuple(index.problems))


def _needed_paths(needs: Dependencies, paths: Sequence[bytes]) -> dict[int, bytes]:
    """Return the text of each closure: its paths, the last in the order first.

    Very often all that follows the first path is what that module itself needs, so the texts are
    built from each other, the leaves first.
    """
    texts: dict[int, bytes] = {0: b""}
    for closure in map(needs.closures.__getitem__, needs.order):
        parts = []
        rest = closure
        while rest not in texts:
            first = rest.bit_length() - 1
            parts.append(b" " + paths[first])
            rest ^= 1 << first
        parts.append(texts[rest])
        texts[closure] = b"".join(parts)
    return texts


def alias_files(names: Iterable[str], aliases: Iterable[Sequence[str]]) -> Part:
    """Return modules.alias, with the aliases as they are, and its index, with them normalised."""
    lines = [b"# Aliases extracted from modules themselves.\n"]
    index = _Index()
    for place, (module, given) in enumerate(zip(names, aliases, strict=True)):
        name = text.encode(module)
        record = trie.record(place, name)
        for alias in given:
            raw = text.encode(alias)
            lines.append(b"alias %b %b\n" % (raw, name))
            index.enter_alias(alias, raw, record)
    made = {"modules.alias": b"".join(lines), "modules.alias.bin": index.bytes()}
    return Part(made, tuple(index.problems))


def softdep_files(softdeps: text.Pairs, weakdeps: text.Pairs) -> Part:
    """Return modules.softdep and modules.weakdep: a line for each string of a module."""
    soft = ["# Soft dependencies extracted from modules themselves.\n"]
    weak = ["# Weak dependencies extracted from modules themselves.\n"]
    soft += (f"softdep {module} {needed}\n" for module, needed in softdeps)
    weak += (f"weakdep {module} {needed}\n" for module, needed in weakdeps)
    return Part(
        {
            "modules.softdep": text.encode("".join(soft)),
            "modules.weakdep": text.encode("".join(weak)),
        }
    )


def symbol_files(names: Iterable[str], owners: Mapping[str, int]) -> Part:
    """Return modules.symbols and its index: which module each exported symbol belongs to.

    ``owners`` gives each symbol's module by its place among ``names``.
    """
    lines = [b"# Aliases for symbols, used by symbol_request().\n"]
    index = _Index()
    modules = [text.encode(name) for name in names]
    records = [trie.record(place, name) for place, name in enumerate(modules)]
    places = {text.encode(symbol): place for symbol, place in owners.items()}
    for symbol in in_chain_order(places, SYMBOL_BUCKETS):
        place = places[symbol]
        key = b"symbol:" + symbol
        lines.append(b"alias %b %b\n" % (key, modules[place]))
        index.enter(key, records[place])
    made = {"modules.symbols": b"".join(lines), "modules.symbols.bin": index.bytes()}
    return Part(made, tuple(index.problems))


def builtin_files(builtin: bytes | None, modinfo: bytes | None) -> Part:
    """Return the indexes of what the kernel has built in, from the two files of its build.

    Without the file of the build (None) depmod leaves an empty one.
    """
    made = {"modules.builtin.bin": b"", "modules.builtin.alias.bin": b""}
    problems = []
    if builtin is not None:
        names, bad = text.read_builtin(builtin)
        problems += [f"ERROR: Invalid modules.builtin line: {line}" for line in bad]
        index = _Index()
        for name in names:
            index.enter(text.encode(name), trie.record(0, b""))
        made["modules.builtin.bin"] = index.bytes()
        problems += index.problems
    if modinfo is not None:
        index = _Index()
        for alias, module in text.builtin_aliases(modinfo):
            index.enter_alias(alias, text.encode(alias), trie.record(0, text.encode(module)))
        made["modules.builtin.alias.bin"] = index.bytes()
        problems += index.problems
    return Part(made, tuple(problems))


def device_file(names: Iterable[str], aliases: Iterable[Sequence[str]]) -> Part:
    """Return modules.devname: the device nodes whose opening loads a module."""
    lines = []
    problems = []
    for module, given in zip(names, aliases, strict=True):
        if "devname:" not in "\n".join(given):
            continue
        path, node = text.device_node(module, given)
        if node:
            lines.append(f"{module} {path} {node.kind}{node.major}:{node.minor}\n")
        elif path:
            problems.append(
                f"ERROR: Module '{module}' has devname ({path}) but lacks major and minor "
                "information. Ignoring."
            )
    if lines:
        lines.insert(0, "# Device nodes to trigger on-demand module loading.\n")
    return Part({"modules.devname": text.encode("".join(lines))}, tuple(problems))
