# SPDX-License-Identifier: Apache-2.0
"""Small databases made of words: what a tree would hold, without its files."""

from collections.abc import Sequence
from pathlib import Path

from kmodd.database import Database, FileStamp, ModuleRecord
from kmodd.database.build import build
from kmodd.database.inventory import Inventory

RELEASE = "6.1.0-test"


def record(
    name: str,
    *,
    needs: Sequence[str] = (),
    aliases: Sequence[str] = (),
    softdeps: Sequence[str] = (),
) -> ModuleRecord:
    """Return the record of a module that exports ``<name>_do`` and needs other modules' symbols."""
    return ModuleRecord(
        path=f"kernel/{name}.ko",
        name=name,
        stamp=FileStamp(device=0, inode=0, size=0, mtime_ns=0, ctime_ns=0),
        exports=((f"{name}_do", 0),),
        imports=tuple(f"{need}_do" for need in needs),
        aliases=tuple(aliases),
        softdeps=tuple(softdeps),
    )


def database(
    *records: ModuleRecord, builtin: Sequence[str] = (), root: Path = Path("/")
) -> Database:
    """Return the database of a tree of these modules, which have priority in this order."""
    return build(
        Inventory(
            release=RELEASE,
            directory=str(root / "lib/modules" / RELEASE),
            records={each.name: each for each in records},
            order="".join(f"{each.path}\n" for each in records).encode(),
            builtin="".join(f"kernel/{name}.ko\n" for name in builtin).encode(),
            builtin_modinfo="".join(
                f"{name}.file=kernel/{name}\0{name}.alias=dev:{name}\0" for name in builtin
            ).encode(),
        )
    )


def publish(database: Database) -> None:
    """Write the tree for other programs: its databases, and a file of no bytes for each module."""
    directory = Path(database.directory)
    for module in database.modules.values():
        (directory / module.path).parent.mkdir(parents=True, exist_ok=True)
        (directory / module.path).touch()
    write_files(database, directory)


def write_files(database: Database, directory: Path) -> None:
    """Write the databases alone into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in database.files.items():
        (directory / name).write_bytes(content)
