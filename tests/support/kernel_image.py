# SPDX-License-Identifier: Apache-2.0
"""Put a kernel's image together: a small linked ELF file, and what images wrap it in."""

import bz2
import gzip
import lzma
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from kmodd.modulefile.exports import ExportedSymbol
from tests.support.signatures import certificate_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RELEASE = "6.1.0-test"
BANNER = f"Linux version {RELEASE} (me@here) (gcc 12) #1 SMP Debian\n"
VERMAGIC = f"{RELEASE} SMP preempt mod_unload modversions "
BASE = 0xFFFFFFFF81000000
"""The address of the first section of a 64-bit kernel."""

EXPORTS = (
    ExportedSymbol("_printk", 0x92997ED8, gpl_only=False, namespace=""),
    ExportedSymbol("kfree", 0x037A0CBA, gpl_only=False, namespace=""),
    ExportedSymbol("gpl_do", 0xFFFFFFFF, gpl_only=True, namespace=""),
    ExportedSymbol("spaced_do", 1, gpl_only=True, namespace="SPACE"),
)
PARAMETERS = (("core.quiet", 0), ("loud.volume", 0o644), ("loud.tone", 0o444), ("panic", 0o644))
VERSIONED = ("with_version",)
CERTIFICATES = (certificate_of(b"\x12\x34"), certificate_of(b"\x56\x78", key_id=b"\x9a" * 20))


@dataclass(frozen=True, slots=True)
class Linked:
    """A section as it is linked: its bytes, and where they are to be in memory."""

    name: str
    address: int
    data: bytes


def write_vmlinux(
    sections: Sequence[Linked], *, bits: Literal[32, 64] = 64, order: Literal["<", ">"] = "<"
) -> bytes:
    """Return an ELF file with a table of these sections, and no program headers."""
    names = b"\0" + b"".join(each.name.encode() + b"\0" for each in sections) + b".shstrtab\0"
    header_size, layout = (64, "IIQQQQIIQQ") if bits == 64 else (52, "10I")
    body = bytearray(header_size)
    rows = [struct.pack(order + layout, *[0] * 10)]
    for each in sections:
        start = len(body) + -len(body) % 16
        body.extend(bytes(start - len(body)) + each.data)
        name = names.index(b"\0" + each.name.encode() + b"\0") + 1
        row = (name, 1, 2, each.address, start, len(each.data), 0, 0, 1, 0)
        rows.append(struct.pack(order + layout, *row))
    name = names.index(b"\0.shstrtab\0") + 1
    rows.append(struct.pack(order + layout, name, 3, 0, 0, len(body), len(names), 0, 0, 1, 0))
    body += names
    table = len(body) + -len(body) % 16
    body += bytes(table - len(body)) + b"".join(rows)
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    word = "Q" if bits == 64 else "I"
    fields = (2, 62, 1, 0, 0, table, 0, header_size, 0, 0, len(rows[0]), len(rows), len(rows) - 1)
    body[:header_size] = ident + struct.pack(f"{order}HHI3{word}I6H", *fields)
    return bytes(body)


def strings_of(exports: Sequence[ExportedSymbol]) -> bytes:
    """Return names and namespaces as a linker has them: each once, and tails shared."""
    texts = {each.name for each in exports} | {each.namespace for each in exports}
    kept = sorted(
        text for text in texts if not any(other != text and other.endswith(text) for other in texts)
    )
    return b"".join(text.encode() + b"\0" for text in kept)


def symbol_table(
    exports: Sequence[ExportedSymbol],
    address: int,
    strings: Linked,
    *,
    order: str = "<",
    words: int = 3,
    pointer: int = 0,
) -> bytes:
    """Return a ``__ksymtab`` at ``address``: of offsets, or of pointers of ``pointer`` bytes."""
    size = pointer or 4
    table = bytearray()
    for each in exports:
        for index, text in enumerate((None, each.name, each.namespace)[:words]):
            place = address + len(table)
            target = place - 0x1000
            if text is not None:
                target = strings.address + strings.data.index(text.encode() + b"\0")
            if index == 2 and not text and pointer:
                target = 0
            value = target if pointer else target - place
            code = ("i" if not pointer else "I") if size == 4 else "Q"
            table += struct.pack(order + code, value)
    return bytes(table)


def crc_table(exports: Sequence[ExportedSymbol], order: str = "<") -> bytes:
    """Return the ``__kcrctab`` of these."""
    return b"".join(struct.pack(f"{order}I", each.crc) for each in exports)


def export_sections(
    exports: Sequence[ExportedSymbol] = EXPORTS, at: int = BASE + 0x10000
) -> list[Linked]:
    """Return the tables of what a 64-bit kernel exports."""
    strings = Linked("__ksymtab_strings", at + 0x8000, strings_of(exports))
    sections = [strings]
    for number, (suffix, gpl_only) in enumerate((("", False), ("_gpl", True))):
        own = [each for each in exports if each.gpl_only is gpl_only]
        place = at + 0x1000 * number
        table = symbol_table(own, place, strings)
        sections.append(Linked(f"__ksymtab{suffix}", place, table))
        sections.append(Linked(f"__kcrctab{suffix}", place + 0x4000, crc_table(own)))
    return sections


