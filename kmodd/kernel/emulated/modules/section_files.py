# SPDX-License-Identifier: Apache-2.0
"""What a module's directory in /sys/module tells of its sections (kernel/module/sysfs.c).

A kernel with kallsyms makes a file in ``sections`` for every section that it has given memory to,
with the address that was given; what was for init stays listed when that memory is gone. So do the
symbol table and its strings, which the kernel puts behind init's own sections. ``notes`` has the
contents of those among them that are notes. Two sections of one name spoil the directory. The
counters of allocations (``.codetag.*``), which lie elsewhere since 6.13, are left out here.
"""

from array import array
from collections import Counter

from kmodd.kernel.base import ModuleNote, ModuleSection
from kmodd.kernel.emulated.modules.layout import Layout
from kmodd.modulefile import ModuleFile, SectionType
from kmodd.modulefile.elf import Section
from kmodd.records import field, record

SECTIONS_MAX, NAME_MAX = 4096, 255
"""Files of a directory that are told of, and the characters of the longest name of a file."""

NOTES_MAX = 64 << 10
"""Bytes of notes that are kept of one module; those of Debian's have 100."""


@record
class SectionFiles:
    """The files in ``sections`` and ``notes`` of one module, kept small: there may be many modules.

    ``names`` are those of the sections, joined by NULs; ``addresses`` where they are.
    """

    names: str = ""
    addresses: "array[int]" = field(default_factory=lambda: array("Q"))
    notes: tuple[ModuleNote, ...] = ()

    def sections(self) -> tuple[ModuleSection, ...]:
        """Return the sections by name."""
        pairs = zip(self.names.split("\0"), self.addresses, strict=False)
        return tuple(ModuleSection(name, address) for name, address in sorted(pairs))


def section_files(
    module: ModuleFile, layout: Layout, address: int, init_address: int
) -> SectionFiles:
    """Return the files for a module whose memory begins at ``address``, and that of init at
    ``init_address``. Raises ModuleFileError.
    """
    if not layout.table_places:
        # A kernel without kallsyms has no such directories.
        return SectionFiles()
    starts = (
        (layout.core_places, address),
        (layout.init_places, init_address),
        (layout.table_places, init_address),
    )
    found = dict[int, int]()
    for places, start in starts:
        found |= {index: start + at for index, at in places.items()}
    shown = [each for each in module.elf.sections if each.size and each.index in found]
    shown = [each for each in shown if len(each.name) <= NAME_MAX][:SECTIONS_MAX]
    names = [each.name for each in shown]
    if max(Counter(names).values(), default=0) > 1:
        return SectionFiles(notes=_notes(module, shown))
    addresses = array("Q", (found[each.index] for each in shown))
    return SectionFiles("\0".join(names), addresses, _notes(module, shown))


def _notes(module: ModuleFile, shown: list[Section]) -> tuple[ModuleNote, ...]:
    notes, left = list[ModuleNote](), NOTES_MAX
    for section in shown:
        if section.type == SectionType.NOTE and section.size <= left:
            left -= section.size
            notes.append(ModuleNote(section.name, module.elf.data(section.index)))
    return tuple(sorted(notes, key=lambda note: note.name))
