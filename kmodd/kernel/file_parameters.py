# SPDX-License-Identifier: Apache-2.0
"""The parameters that a module's file has, with what they are before any is given.

A loaded module shows what its parameters are, and nobody shows what they were. The next one's file
has that in its ``__param`` section, and by whose functions each is set and shown.
"""

from collections.abc import Mapping

from kmodd.errors import ModuleFileError
from kmodd.modulefile import ModuleFile, SectionType
from kmodd.records import record

TAKES_WHAT_IT_SHOWS = frozenset(
    {
        *("byte", "short", "ushort", "int", "uint", "long", "ulong", "ullong", "hexint"),
        *("bool", "bool_enable_only", "invbool", "bint", "charp", "string"),
    }
)
"""The kinds of kernel/params.c, each of which can be given what it shows."""


@record
class FileParameter:
    """A parameter of a module's file. ``kind`` is its type in moduleparam.h's words, that of its
    elements where it ``is_array``, "" where the module's own code sets and shows it. ``value`` is
    what it shows before it is given, None where that cannot be told.
    """

    kind: str
    is_array: bool
    value: str | None

    @property
    def takes_what_it_shows(self) -> bool:
        """Whether a load can be given what the file of the parameter shows."""
        return self.kind in TAKES_WHAT_IT_SHOWS


def file_parameters(module: ModuleFile) -> Mapping[str, FileParameter]:
    """Return the parameters of a module's file by their names, with underscores.

    None of a file whose table does not add up: no kernel takes such a one.
    """
    # The emulated kernel goes by the same table; the other one does so without our help.
    from kmodd.kernel.emulated.modules.param_table import read_parameters
    from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns

    try:
        if all(section.type != SectionType.SYMTAB for section in module.elf.sections):
            return {}
        found = read_parameters(module, SymbolColumns(module))
    except ModuleFileError:
        return {}
    return {
        each.name.replace("-", "_"): FileParameter(each.kind, each.is_array, each.value)
        for each in found
    }
