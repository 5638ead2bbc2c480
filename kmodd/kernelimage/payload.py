# SPDX-License-Identifier: Apache-2.0
"""From the file that a machine boots to the kernel in it.

A bzImage (Documentation/arch/x86/boot.rst) has an ELF file behind its own code, compressed; an EFI
zboot image (drivers/firmware/efi/libstub/zboot-header.S) something compressed; a unified kernel
image one of these in the section ``.linux`` of a PE file; headers packages and PowerPC have the ELF
file itself. The kernel of arm64, RISC-V and LoongArch is flat: a copy of memory, with a header
(Documentation/arch/arm64/booting.rst) and no tables. A file of types alone, as a running kernel
has it, is taken for a flat kernel that has nothing else.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from stat import S_ISREG
from typing import NamedTuple

from kmodd.errors import KernelImageError, ModuleFileError
from kmodd.kernelimage.btf import BTF_BEGINNING
from kmodd.kernelimage.unpacking import UNPACKED_MAX, compression_of, unpack
from kmodd.modulefile.image import FileImage

NESTED_MAX = 4
"""Wrappings around a kernel at most: a PE file, a bzImage in it, its stream, an image in that."""

_ELF = b"\x7fELF"
_HEADER = 0x268
_BOOT_FLAG, _BOOT_MAGIC = 0x1FE, b"\x55\xaa"
_SETUP_SECTS, _HDRS, _VERSION = 0x1F1, 0x202, 0x206
_PAYLOAD = struct.Struct("<II")
_PAYLOAD_OFFSET = 0x248
_PAYLOAD_SINCE = 0x208
_SECTOR = 512
_SETUP_DEFAULT = 4
_FLAT_MAGIC, _FLAT_OFFSET = (b"ARM\x64", b"RSC\x05"), 56
_ZBOOT_MAGIC = b"MZ\0\0zimg"
_PE_SECTION = struct.Struct("<8sIIIIIIHHI")
_PE_SECTIONS_MAX = 96


class Payload(NamedTuple):
    """What is inside: ``size`` bytes at ``start``, compressed or not."""

    start: int
    size: int


class UnwrappedKernel(NamedTuple):
    """A kernel out of its wrappings; ``is_elf`` tells that it has tables, else it is flat."""

    image: FileImage
    is_elf: bool


@contextmanager
def unwrapped(path: str) -> Iterator[UnwrappedKernel]:
    """Give the kernel in the image at ``path``; its memory is given back at the end.

    Raises KernelImageError where the file cannot be read, is of no form that is known, or says of
    itself what is not so; what is unpacked takes at most UNPACKED_MAX bytes a wrapping, of which
    two are held at a time.
    """
    image: FileImage = _opened(path)
    try:
        for _ in range(NESTED_MAX):
            head = image.read(0, min(image.size, _HEADER))
            if head.startswith(_ELF):
                yield UnwrappedKernel(image, is_elf=True)
                return
            if head.startswith(_FLAT_MAGIC, _FLAT_OFFSET) or head.startswith(BTF_BEGINNING):
                if image.size > UNPACKED_MAX:
                    raise KernelImageError(path, f"a kernel of {image.size} bytes")
                yield UnwrappedKernel(image, is_elf=False)
                return
            outer, image = image, _inner(image, _payload(image, head))
            outer.close()
        raise KernelImageError(path, f"more than {NESTED_MAX} wrappings, one in another")
    except ModuleFileError as error:
        raise KernelImageError(path, error.why) from error
    finally:
        image.close()


def _opened(path: str) -> FileImage:
    try:
        # A pipe would have it wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KernelImageError(path, f"it cannot be read: {error.strerror}") from error
    image = FileImage(fd, path)
    if not S_ISREG(image.status.st_mode):
        image.close()
        raise KernelImageError(path, "not a file")
    return image


def _inner(image: FileImage, payload: Payload) -> FileImage:
    """Return what is inside, in memory that closes with it."""
    fd = os.memfd_create("kernel", os.MFD_CLOEXEC)
    try:
        head = image.read(payload.start, min(payload.size, _FLAT_OFFSET + 8))
        if compression_of(head):
            unpack(image, payload.start, payload.size, fd)
        else:
            _copy(image, payload, fd)
        return FileImage(fd, image.path)
    except BaseException:
        with suppress(OSError):
            os.close(fd)
        raise


def _copy(image: FileImage, payload: Payload, target: int) -> None:
    if payload == (0, image.size) or payload.size > UNPACKED_MAX:
        raise KernelImageError(image.path, "neither a kernel nor the image of one")
    view = memoryview(image.read(*payload))
    while view:
        view = view[os.write(target, view) :]


def _payload(image: FileImage, head: bytes) -> Payload:
    """Return where in ``image`` what it wraps is; all of it where it is a stream alone."""
    if head.startswith(b"HdrS", _HDRS) and head.startswith(_BOOT_MAGIC, _BOOT_FLAG):
        return _bz_payload(image, head)
    if head.startswith(_ZBOOT_MAGIC):
        return _within(image, *_PAYLOAD.unpack(image.read(8, _PAYLOAD.size)))
    if head.startswith(b"MZ"):
        return _pe_payload(image, head)
    return Payload(0, image.size)


def _bz_payload(image: FileImage, head: bytes) -> Payload:
    if len(head) < _HEADER:
        raise KernelImageError(image.path, "the header of its setup code is cut short")
    version = int.from_bytes(head[_VERSION : _VERSION + 2], "little")
    if version < _PAYLOAD_SINCE:
        why = f"boot protocol {version >> 8}.{version & 0xFF:02}, which does not tell its payload"
        raise KernelImageError(image.path, why)
    sectors = head[_SETUP_SECTS] or _SETUP_DEFAULT
    offset, size = _PAYLOAD.unpack_from(head, _PAYLOAD_OFFSET)
    return _within(image, (sectors + 1) * _SECTOR + offset, size)


def _pe_payload(image: FileImage, head: bytes) -> Payload:
    """Return the section ``.linux`` of a PE file (the UAPI group's specification of UKIs)."""
    start = int.from_bytes(head[0x3C:0x40], "little")
    coff = image.read(start, 24)
    count, optional = struct.unpack_from("<2xH12xH", coff, 4)
    if coff[:4] != b"PE\0\0" or count > _PE_SECTIONS_MAX:
        raise KernelImageError(image.path, "neither a kernel nor a PE file that is in order")
    table = image.read(start + 24 + optional, count * _PE_SECTION.size)
    for name, size, _, raw_size, offset, *_ in _PE_SECTION.iter_unpack(table):
        if name == b".linux\0\0":
            return _within(image, offset, min(size or raw_size, raw_size))
    raise KernelImageError(image.path, "a PE file without a kernel in it")


def _within(image: FileImage, start: int, size: int) -> Payload:
    if not size or start + size > image.size:
        why = f"its payload, {size} bytes at offset {start}, is not within the file"
        raise KernelImageError(image.path, why)
    return Payload(start, size)
