# SPDX-License-Identifier: Apache-2.0
"""A module's file that wants to become a module, and which of its sections the kernel sees."""

from kmodd.modulefile import ModuleFile
from kmodd.modulefile.elf import Section
from kmodd.records import record

SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
"""Section flags of elf(5)."""


@record
class Candidate:
    """A module whose headers are in order, on its way into the kernel.

    ``name`` is the one in its ``struct module``, which the kernel will know it by; ``label`` is
    what early messages call it, the one in ``.modinfo`` where there is one.
    """

    module: ModuleFile
    label: str
    name: str
    modinfo: tuple[tuple[str, str], ...]

    def info(self, tag: str) -> str | None:
        """Return the first value of ``tag`` in .modinfo (get_modinfo)."""
        return next((value for key, value in self.modinfo if key == tag), None)

    def infos(self, tag: str) -> tuple[str, ...]:
        """Return all values of ``tag`` in .modinfo."""
        return tuple(value for key, value in self.modinfo if key == tag)

    def section(self, name: str) -> Section | None:
        """Return the first section of that name that is allocated: the kernel sees no other."""
        return find_section(self.module, name)


def find_section(module: ModuleFile, name: str) -> Section | None:
    """Return the first allocated section of that name, as ``find_sec`` does."""
    found = module.section(name)
    if found is None or found.flags & SHF_ALLOC:
        return found
    for section in module.elf.sections[found.index + 1 :]:
        if section.name == name and section.flags & SHF_ALLOC:
            return section
    return None
