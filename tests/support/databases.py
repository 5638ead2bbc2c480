# SPDX-License-Identifier: Apache-2.0
"""What the tests know of databases."""

from kmodd.database import Database
from kmodd.database.walk import full_path
from kmodd.modulefile import ModuleFile

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


def kernel_symbols(database: Database) -> dict[str, int]:
    """Return the symbols that modules need and none of them exports, with the CRCs they expect."""
    exported = {name for record in database.modules.values() for name, _ in record.exports}
    needed: dict[str, int] = {}
    for record in database.modules.values():
        needed |= {name: needed.get(name, 0) for name in record.imports if name not in exported}
        with ModuleFile.open(full_path(database.directory, record.path)) as module:
            versions = {version.name: version.crc for version in module.versions()}
        needed |= {name: crc for name, crc in versions.items() if name not in exported}
    return needed
