# SPDX-License-Identifier: Apache-2.0
"""Which names have a directory in /sys/module before any module is loaded.

Those that parameters of the kernel's own are named for and that have a file
(``param_sysfs_builtin`` in kernel/params.c), and those of its parts that have a version
(``version_sysfs_builtin``). ``modules.builtin.modinfo`` does not know: a part may name its
parameters for something else (MODULE_PARAM_PREFIX).
"""

import struct
from collections.abc import Iterator

from kmodd.kernelimage.sections import KernelSections

NAME_MAX = 64
"""Characters of a part's name at most (MODULE_NAME_LEN)."""

NO_PREFIX = "kernel"
"""The directory of parameters without a prefix."""

_FORMS = {8: "QQQHbB4xQ", 4: "IIIHbBI"}
"""``struct kernel_param``: name, module, operations, permissions, level, flags, argument."""

_WORDS_TO_NAME = 7
"""Words of ``struct module_attribute``, which comes first in ``struct module_version_attribute``:
a name and a mode, then five functions. The part's name and its version follow."""


def read_directories(kernel: KernelSections) -> frozenset[str] | None:
    """Return the names that have a directory; None where the kernel does not tell.

    Raises KernelImageError where its table of parameters is not in order.
    """
    table = kernel.region("__param")
    if table is None:
        return None
    layout = struct.Struct(kernel.order + _FORMS[kernel.word])
    if len(table.data) % layout.size:
        raise kernel.error(f"__param has {len(table.data)} bytes")
    found = set()
    for name, _, _, permissions, *_ in layout.iter_unpack(table.data):
        text = kernel.text_at(name)
        if text is None:
            # A kernel that is relocated as it boots has its pointers elsewhere.
            return None
        if permissions:
            prefix, dot, _ = text.partition(".")
            found.add(prefix if dot else NO_PREFIX)
    return frozenset(name[:NAME_MAX] for name in (*found, *_with_version(kernel)))


def _with_version(kernel: KernelSections) -> list[str]:
    """Return the parts that have a version; none where the table is of a form that is not known."""
    table = kernel.region("__modver")
    if table is None:
        return []
    word = kernel.word
    code = "Q" if word == 8 else "I"
    entry = word * (_WORDS_TO_NAME + 2)
    if not len(table.data) % entry:
        pointers = struct.Struct(f"{kernel.order}{_WORDS_TO_NAME * word}x2{code}")
        names = [kernel.text_at(name) for name, _ in pointers.iter_unpack(table.data)]
        if all(names):
            return [name for name in names if name]
    if not len(table.data) % word:
        # Until Linux 5.11 the table is one of pointers to these.
        places = struct.unpack(f"{kernel.order}{len(table.data) // word}{code}", table.data)
        return list(_pointed_at(kernel, places))
    return []


def _pointed_at(kernel: KernelSections, places: tuple[int, ...]) -> Iterator[str]:
    code = "Q" if kernel.word == 8 else "I"
    for place in places:
        found = kernel.at(place + _WORDS_TO_NAME * kernel.word)
        if found is None or found[1] + kernel.word > len(found[0].data):
            continue
        (name,) = struct.unpack_from(kernel.order + code, found[0].data, found[1])
        if text := kernel.text_at(name):
            yield text
