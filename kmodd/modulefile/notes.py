# SPDX-License-Identifier: Apache-2.0
"""The build id that the linker notes in a module (``ld --build-id``; elf(5), Notes)."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodd.modulefile.elf import Elf

BUILD_ID_SECTION = ".note.gnu.build-id"
"""The section that the linker notes the build id in."""

MAX_NOTES = 64 << 10
"""Bytes of notes in the module with the most (Debian's have 36)."""

_OWNER = b"GNU\0"
_BUILD_ID = 3


def read_build_id(elf: Elf) -> bytes | None:
    """Return the module's build id, None where it has none.

    Raises ModuleFileError where a note reaches past the end of ``.note.gnu.build-id``.
    """
    data = elf.named_data(BUILD_ID_SECTION.encode(), limit=MAX_NOTES)
    return next(build_ids_in(data, elf), None)


def build_ids_in(data: bytes, elf: Elf) -> Iterator[bytes]:
    """Yield the build ids among the notes in ``data``; raises ModuleFileError as above."""
    try:
        yield from _build_ids(data, elf.order)
    except ValueError as error:
        raise elf.error(str(error)) from None


def build_id_in(data: bytes) -> str:
    """Return the build id among the notes of a loaded module, "" where there is none.

    It is in lower hexadecimal digits. Which byte order the notes are in the first number tells, the
    length of a name, which has few bytes.
    """
    order = ">" if data.startswith(b"\0") else "<"
    try:
        return next((each.hex() for each in _build_ids(data, order)), "")
    except ValueError:
        return ""


def _build_ids(data: bytes, order: str) -> Iterator[bytes]:
    """Yield the build ids among the notes in ``data``; raises ValueError where one is cut short."""
    header = struct.Struct(f"{order}3I")
    position = 0
    while position < len(data):
        start = position + header.size
        if start > len(data):
            raise ValueError("a note is cut short")
        owner_size, size, kind = header.unpack_from(data, position)
        begin = start + _padded(owner_size)
        position = begin + _padded(size)
        if begin + size > len(data):
            raise ValueError(f"a note of {size} bytes is cut short")
        if kind == _BUILD_ID and data[start : start + owner_size] == _OWNER:
            yield data[begin : begin + size]


def _padded(size: int) -> int:
    """Round up to the four bytes that notes are aligned to."""
    return (size + 3) & ~3
