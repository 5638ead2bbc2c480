# SPDX-License-Identifier: Apache-2.0
"""The kernel's own symbols: what a tree's modules expect of it, and whether it has that.

These questions are rare, so the answers are read from the modules when somebody asks, and are no
part of a database.
"""

import re
from collections.abc import Iterator, Mapping

from kmodd.database.build import in_order
from kmodd.database.database import Database
from kmodd.database.inventory import ModuleRecord
from kmodd.database.text import decode
from kmodd.database.walk import full_path
from kmodd.errors import ModuleFileError
from kmodd.modulefile import ModuleFile
from kmodd.names import symbol_key

_LINKED = dict.fromkeys(("__this_module", "_GLOBAL_OFFSET_TABLE_", "TOC."), 0)
"""What a module refers to that whoever links or loads it puts there; the dot before the last one is
taken off when it is looked up."""

_KSYMTAB_LINE = re.compile(r"^[0-9a-fA-F]+ . __ksymtab_(\S+)$", re.MULTILINE)


def read_system_map(data: bytes) -> dict[str, int]:
    """Return the symbols that the kernel with that System.map exports; it knows no CRCs: 0."""
    return dict.fromkeys(_KSYMTAB_LINE.findall(decode(data)), 0)


def symbol_problems(
    database: Database, kernel: Mapping[str, int | None], *, versions: bool
) -> Iterator[str]:
    """Yield what ``depmod -e`` warns of, given the symbols of the kernel itself with their CRCs.

    With ``versions`` (``depmod -E``) the CRCs count as well as the names. Weak imports may be
    missing. Modules that are left out for a cycle are looked at as well.
    """
    modules = in_order(database.inventory).values()
    prefix = database.symbol_prefix
    known = {name.removeprefix(prefix): crc for name, crc in kernel.items()}
    known |= _LINKED
    for record in modules:
        known.update({name.removeprefix(prefix): crc for name, crc in record.exports})
    for record in modules:
        path = full_path(database.directory, record.path)
        weak, crcs = _weak(database, record), _versions(database, record)
        for name in record.imports:
            if name in weak:
                continue
            key = symbol_key(name, prefix)
            if key not in known:
                yield f"WARNING: {path} needs unknown symbol {name}"
            elif versions and known[key] != crcs.get(name, 0):
                yield f"WARNING: {path} disagrees about version of symbol {name}"


def _versions(database: Database, record: ModuleRecord) -> dict[str, int]:
    """Return the CRCs that a module expects its imports to have."""
    try:
        with ModuleFile.open(full_path(database.directory, record.path)) as module:
            return {version.name: version.crc for version in module.versions()}
    except (ModuleFileError, OSError):
        return {}


def _weak(database: Database, record: ModuleRecord) -> frozenset[str]:
    """Return the imports that a module can do without."""
    try:
        with ModuleFile.open(full_path(database.directory, record.path)) as module:
            return frozenset(symbol.name for symbol in module.undefined() if symbol.weak)
    except (ModuleFileError, OSError):
        return frozenset()
