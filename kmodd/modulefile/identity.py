# SPDX-License-Identifier: Apache-2.0
"""Which module a file holds, whatever the file is called: its own names, and its build."""

from __future__ import annotations

from kmodd.modulefile.elf import SectionContents
from kmodd.modulefile.file import THIS_MODULE
from kmodd.modulefile.modinfo import pairs_of, strings_in
from kmodd.modulefile.notes import BUILD_ID_SECTION, build_ids_in
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodd.modulefile.file import ModuleFile


@record
class Identity:
    """What a module file says of which module it is.

    ``names`` are all that a kernel may know it by, as they are spelled there: it lists the one in
    its ``struct module``, and judges by the one in ``.modinfo`` before it has that. ``builds`` are
    the build ids that the linker noted, in lower hexadecimal digits, ``source_versions`` the hashes
    of the sources (srcversion).
    """

    names: tuple[str, ...]
    builds: tuple[str, ...] = ()
    source_versions: tuple[str, ...] = ()


def read_identity(module: ModuleFile) -> Identity:
    """Return which module a file holds.

    Which of several sections of one name a kernel takes is its own affair, so all of them count.
    Raises ModuleFileError where that cannot be told; a kernel refuses what has no name.
    """
    contents = SectionContents(module.elf)
    own: list[str] = []
    told: list[str] = []
    sources: list[str] = []
    builds: list[str] = []
    for section in module.elf.sections:
        if section.name == THIS_MODULE:
            own.append(module.name_in(contents[section.index]))
        elif section.name == ".modinfo":
            pairs = pairs_of(strings_in(contents[section.index]))
            told += [value for key, value in pairs if key == "name"]
            sources += [value for key, value in pairs if key == "srcversion"]
        elif section.name == BUILD_ID_SECTION:
            builds += [each.hex() for each in build_ids_in(contents[section.index], module.elf)]
    if not all(own) or not own:
        raise module.elf.error(f"which module it is cannot be told: no name in {THIS_MODULE}")
    names = dict.fromkeys(filter(None, (*own, *told)))
    return Identity(tuple(names), tuple(builds), tuple(sources))
