# SPDX-License-Identifier: Apache-2.0
"""An image, opened and read: all that is asked of it at once.

It brings all that unpacks, which takes 15 ms to import: most starts find what was kept, and need
none of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kmodd.errors import KernelImageError, ModuleFileError
from kmodd.kernelimage.btf import BTF_BEGINNING, Btf, Layouts
from kmodd.kernelimage.certificates import read_trusted
from kmodd.kernelimage.exports import read_kernel_exports
from kmodd.kernelimage.facts import ImageFacts
from kmodd.kernelimage.parameters import read_directories
from kmodd.kernelimage.payload import unwrapped
from kmodd.kernelimage.prototypes import read_prototypes
from kmodd.kernelimage.questions import LayoutQuestion, answer
from kmodd.kernelimage.sections import KernelSections
from kmodd.kernelimage.words import read_banner, read_vermagic
from kmodd.modulefile.exports import ExportedSymbol

PER_CPU_MAX = 64 << 10
"""Bytes of a variable that each processor has at most; stacks are the largest."""


@contextmanager
def opened(path: str) -> Iterator[KernelSections]:
    """Give the sections of the kernel in the image at ``path``.

    Raises KernelImageError, also for what goes wrong with the tables while the context is open.
    """
    try:
        with unwrapped(path) as kernel:
            yield KernelSections(kernel)
    except ModuleFileError as error:
        raise KernelImageError(path, error.why) from error


def read_facts(path: str, questions: Sequence[LayoutQuestion] = ()) -> ImageFacts:
    """Return what the image at ``path`` says; its memory is given back by then.

    ``questions`` are what is asked of its types.

    Raises KernelImageError where it cannot be read, is no image, or lies about itself.
    """
    with opened(path) as kernel:
        release, banner = read_banner(kernel)
        layouts = layouts_of(kernel) if questions else None
        exports = read_kernel_exports(kernel)
        return ImageFacts(
            release=release,
            banner=banner,
            vermagic=read_vermagic(kernel, release),
            exports=exports,
            directories=read_directories(kernel),
            certificates=read_trusted(kernel),
            layouts=None if layouts is None else answer(layouts, questions),
            per_cpu={} if layouts is None else _per_cpu(layouts),
            prototypes=_prototypes(layouts, exports),
        )


def read_types(path: str, release: str, questions: Sequence[LayoutQuestion]) -> ImageFacts:
    """Return what the file of types at ``path`` answers: a ``vmlinux``, or a section of one.

    That it is of ``release`` its place says; if it has a banner, that has to say so, too.

    Raises KernelImageError as ``read_facts`` does, and where there are no types.
    """
    with opened(path) as kernel:
        try:
            found, _ = read_banner(kernel)
        except KernelImageError:
            found = release
        if found != release:
            raise kernel.error(f"it is not of {release}, but of {found}")
        layouts = layouts_of(kernel)
        if layouts is None:
            raise kernel.error("it has no types (.BTF)")
        return ImageFacts(
            release=release,
            banner="",
            layouts=answer(layouts, questions),
            per_cpu=_per_cpu(layouts),
            prototypes=read_prototypes(layouts),
        )


def _per_cpu(layouts: Layouts) -> dict[str, int]:
    variables = layouts.variables(".data..percpu").values()
    return {each.name: each.size for each in variables if each.size <= PER_CPU_MAX}


def _prototypes(
    layouts: Layouts | None, exports: Sequence[ExportedSymbol] | None
) -> dict[str, str]:
    if layouts is None or exports is None:
        return {}
    return read_prototypes(layouts, (each.name for each in exports))


def layouts_of(kernel: KernelSections) -> Layouts | None:
    """Return the kernel's types; None where it has none. Raises KernelImageError.

    In a flat kernel they are found by what they begin with.
    """
    for region in kernel.searched(".BTF"):
        start = region.data.find(BTF_BEGINNING) if kernel.elf is None else 0
        if start >= 0:
            return Layouts(Btf(region.data[start:], kernel.path))
    return None
