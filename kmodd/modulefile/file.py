# SPDX-License-Identifier: Apache-2.0
"""One kernel module file, opened: every question that one can ask of it."""

from __future__ import annotations

import os
import stat

from kmodd.errors import ModuleFileError
from kmodd.modulefile.compression import MAX_IMAGE, Compression, detect_compression, too_large
from kmodd.modulefile.elf import Elf
from kmodd.modulefile.image import FileImage, MemoryImage
from kmodd.modulefile.modinfo import pairs_of, parameters_of, read_strings
from kmodd.modulefile.notes import read_build_id
from kmodd.modulefile.signature import read_signature
from kmodd.names import module_name_of_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from kmodd.modulefile.elf import Section
    from kmodd.modulefile.exports import ExportedSymbol
    from kmodd.modulefile.image import Image
    from kmodd.modulefile.modinfo import DeclaredParameter
    from kmodd.modulefile.relocations import Relocation
    from kmodd.modulefile.signature import Signature
    from kmodd.modulefile.symbols import Symbol, SymbolTable, UndefinedSymbol
    from kmodd.modulefile.versions import SymbolVersion

THIS_MODULE = ".gnu.linkonce.this_module"
"""The section that holds the kernel's ``struct module`` as the compiler filled it in."""

# ``name`` follows an enum and a list head of two pointers (include/linux/module.h);
# it is MODULE_NAME_LEN bytes, 64 less a long.
_NAME_OFFSET = {32: 12, 64: 24}
_NAME_SIZE = {32: 60, 64: 56}

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class ModuleFile:
    """One kernel module file, open until ``close`` (a context manager does it).

    Opening reads the ELF header and the section table; each accessor reads what it needs and
    raises ModuleFileError where that part of the file lies. ``stat`` describes the very file that
    was opened, and is None for bytes that came from elsewhere. Not for use by two threads at once.
    """

    def __init__(
        self,
        image: Image,
        *,
        compression: Compression = Compression.NONE,
        status: os.stat_result | None = None,
    ) -> None:
        self._image = image
        self._symbols: SymbolTable | None = None
        self._modinfo: tuple[tuple[str, str], ...] | None = None
        self._exports: tuple[ExportedSymbol, ...] | None = None
        self.compression = compression
        self.stat = status
        self.elf = Elf(image)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, limit: int = MAX_IMAGE) -> Self:
        """Open the module file at ``path``, of at most ``limit`` bytes uncompressed.

        Raises ModuleFileError for a file that is no module, OSError for one that cannot be read.
        """
        return cls._own(os.open(path, _OPEN_FLAGS), os.fspath(path), limit)

    @classmethod
    def from_fd(cls, fd: int, *, path: str, limit: int = MAX_IMAGE) -> Self:
        """Open the module file that the caller has open at ``fd``, which stays the caller's."""
        return cls._own(os.dup(fd), path, limit)

    @classmethod
    def parse(cls, data: bytes, *, path: str = "", limit: int = MAX_IMAGE) -> Self:
        """Take ``data`` for the contents of a module file; ``path`` only names it."""
        compression = detect_compression(data)
        if compression is not Compression.NONE:
            data = _unpacked(data, path, limit)
        elif len(data) > limit:
            raise too_large(path, limit)
        return cls(MemoryImage(data, path), compression=compression)

    @classmethod
    def _own(cls, fd: int, path: str, limit: int) -> Self:
        """Open the file at ``fd``, which is this class's to close from here on."""
        file = FileImage(fd, path)
        image: Image = file
        try:
            if not stat.S_ISREG(file.status.st_mode):
                raise ModuleFileError(path, "not a regular file")
            if file.size > limit:
                raise too_large(path, limit)
            compression = detect_compression(file.head)
            if compression is not Compression.NONE:
                compressed = file.read(0, file.size)
                image = MemoryImage(_unpacked(compressed, path, limit), path)
                file.close()
            return cls(image, compression=compression, status=file.status)
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; accessors that read on raise OSError from here on."""
        self._image.close()

    @property
    def path(self) -> str:
        """What the file was opened as; empty for bytes."""
        return self._image.path

    @property
    def name(self) -> str:
        """The module's name, which is its file's."""
        return module_name_of_path(self._image.path)

    @property
    def image(self) -> bytes:
        """The whole uncompressed file, an appended signature included, as init_module takes it."""
        return self._image.read(0, self._image.size)

    def section(self, name: str) -> Section | None:
        """Return the first section of that name, or None."""
        return self.elf.section(name)

    def section_data(self, section: Section) -> bytes:
        """Return the bytes that ``section`` has in the file; none for .bss and its like."""
        return self.elf.data(section.index)

    def relocations(self, section: Section) -> list[Relocation]:
        """Return the relocations against ``section``, in file order."""
        from kmodd.modulefile.relocations import read_relocations

        return read_relocations(self.elf, section.index)

    def modinfo(self) -> tuple[tuple[str, str], ...]:
        """Return the keys and values of ``.modinfo`` in file order.

        Text is UTF-8; bytes that are not are kept as surrogates (``surrogateescape``).
        """
        if self._modinfo is None:
            self._modinfo = pairs_of(self.modinfo_strings())
        return self._modinfo

    def modinfo_strings(self) -> tuple[str, ...]:
        """Return the strings of ``.modinfo`` whole, in file order: one may be without a ``=``."""
        return read_strings(self.elf)

    def modinfo_get(self, key: str) -> str | None:
        """Return the first value of ``key`` in ``.modinfo``, or None."""
        for found, value in self.modinfo():
            if found == key:
                return value
        return None

    def modinfo_all(self, key: str) -> tuple[str, ...]:
        """Return every value of ``key`` in ``.modinfo``, in file order."""
        return tuple(value for found, value in self.modinfo() if found == key)

    def parameters(self) -> tuple[DeclaredParameter, ...]:
        """Return the parameters that the module declares, in order of first mention."""
        return parameters_of(self.modinfo())

    def symbols(self) -> Iterator[Symbol]:
        """Yield every entry of ``.symtab`` in order, the empty first one included."""
        return self._symbol_table().symbols()

    def undefined(self) -> tuple[UndefinedSymbol, ...]:
        """Return the symbols that the module imports, in the order of ``.symtab``, each once."""
        return self._symbol_table().undefined()

    def exports(self) -> tuple[ExportedSymbol, ...]:
        """Return the symbols that the module exports, as the kernel will see them."""
        from kmodd.modulefile.exports import read_exports

        if self._exports is None:
            self._exports = read_exports(self.elf, self._symbol_table())
        return self._exports

    def symbol_crcs(self) -> tuple[tuple[str, int], ...]:
        """Return the names and CRCs of the exported symbols, as depmod sees them.

        That is ``__crc_`` symbols, or where there are none the strings of ``__ksymtab_strings``
        with a CRC of 0, which may hold the names of symbol namespaces as well.
        """
        from kmodd.modulefile.exports import read_ksymtab_strings

        return self._symbol_table().crcs() or read_ksymtab_strings(self.elf)

    def dependency_symbols(self) -> tuple[str, ...]:
        """Return the names of the symbols that the module needs, as depmod sees them.

        That is the undefined symbols, then those that ``__versions`` alone names, each once.
        """
        from kmodd.modulefile.versions import basic_version_names

        names = [*self._symbol_table().undefined_names(), *basic_version_names(self.elf)]
        return tuple(dict.fromkeys(filter(None, names)))

    def versions(self) -> tuple[SymbolVersion, ...]:
        """Return the CRCs that the module's imports must have, in file order."""
        from kmodd.modulefile.versions import read_versions

        return read_versions(self.elf)

    def signature(self) -> Signature | None:
        """Return the signature that is appended to the module, or None where it has none."""
        return read_signature(self._image)

    def build_id(self) -> bytes | None:
        """Return the id that the linker gave this build of the module, or None."""
        return read_build_id(self.elf)

    def this_module_name(self) -> str | None:
        """Return the name that the kernel will know the module by, or None without the section.

        It is compiled into the module's ``struct module`` and need not be the file's name.
        """
        section = self.section(THIS_MODULE)
        return None if section is None else self.name_in(self.section_data(section))

    def name_in(self, this_module: bytes) -> str:
        """Return the name in the bytes of a ``struct module``; raises ModuleFileError."""
        start, size = _NAME_OFFSET[self.elf.bits], _NAME_SIZE[self.elf.bits]
        name, end, _ = this_module[start : start + size].partition(b"\0")
        if not end:
            raise self.elf.error(f"the name in {THIS_MODULE} does not end")
        return name.decode("utf-8", "surrogateescape")

    def has_init(self) -> bool:
        """Tell whether the module has an init function (defines ``init_module``)."""
        return self._symbol_table().defines("init_module")

    def has_exit(self) -> bool:
        """Tell whether the module has an exit function (defines ``cleanup_module``)."""
        return self._symbol_table().defines("cleanup_module")

    def _symbol_table(self) -> SymbolTable:
        from kmodd.modulefile.symbols import SymbolTable

        if self._symbols is None:
            self._symbols = SymbolTable(self.elf)
        return self._symbols


def _unpacked(data: bytes, path: str, limit: int) -> bytes:
    """Return the image in ``data``, which is compressed."""
    from kmodd.modulefile.decompression import decompress

    return decompress(data, path=path, limit=limit)
