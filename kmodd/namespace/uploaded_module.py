# SPDX-License-Identifier: Apache-2.0
"""A module file that a client sent: its bytes, its name, and a database with it in."""

from kmodd.database import Database, Dependencies, ModuleRecord
from kmodd.database.closures import bits_of
from kmodd.database.inventory import NO_STAMP
from kmodd.errors import ModuleFileError
from kmodd.modulefile import Compression, ModuleFile, detect_compression
from kmodd.modulefile.decompression import decompress
from kmodd.names import module_name_of_path, symbol_key
from kmodd.records import replace


def plain_image(image: bytes, file_name: str) -> bytes:
    """Return the module's image, decompressed where it is not plain; raises ModuleFileError."""
    if detect_compression(image[:8]) is Compression.NONE:
        return image
    return decompress(image, path=file_name)


def image_name(image: bytes, file_name: str) -> str:
    """Return the name that the kernel will know ``image`` by, "" for what it will refuse."""
    try:
        return ModuleFile.parse(image, path=file_name).this_module_name() or ""
    except ModuleFileError:
        return ""


def with_uploaded(database: Database, file_name: str, image: bytes) -> Database:
    """Return ``database`` with the module file ``image`` in it, under the name of its file.

    It takes the place of a module of the same name. What it needs are the modules of the tree
    that export what it imports, and what these need. Raises ModuleFileError.
    """
    name = module_name_of_path(file_name)
    with ModuleFile.parse(image, path=file_name) as module:
        record = ModuleRecord(
            path=file_name,
            name=name,
            stamp=NO_STAMP,
            imports=module.dependency_symbols(),
            softdeps=module.modinfo_all("softdep"),
            weakdeps=module.modinfo_all("weakdep"),
        )
    return replace(
        database,
        modules={**database.modules, name: record},
        needs=_with_needs(database, record),
    )


def _with_needs(database: Database, record: ModuleRecord) -> Dependencies:
    """Return what all modules need, ``record``'s among them."""
    needs = database.needs
    places = {name: place for place, name in enumerate(needs.order)}
    closure = 0
    for symbol in record.imports:
        key = f"symbol:{symbol_key(symbol)}"
        owner = next(iter(database.search_symbols(key)), record.name)
        if owner != record.name:
            closure |= bits_of(needs.closures[owner]) | 1 << places[owner]
    order = needs.order if record.name in places else (*needs.order, record.name)
    return Dependencies(order=order, closures={**needs.closures, record.name: closure})
