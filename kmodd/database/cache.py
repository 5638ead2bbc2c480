# SPDX-License-Identifier: Apache-2.0
"""What a scan read, as bytes: so that a daemon that starts again reads only what changed meanwhile.

The format is this project's own: a line with its name and version, a line with the SHA-256 of all
that follows, and JSON. Strings stand once in a table, since 4,000 modules name 20,000 different
symbols 200,000 times. Debian's tree comes to 2 MB.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from sys import intern
from typing import Any

from kmodd.database.inventory import FileStamp, Inventory, ModuleRecord
from kmodd.records import record as values

HEADER = b"kmodd module records 3\n"
"""Another version is another header, and what is cached under the old one is read again."""

_DIGEST_SIZE = hashlib.sha256().digest_size * 2 + 1


@values
class Remembered:
    """What an earlier life knew of a tree.

    ``inventory`` is to be the previous one of a scan; ``published`` are the stamps of the files
    that were published, by name.
    """

    inventory: Inventory
    published: Mapping[str, FileStamp]


def dump(inventory: Inventory, published: Mapping[str, FileStamp]) -> bytes:
    """Return the records of ``inventory``, but for those that the next scan reads again anyway.

    With them go the stamps of the files ``published``.
    """
    table: dict[str, int] = {}

    def number(text: str) -> int:
        return table.setdefault(text, len(table))

    def numbers(texts: Iterable[str]) -> list[int]:
        return [number(text) for text in texts]

    rows = []
    for record in inventory.records.values():
        if record.error or record.name in inventory.memory.unsettled:
            continue
        stamp = record.stamp
        rows.append(
            [
                record.path,
                number(record.name),
                [stamp.device, stamp.inode, stamp.size, stamp.mtime_ns, stamp.ctime_ns],
                numbers(name for name, _ in record.exports),
                [crc for _, crc in record.exports],
                numbers(record.imports),
                *(list(record.aliases), list(record.softdeps), list(record.weakdeps)),
                number(record.vermagic),
                record.description,
            ]
        )
    content = {
        "release": inventory.release,
        "directory": inventory.directory,
        "strings": list(table),
        "records": rows,
        "published": {name: list(stamp) for name, stamp in published.items()},
    }
    body = json.dumps(content, separators=(",", ":")).encode()
    return b"%b%b\n%b" % (HEADER, hashlib.sha256(body).hexdigest().encode(), body)


def load(data: bytes) -> Remembered:
    """Return what ``dump`` made bytes of.

    Raises ValueError for bytes of another version, and for any that are damaged.
    """
    start = len(HEADER) + _DIGEST_SIZE
    body = data[start:]
    if not data.startswith(HEADER):
        raise ValueError("a cache of another version")
    if data[len(HEADER) : start] != hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise ValueError("a damaged cache: its checksum is wrong")
    content = json.loads(body)
    table = [intern(text) for text in content["strings"]]
    records = (_record(row, table) for row in content["records"])
    inventory = Inventory(
        release=content["release"],
        directory=content["directory"],
        records={record.name: record for record in records},
    )
    published = {name: FileStamp(*stamp) for name, stamp in content["published"].items()}
    return Remembered(inventory, published)


def _record(row: list[Any], table: list[str]) -> ModuleRecord:
    path, name, stamp, exports, crcs, imports, aliases, softdeps, weakdeps, *last = row
    vermagic, description = last
    return ModuleRecord(
        path=path,
        name=table[name],
        stamp=FileStamp(*stamp),
        exports=tuple(zip([table[each] for each in exports], crcs, strict=True)),
        imports=tuple([table[each] for each in imports]),
        aliases=tuple(aliases),
        softdeps=tuple(softdeps),
        weakdeps=tuple(weakdeps),
        vermagic=table[vermagic],
        description=description,
    )
