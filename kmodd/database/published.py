# SPDX-License-Identifier: Apache-2.0
"""The database of a tree as its files on disk have it, for where none is kept in memory.

They are read as libkmod reads them: the indexes decide, and a module is what modules.dep.bin lists.
What is missing is empty. (Of what modules import, and of their strings but for the soft
dependencies, the files say nothing.)
"""

from __future__ import annotations

import os

from kmodd.database import text
from kmodd.database.closures import packed
from kmodd.database.database import OUTPUTS, Database, Dependencies
from kmodd.database.inventory import Inventory, ModuleRecord
from kmodd.database.trie import read_index
from kmodd.database.walk import stamp_at
from kmodd.errors import Reason, TreeError
from kmodd.names import module_name_of_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kmodd.config.files import Objection

FILE_MAX = 1 << 28
"""Bytes of one file that are read at most: as far as the offsets in an index reach."""


def read_published(directory: str, release: str, objection: Objection | None = None) -> Database:
    """Return the database that the files in the tree at ``directory`` hold.

    A file that there is an ``objection`` to counts as one that is not there. Raises TreeError
    (TREE_UNREADABLE) where there are none, or one is damaged.
    """
    files = {name: _read(f"{directory}/{name}", objection) for name in OUTPUTS}
    if not files["modules.dep.bin"]:
        raise TreeError(Reason.TREE_UNREADABLE, f"{directory} has no databases", detail=directory)
    lines = _lines(files["modules.dep.bin"])
    softdeps = text.read_softdeps(files["modules.softdep"])
    own: dict[str, list[str]] = {}
    for module, words in softdeps:
        own.setdefault(module, []).append(words)
    modules = {
        name: ModuleRecord(path, name, stamp_at(directory, path), softdeps=tuple(own.get(name, ())))
        for name, (path, _) in lines.items()
    }
    return Database(
        release=release,
        directory=directory,
        modules=modules,
        builtins=frozenset(
            text.decode(key) for key, _, _ in read_index(files["modules.builtin.bin"])
        ),
        needs=_dependencies({name: needs for name, (_, needs) in lines.items()}),
        softdeps=softdeps,
        weakdeps=text.read_softdeps(files["modules.weakdep"], "weakdep"),
        files=files,
        file_problems={},
        inventory=Inventory(
            release=release,
            directory=directory,
            records=modules,
            builtin_modinfo=_read(f"{directory}/modules.builtin.modinfo", objection),
        ),
        makings={},
    )


def _lines(index: bytes) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return each module's path and the names of those that it needs, by rising priority."""
    found = sorted(read_index(index), key=lambda entry: entry[1])
    lines = {}
    for key, _, value in found:
        path, _, needs = text.decode(value).partition(":")
        lines[text.decode(key)] = path, tuple(map(module_name_of_path, needs.split()))
    return lines


def _dependencies(needs: Mapping[str, tuple[str, ...]]) -> Dependencies:
    """Return the dependencies of lines each of which lists what its module needs, users first.

    A name that has no line of its own is passed over.
    """
    known = {name: [each for each in line if each in needs] for name, line in needs.items()}
    order = _common_order(known)
    places = {name: position for position, name in enumerate(order)}
    return Dependencies(
        order=tuple(order),
        closures={name: packed({places[each] for each in line}) for name, line in known.items()},
    )


def _common_order(lines: Mapping[str, Sequence[str]]) -> list[str]:
    """Return all modules, what is needed first, in the one order that all lines of depmod are in.

    Lines that agree on none, which depmod does not write, are in the order of their length.
    """
    from graphlib import CycleError, TopologicalSorter

    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, line in lines.items():
        sorter.add(name)
        for user, needed in zip((name, *line), line, strict=False):
            sorter.add(user, needed)
    try:
        return list(sorter.static_order())
    except CycleError:
        return sorted(lines, key=lambda name: len(lines[name]))


def _read(path: str, objection: Objection | None) -> bytes:
    """Return the file's bytes, none where it cannot or is not to be read."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if objection and objection(file.fileno(), path):
                return b""
            return file.read(FILE_MAX)
    except OSError:
        return b""
