# SPDX-License-Identifier: Apache-2.0
"""What depmod needs of a module, read in one pass, for modules of the plain shape.

ModuleFile answers any question about any file; a rebuild asks the same few questions of thousands
of files that compilers made. Those are 64-bit, little-endian, ASCII, and of moderate size, and for
them one function over the bytes takes two thirds of the time. Whatever is not so, or not quite
right, is not judged here: the answer is None, and ModuleFile is to be asked, whose word counts.
Where there is an answer it is the one that ModuleFile gives.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from array import array
from itertools import compress
from sys import intern

from kmodd.errors import ModuleFileError
from kmodd.modulefile.compression import MAX_IMAGE, Compression, detect_compression, too_large
from kmodd.modulefile.file import ModuleFile
from kmodd.modulefile.image import HEAD_SIZE, MemoryImage
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

Reader: TypeAlias = "Callable[[Any, int, int], bytes]"
"""Gives of something that many bytes from that offset, fewer past the end: pread(2) of a file."""


class Contents(NamedTuple):
    """What depmod needs of a module: see ``kmodd.database.model.ModuleRecord``.

    The names of symbols, which many modules share, are interned; so is ``vermagic``.
    """

    exports: tuple[tuple[str, int], ...]
    imports: tuple[str, ...]
    aliases: tuple[str, ...]
    softdeps: tuple[str, ...]
    weakdeps: tuple[str, ...]
    vermagic: str
    description: str


DESCRIPTION_MAX = 1024
"""Characters of a description that are kept of each module (the longest of Debian's has 136)."""

MAX_PLAIN = 4 << 20
"""Bytes of the largest section that is read here (the largest of Debian's has 624,648)."""

_FEW_SECTIONS = 256
_FEW_NAMES = 16_384
_NAME_BLOCK = 2048
_CRC_SECTIONS = 8
"""With all their names at the longest, so many stay below ModuleFile's own limits."""

_IDENTITY = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<18xH4x8x8xQ10xHHH")
_SECTION = struct.Struct("<4xI8x8xQQII8xQ")
_SYMBOL = struct.Struct("<I2xHQ8x")
_SPARC = (2, 43)
_SYMTAB, _NOBITS = 2, 8
_NO_SECTION = (0, 0xFFF1)

_ZERO_IS_ONE = b"\x01" + bytes(255)
_KEYS = ("alias", "softdep", "weakdep", "vermagic", "description")


class _UnusualError(Exception):
    """The module is not of the plain shape."""


def read_contents(fd: int, path: str, status: os.stat_result) -> Contents:
    """Return what depmod needs of the module file open at ``fd``, which ``status`` describes.

    ``path`` names it in errors. Raises ModuleFileError for a file that is no module, OSError for
    one that cannot be read.
    """
    if not stat.S_ISREG(status.st_mode):
        raise ModuleFileError(path, "not a regular file")
    if status.st_size > MAX_IMAGE:
        raise too_large(path, MAX_IMAGE)
    # Most are what their names say, and then one look at the beginning is enough.
    contents = read_plain(fd, os.pread, status.st_size) if path.endswith(".ko") else None
    if contents is not None:
        return contents
    if detect_compression(os.pread(fd, HEAD_SIZE, 0)) is not Compression.NONE:
        from kmodd.modulefile.decompression import decompress

        image = decompress(os.pread(fd, status.st_size, 0), path=path)
        contents = read_plain(image, _piece, len(image))
        return contents or read_careful(ModuleFile(MemoryImage(image, path)))
    with ModuleFile.from_fd(fd, path=path) as module:
        return read_careful(module)


def read_careful(module: ModuleFile) -> Contents:
    """Return what depmod needs of a module of any shape; raises ModuleFileError."""
    values: dict[str, list[str]] = {key: [] for key in _KEYS}
    for key, value in module.modinfo():
        if key in values:
            values[key].append(value)
    return Contents(
        exports=tuple([(intern(name), crc) for name, crc in module.symbol_crcs()]),
        imports=tuple(map(intern, module.dependency_symbols())),
        aliases=tuple(values["alias"]),
        softdeps=tuple(values["softdep"]),
        weakdeps=tuple(values["weakdep"]),
        vermagic=intern("".join(values["vermagic"][:1])),
        description="".join(values["description"][:1])[:DESCRIPTION_MAX],
    )


def read_plain(source: Any, read: Reader, size: int) -> Contents | None:
    """Return what depmod needs of an uncompressed module, the ``size`` bytes of ``source``.

    None says that it is not of the plain shape, which a module with an error in it never is.
    """
    if sys.byteorder != "little":
        return None
    try:
        return _read(_Sections(source, read, size))
    except (_UnusualError, ValueError, struct.error):
        return None


def _piece(image: bytes, size: int, offset: int) -> bytes:
    """Return what pread(2) would, of a file in memory."""
    return image[offset : offset + size]


class _Sections:
    """The section table of a module of the plain shape."""

    def __init__(self, source: Any, read: Reader, size: int) -> None:
        head = read(source, 64, 0)
        if head[:6] != _IDENTITY:
            raise _UnusualError
        machine, offset, entry_size, count, names = _HEADER.unpack(head)
        if entry_size != 64 or not names < count < _FEW_SECTIONS or machine in _SPARC:
            raise _UnusualError
        self._source = source
        self._read = read
        self._size = size
        self._table = self.read(offset, 64 * count)
        words = array("I", self._table)
        self._name_places = words[::16]
        self._types = words[1::16]
        self._names = self.strings(names)

    def read(self, offset: int, size: int) -> bytes:
        """Return a piece of the file."""
        if size > MAX_PLAIN or offset + size > self._size:
            raise _UnusualError
        data = self._read(self._source, size, offset)
        if len(data) != size:
            raise _UnusualError
        return data

    def row(self, index: int) -> tuple[int, int, int, int, int, int]:
        """Return the type, offset, size, link, info and entry size of a section."""
        return _SECTION.unpack_from(self._table, 64 * index)

    def data(self, index: int) -> bytes:
        """Return the bytes of the section at ``index``."""
        kind, offset, size, _, _, _ = self.row(index)
        return b"" if kind == _NOBITS else self.read(offset, size)

    def named(self, name: bytes) -> bytes:
        """Return the bytes of the section called ``name`` (with its NUL), none without one."""
        at = self._names.find(name)
        if at < 0:
            return b""
        if self._names.find(name, at + 1) >= 0:
            raise _UnusualError
        return self.data(self._name_places.index(at))

    def strings(self, index: int) -> bytes:
        """Return the string table at ``index``."""
        table = self.data(index)
        if table[-1:] != b"\0" or not table.isascii():
            raise _UnusualError
        return table

    def symtab(self) -> tuple[int, int, int, str]:
        """Return the symbol table's offset, its count of local ones and of all, and its text."""
        _, offset, size, link, local_count, entry_size = self.row(self._types.index(_SYMTAB))
        count, rest = divmod(size, 24)
        if entry_size != 24 or rest or local_count > count:
            raise _UnusualError
        text = self.strings(link).decode("ascii")
        for block in range(0, len(text) - _NAME_BLOCK, _NAME_BLOCK):
            if text.find("\0", block, block + _NAME_BLOCK) < 0:
                raise _UnusualError
        return offset, local_count, count, text


def _read(sections: _Sections) -> Contents:
    offset, local_count, count, text = sections.symtab()
    exports: tuple[tuple[str, int], ...] = ()
    start = 24 * local_count
    if "__crc_" in text:
        entries = sections.read(offset, 24 * count)
        exports = _crcs(sections, entries, text)
        entries = entries[start:]
    else:
        entries = sections.read(offset + start, 24 * count - start)
    imports = dict.fromkeys(_undefined(entries, text))
    for name in _version_names(sections.named(b"__versions\0")):
        if name not in imports:
            imports[intern(name)] = None
    imports.pop("", None)
    return Contents(
        exports or _ksymtab_strings(sections),
        tuple(imports),
        *_modinfo(sections.named(b".modinfo\0")),
    )


def _undefined(entries: bytes, text: str) -> list[str]:
    """Return the names of the undefined ones among the global symbols ``entries``, interned."""
    # A symbol is undefined where both bytes of its section are zero. All are looked at in a few
    # operations on long integers; one by one they would take as long as all the rest.
    sections = int.from_bytes(entries[6::24], "little") | int.from_bytes(entries[7::24], "little")
    wanted = sections.to_bytes(len(entries) // 24, "little").translate(_ZERO_IS_ONE)
    if wanted.count(1) > _FEW_NAMES:
        raise _UnusualError
    index = text.index
    offsets = compress(array("I", entries)[::6], wanted)
    return list(map(intern, [text[at : index("\0", at)] for at in offsets]))


def _crcs(sections: _Sections, entries: bytes, text: str) -> tuple[tuple[str, int], ...]:
    """Return the names and CRCs that ``__crc_`` symbols give, in the order of the table."""
    places = set()
    at = text.find("__crc_")
    while at >= 0:
        places.add(at)
        at = text.find("__crc_", at + 1)
    offsets = array("I", entries)[::6]
    found = list(compress(range(len(offsets)), map(places.__contains__, offsets)))
    if len(found) > _FEW_NAMES:
        raise _UnusualError
    contents: dict[int, bytes] = {}
    crcs = []
    for index in found:
        name, section, value = _SYMBOL.unpack_from(entries, 24 * index)
        if section in _NO_SECTION:
            crc = value & 0xFFFFFFFF
        else:
            data = contents.get(section)
            if data is None:
                data = contents[section] = sections.data(section)
            crc = int.from_bytes(data[value : value + 4], "little")
            if value + 4 > len(data) or len(contents) > _CRC_SECTIONS:
                raise _UnusualError
        crcs.append((intern(text[name + 6 : text.index("\0", name)]), crc))
    return tuple(crcs)


def _ksymtab_strings(sections: _Sections) -> tuple[tuple[str, int], ...]:
    """Return what is exported where symbols have no CRCs."""
    strings = sections.named(b"__ksymtab_strings\0")
    if not strings:
        return ()
    if strings[-1] or not strings.isascii() or strings.count(0) > _FEW_NAMES:
        raise _UnusualError
    return tuple([(intern(name), 0) for name in strings.decode("ascii").split("\0") if name])


def _version_names(data: bytes) -> list[str]:
    """Return the names in ``__versions``: 64 bytes each, the CRC and the name."""
    count, rest = divmod(len(data), 64)
    if not count and not rest:
        return []
    names: list[str] = _version_pattern()(data.decode("latin-1"))
    if rest or len(names) != count or count > _FEW_NAMES or not "".join(names).isascii():
        raise _UnusualError
    return names


def _version_pattern() -> Callable[[str], list[str]]:
    """Return what finds the names; ``re`` is imported for it, which takes half of a start."""
    global _find_versions
    if _find_versions is None:
        import re

        _find_versions = re.compile(r"(?s)(?=.{8}([^\0]{0,55})\0).{64}").findall
    return _find_versions


_find_versions: Callable[[str], list[str]] | None = None


def _modinfo(data: bytes) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str, str]:
    """Return the aliases, softdeps, weakdeps, vermagic and description of a ``.modinfo``."""
    values: dict[str, list[str]] = {key: [] for key in _KEYS}
    for string in data.decode("utf-8", "surrogateescape").split("\0"):
        key, _, value = string.partition("=")
        if key in values:
            values[key].append(value)
    aliases, softdeps, weakdeps, vermagics, descriptions = map(tuple, values.values())
    description = "".join(descriptions[:1])[:DESCRIPTION_MAX]
    return aliases, softdeps, weakdeps, intern("".join(vermagics[:1])), description
