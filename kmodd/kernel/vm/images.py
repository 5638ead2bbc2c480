# SPDX-License-Identifier: Apache-2.0
"""A release's image as QEMU boots it: where it is, whose processor it is for, how it is started.

Of an x86-64 kernel QEMU starts the ELF file in the image at its PVH entry point
(https://xenbits.xen.org/docs/unstable/misc/pvh.html): to unpack it in the guest takes an emulated
processor half of the boot. Where a kernel has no such entry, its own image is booted.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kmodd.errors import KernelError, KernelImageError, ModuleFileError, Reason
from kmodd.kernel.vm.machines import (
    AARCH64,
    MACHINES,
    RISCV64,
    S390X,
    X86_64,
    GuestMachine,
    machine_of,
)
from kmodd.kernel.vm.port import TreeRecord
from kmodd.kernelimage.payload import UnwrappedKernel, unwrapped
from kmodd.kernelimage.places import IMAGE_PLACES, find_image, find_in_root
from kmodd.kernelimage.sections import KernelSections
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.elf import Elf
from kmodd.modulefile.image import MemoryImage
from kmodd.records import record

BARE_PLACES = ("boot/vmlinux-{release}",)
"""Where Debian's packages put an image that is not wrapped in anything: that of ppc64le."""

LOOKED_AT = 16
"""Modules that are opened at most for one that says which processor it is for."""

_PVH_ENTRY = re.compile(rb"\x04\0\0\0[\x04\x08]\0\0\0\x12\0\0\0Xen\0")
"""A note of Xen's with the physical address of the entry (XEN_ELFNOTE_PHYS32_ENTRY)."""

_FLAT_MAGIC = {b"ARM\x64": AARCH64, b"RSC\x05": RISCV64}
_FLAT_OFFSET = 56
_BZIMAGE, _BZIMAGE_OFFSET = b"HdrS", 0x202
_S390, _S390_OFFSET = b"S390EP", 0x10008
_HEAD = _S390_OFFSET + len(_S390)
_COPIED = 1 << 20


@record
class GuestImage:
    """The image at ``path``, a kernel for ``machine``."""

    path: Path
    machine: GuestMachine


def machine_for(modules: Mapping[str, TreeRecord], directory: str, release: str) -> GuestMachine:
    """Return the machine that the modules of a release are for.

    ``directory`` is where their paths begin. Raises KernelError where no module tells, and for an
    architecture of which there are no guests.
    """
    for each in list(modules.values())[:LOOKED_AT]:
        try:
            with ModuleFile.open(f"{directory}/{each.path}") as module:
                found = Elf(MemoryImage(module.image, each.path))
                machine = machine_of(found.machine, found.bits, found.byteorder)
        except (ModuleFileError, OSError):
            continue
        if machine is None:
            why = (
                f"the modules of {release} are for a processor that kmodd has no guest of (ELF "
                f"machine {found.machine}, {found.bits} bits); there are "
                f"{', '.join(each.architecture for each in MACHINES)}"
            )
            raise KernelError(Reason.KERNEL_REFUSED, why)
        return machine
    why = f"{directory} has no module that tells which processor {release} is for"
    raise KernelError(Reason.KERNEL_REFUSED, why)


def image_for(root: Path, release: str, machine: GuestMachine, given: Path | None) -> GuestImage:
    """Return the image of ``release`` under ``root``, or that at ``given``.

    Raises KernelError where there is none, and KernelImageError for one that is for another
    architecture or of another release.
    """
    path = given or find_image(root, release) or find_in_root(root, release, BARE_PLACES)
    if path is None:
        places = " or ".join(str(root / each.format(release=release)) for each in IMAGE_PLACES)
        why = (
            f"there is no image of the kernel {release}: {places}; Debian's package "
            f"linux-image-{release} has it (unpack it with dpkg -x), and --kernel-image FILE says "
            "where it is elsewhere"
        )
        raise KernelError(Reason.KERNEL_REFUSED, why)
    found = _machine_at(path)
    if found not in (machine, None):
        is_for = found.architecture if isinstance(found, GuestMachine) else found
        why = (
            f"an image for {is_for}, but the modules of {release} are for "
            f"{machine.architecture} (Debian's package linux-image-{release})"
        )
        raise KernelImageError(str(path), why)
    return GuestImage(path, machine)


class BootFile(NamedTuple):
    """What QEMU is given as the kernel: a path, and the descriptor that it has to inherit."""

    path: str
    descriptor: int | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors to hand on."""
        return () if self.descriptor is None else (self.descriptor,)


@contextmanager
def boot_file(image: GuestImage) -> Iterator[BootFile]:
    """Give what is booted for ``image``; raises KernelImageError."""
    if image.machine is not X86_64:
        yield BootFile(str(image.path))
        return
    with unwrapped(str(image.path)) as kernel:
        fd = _copied(kernel) if _has_pvh_entry(kernel) else None
    if fd is None:
        yield BootFile(str(image.path))
        return
    try:
        yield BootFile(f"/proc/self/fd/{fd}", fd)
    finally:
        os.close(fd)


def _machine_at(path: Path) -> GuestMachine | str | None:
    """Return the machine of the image at ``path``; what need not be unpacked for it is not."""
    try:
        with open(path, "rb", opener=_opened) as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise KernelImageError(str(path), f"it cannot be read: {error.strerror}") from error
    if head.startswith(_BZIMAGE, _BZIMAGE_OFFSET):
        return X86_64
    if head[_FLAT_OFFSET : _FLAT_OFFSET + 4] in _FLAT_MAGIC:
        return _FLAT_MAGIC[head[_FLAT_OFFSET : _FLAT_OFFSET + 4]]
    if head.startswith(_S390, _S390_OFFSET):
        return S390X
    with unwrapped(str(path)) as kernel:
        return _machine_of(kernel)


def _opened(path: str, flags: int) -> int:
    # A pipe would have it wait for ever.
    return os.open(path, flags | os.O_NONBLOCK)


def _machine_of(kernel: UnwrappedKernel) -> GuestMachine | str | None:
    """Return the machine that a kernel is for, in words where there are none, None if unknown."""
    if kernel.is_elf:
        elf = Elf(kernel.image)
        found = machine_of(elf.machine, elf.bits, elf.byteorder)
        return found or f"another processor (ELF machine {elf.machine}, {elf.bits} bits)"
    magic = kernel.image.read(_FLAT_OFFSET, 4) if kernel.image.size > _FLAT_OFFSET + 4 else b""
    return _FLAT_MAGIC.get(magic)


def _has_pvh_entry(kernel: UnwrappedKernel) -> bool:
    if not kernel.is_elf:
        return False
    try:
        region = KernelSections(kernel).region(".notes")
    except (KernelImageError, ModuleFileError):
        return False
    return region is not None and _PVH_ENTRY.search(region.data) is not None


def _copied(kernel: UnwrappedKernel) -> int:
    """Return a descriptor of memory with the kernel in it."""
    fd = os.memfd_create("kernel", os.MFD_CLOEXEC)
    try:
        for start in range(0, kernel.image.size, _COPIED):
            piece = memoryview(kernel.image.read(start, min(_COPIED, kernel.image.size - start)))
            while piece:
                piece = piece[os.write(fd, piece) :]
    except BaseException:
        os.close(fd)
        raise
    return fd
