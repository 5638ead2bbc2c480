# SPDX-License-Identifier: Apache-2.0
"""What a module says of itself: modinfo(8)'s fields, its symbol versions, its exports."""

from __future__ import annotations

import errno

from kmodd.errors import ModuleFileError
from kmodd.modulefile import ModuleFile
from kmodd.names import module_name_of_path
from kmodd.records import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodd.database import ModuleRecord
    from kmodd.database.tables import Tables
    from kmodd.modulefile import Signature
    from kmodd.modulefile.versions import SymbolVersion

_ELF_MAGIC = b"\x7fELF"
_IDENT_SIZE = 16
"""Bytes at the head of an ELF file that say what kind it is (elf(5), EI_NIDENT)."""


@record(kw_only=True)
class ModuleInfo:
    """What a module file says of itself, or the kernel of a module that is built into it.

    ``path`` is the file's, empty for bytes that were sent; a builtin module may have a file, too,
    which then says nothing. ``fields`` are the keys and values of .modinfo in file order.
    ``versions`` are the symbols that the module imports with their CRCs, ``exports`` those that it
    exports, both only where they were asked for. ``errno`` and ``error`` say why the file could
    not be read, 0 and "" where it could.
    """

    name: str
    path: str = ""
    builtin: bool = False
    fields: tuple[tuple[str, str], ...] = ()
    build_id: bytes = b""
    signature: Signature | None = None
    versions: tuple[SymbolVersion, ...] = ()
    exports: tuple[SymbolVersion, ...] = ()
    errno: int = 0
    error: str = ""


def info_of_record(record: ModuleRecord, database: Tables, *, symbols: bool = False) -> ModuleInfo:
    """Return what the file of ``record`` says now; what is wrong with it is in the result.

    With ``symbols`` those that the module imports and exports are, too.
    """
    from kmodd.database.walk import full_path

    path = full_path(database.directory, record.path)
    try:
        with ModuleFile.open(path) as module:
            return _info(module, record.name, path, symbols=symbols)
    except ModuleFileError as error:
        return ModuleInfo(
            name=record.name, path=path, errno=_errno_of(path, error), error=error.why
        )
    except OSError as error:
        why = error.strerror or "it cannot be read"
        return ModuleInfo(name=record.name, path=path, errno=error.errno or 0, error=why)


def info_of_image(image: bytes, file_name: str) -> ModuleInfo:
    """Return what the module file ``image`` says, its symbols included.

    ``file_name`` gives the module its name.
    """
    name = module_name_of_path(file_name)
    try:
        with ModuleFile.parse(image, path=file_name) as module:
            return _info(module, name, "", symbols=True)
    except ModuleFileError as error:
        return ModuleInfo(name=name, errno=_errno(image[:_IDENT_SIZE], error), error=error.why)


def info_of_file(path: str, *, symbols: bool = True) -> ModuleInfo:
    """Return what the module file at ``path`` says, with ``symbols`` these included.

    Raises OSError where it cannot be read.
    """
    name = module_name_of_path(path)
    try:
        with ModuleFile.open(path) as module:
            return _info(module, name, "", symbols=symbols)
    except ModuleFileError as error:
        return ModuleInfo(name=name, errno=_errno_of(path, error), error=error.why)


def info_of_builtin(name: str, database: Tables) -> ModuleInfo:
    """Return what modules.builtin.modinfo says of a module that is built into the kernel."""
    from kmodd.database.text import read_builtin_modinfo
    from kmodd.database.walk import full_path

    strings = read_builtin_modinfo(database.builtin_modinfo)
    fields = tuple((key, value) for module, key, value in strings if module == name)
    record = database.module(name)
    path = full_path(database.directory, record.path) if record else ""
    return ModuleInfo(name=name, path=path, builtin=True, fields=fields)


def _info(module: ModuleFile, name: str, path: str, *, symbols: bool = False) -> ModuleInfo:
    versions, exports = _symbols(module) if symbols else ((), ())
    info = ModuleInfo(
        name=name,
        path=path,
        fields=module.modinfo(),
        build_id=module.build_id() or b"",
        signature=_signature(module),
        versions=versions,
        exports=exports,
    )
    if module.section(".modinfo") is None:
        return replace(info, signature=None, errno=errno.ENODATA, error="it has no .modinfo")
    return info


def _symbols(
    module: ModuleFile,
) -> tuple[tuple[SymbolVersion, ...], tuple[SymbolVersion, ...]]:
    """Return the symbols that the module imports, and those that it exports."""
    from kmodd.modulefile.versions import SymbolVersion

    exports = tuple(SymbolVersion(symbol, crc) for symbol, crc in module.symbol_crcs())
    return module.versions(), exports


def _signature(module: ModuleFile) -> Signature | None:
    """Return the signature; one that does not fit into the file is none, as modinfo has it."""
    try:
        return module.signature()
    except ModuleFileError:
        return None


def _errno_of(path: str, why: ModuleFileError) -> int:
    try:
        with open(path, "rb") as file:
            return _errno(file.read(_IDENT_SIZE), why)
    except OSError as error:
        return error.errno or errno.EINVAL


def _errno(head: bytes, why: ModuleFileError) -> int:
    """Return kmod's errno for a file that is no module and begins with ``head``."""
    is_other = len(head) == _IDENT_SIZE and not head.startswith(_ELF_MAGIC)
    return why.errno if is_other else errno.EINVAL
