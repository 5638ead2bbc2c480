# SPDX-License-Identifier: Apache-2.0
"""Module.symvers: what a kernel's build says of its exported symbols.

A line has, separated by tabs: CRC, symbol, module, kind of export, namespace
(Documentation/kbuild/modules.rst); ``depmod -E`` is content with the first three.
"""

import re

from kmodd.modulefile.exports import ExportedSymbol

_LINE = re.compile(
    r"0x([0-9a-fA-F]{1,16})\t([^\t\n]+)\tvmlinux(?:\t([^\t\n]*))?(?:\t([^\t\n]*))?(?:\t.*)?$",
    re.MULTILINE,
)


def read_symvers(data: bytes) -> dict[str, ExportedSymbol]:
    """Return the symbols of the kernel itself by name; of two lines for one the last counts.

    Lines of modules, and lines that do not have this form, are passed over.
    """
    found = _LINE.findall(data.decode("utf-8", "surrogateescape"))
    return {
        name: ExportedSymbol(name, int(crc, 16), kind.endswith("_GPL"), namespace)
        for crc, name, kind, namespace in found
    }
