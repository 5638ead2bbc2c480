# SPDX-License-Identifier: Apache-2.0
"""All that is asked of a kernel's image, and small images that have an answer to it."""

from collections.abc import Callable
from contextlib import suppress

from kmodd.errors import KernelImageError
from kmodd.kernelimage.btf import BtfKind, Layouts
from kmodd.kernelimage.facts import dump_facts, load_facts, stamp_of
from kmodd.kernelimage.questions import LayoutQuestion
from kmodd.kernelimage.reading import layouts_of, opened, read_facts
from tests.support.btf_writer import BtfWriter
from tests.support.kernel_image import (
    BASE,
    Linked,
    bz_image,
    pack,
    unified_image,
    vmlinux_sections,
    write_vmlinux,
    zboot_image,
)

QUESTIONS = (
    LayoutQuestion(("outer",), (), is_size=True),
    LayoutQuestion(("gone", "outer"), ("y", "all"), is_size=False),
    LayoutQuestion(("alias",), ("x",), is_size=True),
)


def types() -> bytes:
    """Return types of each kind."""
    writer = BtfWriter()
    long, number = writer.integer("long unsigned int", 8), writer.integer("int", 4)
    pointer = writer.add(BtfKind.PTR, rest=long)
    array = writer.add(BtfKind.ARRAY, once=(pointer, number, 3))
    inner = writer.structure("", 8, [("x", number, 0), ("y", number, 32)], kind=BtfKind.UNION)
    writer.structure("outer", 40, [("z", number, 0), ("", inner, 64), ("all", array, 128)])
    writer.add(BtfKind.TYPEDEF, "alias", inner)
    writer.add(BtfKind.ENUM, "mode", 4, parts=[("MODE_ABS", 0)])
    writer.add(BtfKind.ENUM64, "big", 8, parts=[("HIGH", 1, 2)])
    prototype = writer.add(BtfKind.FUNC_PROTO, "", number, parts=[("size", long), (0, 0)])
    writer.add(BtfKind.FUNC, "kmalloc", prototype)
    writer.function("_printk", pointer, pointer, number, variadic=True)
    variable = writer.add(BtfKind.VAR, "current_task", long, once=(1,))
    writer.add(BtfKind.DATASEC, ".data..percpu", 64, parts=[(variable, 0, 8)])
    return writer.data()


TYPES = types()
VMLINUX = write_vmlinux([*vmlinux_sections(), Linked(".BTF", BASE + 0x40000, TYPES)])


def ask_types(layouts: Layouts) -> None:
    """Ask all that there is to ask, each question for itself."""
    btf = layouts.btf
    attempt(layouts.fields, "outer")
    attempt(layouts.field, "outer", "all")
    attempt(layouts.field, "alias", "y")
    attempt(layouts.enumerator, "HIGH")
    attempt(layouts.prototype, "kmalloc")
    attempt(layouts.variables, ".data..percpu")
    for number in range(btf.count + 1):
        attempt(layouts.size_of, number)
        attempt(btf.name, number)


def attempt(question: Callable[..., object], *about: object) -> None:
    """Ask a question, and take the one error for an answer."""
    with suppress(KernelImageError):
        question(*about)


def ask(path: str) -> bool:
    """Ask all of the image at ``path``; returns whether it could be read."""
    with suppress(KernelImageError), opened(path) as kernel:
        layouts = layouts_of(kernel)
        if layouts is not None:
            ask_types(layouts)
    try:
        facts = read_facts(path, QUESTIONS)
    except KernelImageError:
        return False
    stamp = stamp_of(path)
    assert load_facts(dump_facts(facts, stamp, QUESTIONS), stamp, QUESTIONS) == facts
    return True


def images() -> list[bytes]:
    """Return the image in all that one may be packed in; the first are not packed."""
    return [
        VMLINUX,
        VMLINUX,
        VMLINUX,
        bz_image(pack(VMLINUX, "zstd")),
        bz_image(pack(VMLINUX, "lz4")),
        zboot_image(pack(VMLINUX, "gzip"), "gzip"),
        unified_image(VMLINUX),
        bz_image(pack(VMLINUX, "xz")),
        bz_image(pack(VMLINUX, "bzip2")),
        pack(VMLINUX, "lzma"),
    ]
