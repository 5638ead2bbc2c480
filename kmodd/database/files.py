# SPDX-License-Identifier: Apache-2.0
"""The files of a database as depmod writes them, byte for byte as kmod v34 (tools/depmod.c).

Each function takes what its files are made of and gives their bytes. A module's place in the
order of priority is its priority in the indexes, 0 being the highest.
"""

from __future__ import annotations

import re

from kmodd.database import text
from kmodd.database.closures import count, highest_first, parted
from kmodd.database.device_nodes import device_node
from kmodd.database.index_keys import IndexKeys
from kmodd.database.large_files import LargeFiles
from kmodd.database.name_index import NameIndex, write_name_index
from kmodd.database.parts import Part
from kmodd.database.trie import OFFSET_MASK
from kmodd.database.trie_writer import record as values_of
from kmodd.database.trie_writer import write_index
from kmodd.errors import Reason, TreeError
from kmodd.records import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kmodd.database.closures import Closure
    from kmodd.database.database import Dependencies

_SPECIAL = re.compile(rb"[][\-\x80-\xff]")
"""What is not the same in an alias and in the key for it, or cannot be in a key."""


@record(kw_only=True)
class NamePart:
    """Files with an index, and what the next one like it may take over."""

    files: Mapping[str, bytes]
    problems: Mapping[str, tuple[str, ...]]
    index: NameIndex


def dependency_files(
    names: Sequence[str],
    paths: Sequence[str],
    needs: Dependencies,
    previous: NamePart | None = None,
    *,
    lasting: bool = True,
) -> NamePart:
    """Return modules.dep and its index: a line a module, ``PATH: PATH...``, users first.

    What is not ``lasting`` is of no use as the ``previous`` one of the next, here and below. What
    is too large for its index to be kept is neither, and can be let go.
    Raises TreeError (LIMIT_REACHED) where they would be larger than an index can be.
    """
    _check_size(paths, needs)
    made = _dependency_files(names, paths, needs, previous, lasting=lasting)
    if made.index.keys or not (names and lasting):
        return made

    def again() -> Mapping[str, bytes]:
        return _dependency_files(names, paths, needs).files

    return replace(made, files=LargeFiles(made.files, again), index=NameIndex(b""))


def _dependency_files(
    names: Sequence[str],
    paths: Sequence[str],
    needs: Dependencies,
    previous: NamePart | None = None,
    *,
    lasting: bool = False,
) -> NamePart:
    """Return the same, whatever its size."""
    encoded = dict(zip(names, map(text.encode, paths), strict=True))
    needed = _needed_paths(needs, [encoded[name] for name in needs.order])
    uses: dict[Closure, int] = {}
    for closure in needs.closures.values():
        uses[closure] = uses.get(closure, 0) + 1
    lines = []
    keys = IndexKeys()
    owners = {}
    for name, path in encoded.items():
        closure = needs.closures[name]
        uses[closure] -= 1
        # A text goes with its last use, since all of them take as much as the lines do.
        line = b"%b:%b" % (path, needed[closure] if uses[closure] else needed.pop(closure))
        lines.append(line)
        key = text.encode(name)
        if keys.holds(key):
            owners[key] = (line,)
    # A line is as good as a name: each module has its own.
    known = previous.index if previous else None
    index = write_name_index(owners, lines, known, lasting=lasting)
    return NamePart(
        files={"modules.dep": b"\n".join([*lines, b""]), "modules.dep.bin": index.data},
        problems={"modules.dep.bin": tuple(keys.problems)},
        index=index,
    )


def _check_size(paths: Sequence[str], needs: Dependencies) -> None:
    """Raise TreeError before dependencies are spelled out that no index would have room for."""
    longest = max(map(len, paths), default=0) + 1
    size = longest * sum(map(count, needs.closures.values()))
    if size > OFFSET_MASK:
        raise TreeError(Reason.LIMIT_REACHED, f"modules.dep would have some {size >> 20} MiB")


def _needed_paths(needs: Dependencies, paths: Sequence[bytes]) -> dict[Closure, bytes]:
    """Return the text of each closure: its paths, the last in the order first.

    Very often all that follows the first path is what that module itself needs, so the texts are
    built from each other, the leaves first. Those of few modules are put together by themselves,
    which costs less than to find how much of them is there.
    """
    spaced = [b" " + path for path in paths]
    texts: dict[Closure, bytes] = {0: b""}
    for closure in map(needs.closures.__getitem__, needs.order):
        if isinstance(closure, bytes):
            if closure not in texts:
                texts[closure] = b"".join([spaced[each] for each in highest_first(closure)])
            continue
        parts = []
        rest = closure
        while rest not in texts:
            first, rest = parted(rest)
            parts.append(spaced[first])
        parts.append(texts[rest])
        texts[closure] = b"".join(parts)
    return texts


@record
class AliasBlock:
    """What aliases of one module add to the files: their lines, their keys, and their problems."""

    lines: bytes
    keys: tuple[bytes, ...]
    problems: tuple[str, ...]


