# SPDX-License-Identifier: Apache-2.0
"""The system calls on modules, which the C library has no functions for.

Each returns None or raises OSError with the kernel's errno. The calls release the interpreter's
lock, as a module's init may take seconds.
"""

import ctypes
import os
import platform
import struct

from kmodd.records import record

MODULE_INIT_COMPRESSED_FILE = 4
"""The flag of finit_module(2) that a caller of a Kernel does not give: the file is compressed."""


@record
class _Numbers:
    """The numbers of the calls on one machine (its unistd.h or syscall.tbl)."""

    init_module: int
    delete_module: int
    finit_module: int


_GENERIC = _Numbers(105, 106, 273)
_NUMBERS = {
    ("x86_64", 64): _Numbers(175, 176, 313),
    ("x86_64", 32): _Numbers(128, 129, 350),
    ("i686", 32): _Numbers(128, 129, 350),
    ("aarch64", 64): _GENERIC,
    ("aarch64", 32): _Numbers(128, 129, 379),
    ("armv6l", 32): _Numbers(128, 129, 379),
    ("armv7l", 32): _Numbers(128, 129, 379),
    ("loongarch64", 64): _GENERIC,
    ("ppc64le", 64): _Numbers(128, 129, 353),
    ("riscv64", 64): _GENERIC,
    ("s390x", 64): _Numbers(128, 129, 344),
}
"""By the machine's name and the bits of this process, which may be half of the kernel's."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def numbers_known() -> bool:
    """Tell whether the calls can be made on this machine."""
    return _machine() in _NUMBERS


def init_module(image: bytes, parameters: str) -> None:
    """Load the module ``image``, uncompressed (init_module(2))."""
    size = ctypes.c_ulong(len(image))
    _call(_numbers().init_module, image, size, _text(parameters))


def finit_module(fd: int, parameters: str, flags: int) -> None:
    """Load the module in the file open at ``fd`` (finit_module(2))."""
    _call(_numbers().finit_module, ctypes.c_int(fd), _text(parameters), ctypes.c_int(flags))


def delete_module(name: str, flags: int) -> None:
    """Unload a module; ``flags`` are O_NONBLOCK, and O_TRUNC for force (delete_module(2))."""
    _call(_numbers().delete_module, _text(name), ctypes.c_uint(flags))


def _call(number: int, *arguments: object) -> None:
    if _libc.syscall(ctypes.c_long(number), *arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _text(value: str) -> bytes:
    """The C string for ``value``; raises ValueError for a NUL in it."""
    if "\0" in value:
        raise ValueError("a NUL cannot be handed to the kernel")
    return os.fsencode(value)


def _machine() -> tuple[str, int]:
    return platform.machine(), struct.calcsize("P") * 8


def _numbers() -> _Numbers:
    return _NUMBERS[_machine()]