def parameter_sections(
    parameters: Sequence[tuple[str, int]] = PARAMETERS, at: int = BASE + 0x20000
) -> list[Linked]:
    """Return the table of a 64-bit kernel's own parameters, and their names."""
    texts = [name for name, _ in parameters] + list(VERSIONED)
    names = b"".join(text.encode() + b"\0" for text in texts)
    place = {text: at + 0x4000 + names.index(text.encode() + b"\0") for text in texts}
    table = b"".join(
        struct.pack("<QQQHbB4xQ", place[name], 0, 0, mode, -1, 0, 0) for name, mode in parameters
    )
    versions = b"".join(bytes(56) + struct.pack("<QQ", place[name], 0) for name in VERSIONED)
    return [
        Linked(".data", at + 0x4000, names),
        Linked("__param", at, table),
        Linked("__modver", at + 0x2000, versions),
    ]


def trusted_list(certificates: Sequence[bytes] = CERTIFICATES, *, made: int | None = None) -> bytes:
    """Return certificates and behind them what tells of them, eight bytes aligned."""
    listed = b"".join(certificates)
    first = len(certificates[0]) if made is None else made
    padding = bytes(-len(listed) % 8)
    return listed + padding + struct.pack("<QQ", len(listed), first)


def vmlinux_sections(release: str = RELEASE) -> list[Linked]:
    """Return all sections of a small kernel of that release."""
    words = (BANNER + "\0" + VERMAGIC + "\0").replace(RELEASE, release)
    said = bytes(3) + words.encode()
    init = b"\x55" * 16 + trusted_list() + b"\x55" * 16
    return [
        Linked(".rodata", BASE, said),
        *export_sections(),
        *parameter_sections(),
        Linked(".init.data", BASE + 0x30000, init),
    ]


def lz4_frame(data: bytes) -> bytes:
    """Return ``data`` as a legacy frame: in blocks of literals, and what repeats as one match."""
    frame = b"\x02\x21\x4c\x18"
    for start in range(0, len(data), 8 << 20):
        block = lz4_literals(data[start : start + (8 << 20)])
        frame += struct.pack("<I", len(block)) + block
    return frame


def lz4_literals(data: bytes) -> bytes:
    """Return a block of one sequence, of literals alone."""
    return bytes([min(len(data), 15) << 4]) + _rest(len(data)) + data


def lz4_match(literals: bytes, distance: int, length: int) -> bytes:
    """Return a sequence of fewer than 15 literals and a match."""
    more = length - 4
    token = len(literals) << 4 | min(more, 15)
    return bytes([token]) + literals + struct.pack("<H", distance) + _rest(more)


def _rest(length: int) -> bytes:
    if length < 15:
        return b""
    full, last = divmod(length - 15, 255)
    return b"\xff" * full + bytes([last])


PACKINGS: Mapping[str, object] = {
    "zstd": zstd.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "gzip": partial(gzip.compress, mtime=0),
    "lz4": lz4_frame,
    "bzip2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}
"""How kernels are packed, by the names of CONFIG_KERNEL_*."""


def pack(data: bytes, packing: str) -> bytes:
    """Return ``data`` packed that way, and behind it its size, as kernels are built."""
    packer = PACKINGS[packing]
    assert callable(packer)
    packed: bytes = packer(data)
    return packed + struct.pack("<I", len(data))


def bz_image(payload: bytes, *, sectors: int = 3, version: int = 0x20F) -> bytes:
    """Return a bzImage with that payload."""
    setup = bytearray((sectors + 1) * 512)
    setup[:2] = b"MZ"
    setup[0x1F1] = sectors
    setup[0x1FE:0x200] = b"\x55\xaa"
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, version)
    struct.pack_into("<II", setup, 0x248, 64, len(payload))
    return bytes(setup) + bytes(64) + payload + bytes(100)


def zboot_image(payload: bytes, packing: str) -> bytes:
    """Return an EFI zboot image with that payload."""
    head = (
        b"MZ\0\0zimg" + struct.pack("<II8x", 512, len(payload)) + packing.encode().ljust(32, b"\0")
    )
    return head.ljust(512, b"\0") + payload + bytes(64)


def unified_image(kernel: bytes, section: bytes = b".linux") -> bytes:
    """Return a PE file with that kernel in a section."""
    head = bytearray(512)
    head[:2] = b"MZ"
    struct.pack_into("<I", head, 0x3C, 64)
    head[64:68] = b"PE\0\0"
    struct.pack_into("<HH12xHH", head, 68, 0x8664, 2, 16, 0)
    for number, (name, size, offset) in enumerate(
        ((b".osrel", 4, 508), (section, len(kernel), 512))
    ):
        row = (name.ljust(8, b"\0"), size, 0, size, offset, 0, 0, 0, 0, 0)
        struct.pack_into("<8sIIIIIIHHI", head, 64 + 24 + 16 + 40 * number, *row)
    return bytes(head) + kernel


def flat_kernel(contents: bytes) -> bytes:
    """Return a kernel of arm64, flat, with these contents behind its header."""
    return bytes(56) + b"ARM\x64" + bytes(4) + contents
