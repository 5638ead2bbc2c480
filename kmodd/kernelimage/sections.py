# SPDX-License-Identifier: Apache-2.0
"""The sections of a kernel by name and by address: what it was linked to be in memory.

A flat kernel has one section without a name, and addresses count from its beginning.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from kmodd.errors import KernelImageError
from kmodd.kernelimage.payload import UnwrappedKernel
from kmodd.modulefile.elf import Elf, SectionType

SECTION_MAX = 64 << 20
"""Bytes of a section that is read at most (the largest of Debian's that is read has 4.5 MB)."""

READ_MAX = 256 << 20
"""Bytes that all sections which are read come to at most: any number may lie on one stretch."""

TEXT_MAX = 512
"""Bytes of the longest string that anything in a kernel's tables points at."""


@dataclass(frozen=True, slots=True)
class SectionBytes:
    """Bytes of a kernel, and the address of the first."""

    name: str
    address: int
    data: bytes = field(repr=False)


class KernelSections:
    """The sections of one kernel; each is read once. For one thread.

    ``order`` is the byte order as the struct module writes it, ``word`` the bytes of a pointer;
    both are 64-bit little endian's for a flat kernel.
    """

    def __init__(self, kernel: UnwrappedKernel) -> None:
        """Raises ModuleFileError where the table of sections is not in order."""
        self.path = kernel.image.path
        self._image = kernel.image
        self.elf = Elf(kernel.image) if kernel.is_elf else None
        self.byteorder: Literal["little", "big"] = self.elf.byteorder if self.elf else "little"
        self.order = "<" if self.byteorder == "little" else ">"
        self.word = self.elf.bits // 8 if self.elf else 8
        self._kept: dict[int, SectionBytes] = {}
        self._left = READ_MAX

    def error(self, why: str) -> KernelImageError:
        """Return the error that says ``why`` this kernel's tables are wrong."""
        return KernelImageError(self.path, why)

    def region(self, name: str) -> SectionBytes | None:
        """Return the section of that name; None where there is none, or it has no bytes.

        Raises ModuleFileError, KernelImageError.
        """
        if self.elf is None:
            return None
        index = self.elf.index_of(name.encode())
        region = self._region(index) if index is not None else None
        return region if region and region.data else None

    def searched(self, *names: str) -> list[SectionBytes]:
        """Return those of these sections that there are; all that a flat kernel has."""
        if self.elf is None:
            return [self._flat]
        return [region for name in names if (region := self.region(name))]

    def at(self, address: int) -> tuple[SectionBytes, int] | None:
        """Return the section that ``address`` is in, and the offset there; None for no section."""
        for start, end, index in self._spans:
            if start <= address < end:
                region = self._region(index)
                return region, address - start
        return None

    def text_at(self, address: int) -> str | None:
        """Return the string at ``address``; None where there is none that ends."""
        found = self.at(address)
        if found is None:
            return None
        region, offset = found
        end = region.data.find(b"\0", offset, offset + TEXT_MAX)
        return None if end < 0 else region.data[offset:end].decode("utf-8", "surrogateescape")

    @cached_property
    def _spans(self) -> list[tuple[int, int, int]]:
        """The first address, the end and the index of each section that is loaded."""
        if self.elf is None:
            return []
        return [
            (each.addr, each.addr + each.size, each.index)
            for each in self.elf.sections
            if each.addr and each.type == SectionType.PROGBITS and each.size <= SECTION_MAX
        ]

    @cached_property
    def _flat(self) -> SectionBytes:
        return SectionBytes("", 0, self._image.read(0, self._image.size))

    def _region(self, index: int) -> SectionBytes:
        region = self._kept.get(index)
        if region is None:
            assert self.elf is not None
            section = self.elf.section_at(index)
            data = self.elf.data(index, limit=min(SECTION_MAX, self._left))
            self._left -= len(data)
            region = self._kept[index] = SectionBytes(section.name, section.addr, data)
        return region