@record(kw_only=True)
class AliasPart:
    """The files of aliases, and what the next ones may take over."""

    files: Mapping[str, bytes]
    problems: Mapping[str, tuple[str, ...]]
    index: NameIndex
    blocks: Mapping[tuple[str, tuple[str, ...]], AliasBlock]


def alias_files(
    names: Sequence[str],
    aliases: Iterable[tuple[str, ...]],
    previous: AliasPart | None = None,
    *,
    lasting: bool = True,
) -> AliasPart:
    """Return modules.alias, with the aliases as they are, and its index, with them normalised."""
    known = previous.blocks if previous else {}
    blocks = {
        each: known.get(each) or alias_block(*each)
        for each in zip(names, aliases, strict=True)
        if each[1]
    }
    owners: dict[bytes, tuple[bytes, ...]] = {}
    for (name, _), block in blocks.items():
        alone = (text.encode(name),)
        for key in block.keys:
            owners[key] = owners[key] + alone if key in owners else alone
    encoded = [text.encode(name) for name in names]
    index = write_name_index(owners, encoded, previous.index if previous else None, lasting=lasting)
    lines = [b"# Aliases extracted from modules themselves.\n"]
    lines += (block.lines for block in blocks.values())
    return AliasPart(
        files={"modules.alias": b"".join(lines), "modules.alias.bin": index.data},
        problems={
            "modules.alias.bin": tuple(line for block in blocks.values() for line in block.problems)
        },
        index=index,
        blocks=blocks,
    )


def alias_block(module: str, aliases: tuple[str, ...]) -> AliasBlock:
    """Return what ``aliases`` of ``module`` add to modules.alias and its index."""
    name = text.encode(module)
    # No alias holds a NUL, so all of a module's are looked at, and changed, together.
    raw = text.encode("\0".join(aliases))
    lines = b"alias %b %b\n" % (raw.replace(b"\0", b" %b\nalias " % name), name)
    if not _SPECIAL.search(raw):
        return AliasBlock(lines, tuple(raw.split(b"\0")), ())
    keys = IndexKeys()
    for alias in aliases:
        keys.add_alias(alias)
    return AliasBlock(lines, tuple(keys.keys), tuple(keys.problems))


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


def builtin_files(builtin: bytes | None, modinfo: bytes | None, unread: Mapping[str, str]) -> Part:
    """Return the indexes of what the kernel has built in, from the two files of its build.

    Without the file of the build (None) depmod leaves an empty one; ``unread`` is what it says of
    that, by the name of the file.
    """
    names, name_problems = _builtin_names(builtin)
    aliases, alias_problems = _builtin_aliases(modinfo)
    problems = {
        "modules.builtin.bin": (unread.get("modules.builtin"), *name_problems),
        "modules.builtin.alias.bin": (unread.get("modules.builtin.modinfo"), *alias_problems),
    }
    return Part(
        {"modules.builtin.bin": names, "modules.builtin.alias.bin": aliases},
        {name: tuple(filter(None, said)) for name, said in problems.items()},
    )


def _builtin_names(builtin: bytes | None) -> tuple[bytes, list[str]]:
    """Return the index of the names of modules that are built in, and its problems."""
    if builtin is None:
        return b"", []
    keys = IndexKeys()
    names, bad = text.read_builtin(builtin)
    keys.problems += [f"ERROR: Invalid modules.builtin line: {line}" for line in bad]
    encoded = [text.encode(name) for name in names]
    index = write_index((key, values_of(0, b"")) for key in encoded if keys.holds(key))
    return index, keys.problems


def _builtin_aliases(modinfo: bytes | None) -> tuple[bytes, list[str]]:
    """Return the index of the aliases of modules that are built in, and its problems."""
    if modinfo is None:
        return b"", []
    keys = IndexKeys()
    entries = []
    for alias, module in text.builtin_aliases(modinfo):
        keys.keys.clear()
        keys.add_alias(alias)
        entries += [(key, values_of(0, text.encode(module))) for key in keys.keys]
    return write_index(entries), keys.problems


def device_file(names: Iterable[str], aliases: Iterable[Sequence[str]]) -> Part:
    """Return modules.devname: the device nodes whose opening loads a module."""
    lines = []
    problems = []
    for module, given in zip(names, aliases, strict=True):
        if "devname:" not in "\n".join(given):
            continue
        path, node = device_node(module, given)
        if node:
            lines.append(f"{module} {path} {node.kind}{node.major}:{node.minor}\n")
        elif path is not None:
            problems.append(
                f"ERROR: Module '{module}' has devname ({path}) but lacks major and minor "
                "information. Ignoring."
            )
    if lines:
        lines.insert(0, "# Device nodes to trigger on-demand module loading.\n")
    return Part(
        {"modules.devname": text.encode("".join(lines))}, {"modules.devname": tuple(problems)}
    )
