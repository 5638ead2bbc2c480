# SPDX-License-Identifier: Apache-2.0
"""A module file: read with care, read quickly, and loaded by the emulated kernel."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from kmodd.errors import KernelError, ModuleFileError
from kmodd.kernel.base import InsertFlags
from kmodd.modulefile import Compression, ElfMachine, ModuleFile
from kmodd.modulefile.quick import Contents, read_careful, read_plain
from tests.fuzz.fuzzer import Fuzzer, Target
from tests.support.compression import compress
from tests.support.elf_writer import ModuleSpec, append_signature, write_module
from tests.support.emulated import kernel
from tests.support.modules import MODULES
from tests.support.patient import SPEC, ask_everything

IGNORES = InsertFlags.IGNORE_MODVERSIONS | InsertFlags.IGNORE_VERMAGIC

PATH = "fuzzed.ko"


def seeds() -> Iterator[bytes]:
    """Yield modules of all sorts, the smaller first."""
    plain = write_module(SPEC)
    yield plain
    yield append_signature(plain, b"opaque")
    yield write_module(ModuleSpec())
    yield write_module(ModuleSpec(extended_versions=True, exports=SPEC.exports))
    yield write_module(
        ModuleSpec(bits=32, byteorder="big", machine=ElfMachine.MIPS, exports=SPEC.exports)
    )
    yield write_module(
        ModuleSpec(bits=32, machine=ElfMachine.ARM, crcs="absolute", exports=SPEC.exports)
    )
    for compression in (Compression.GZIP, Compression.XZ, Compression.ZSTD):
        yield compress(plain, compression)
    yield from (path.read_bytes() for path in MODULES if path.stat().st_size < 8192)


@contextmanager
def opened() -> Iterator[Target]:
    """Have a kernel for the input to be loaded into."""
    booted = kernel()

    def target(data: bytes) -> None:
        read(data)
        for flags in (InsertFlags.NONE, IGNORES):
            before = booted.modules()
            try:
                booted.init_module(data, "debug=1 x", flags)
            except KernelError as error:
                see_refusal(error)
                if booted.modules() != before:
                    raise
                continue
            (loaded,) = (each for each in booted.modules() if each not in before)
            booted.details(loaded.name)
            try:
                booted.delete_module(loaded.name)
            except KernelError:  # it has no exit()
                booted.delete_module(loaded.name, force=True)

    yield target


def see_refusal(error: KernelError) -> None:
    """See that a refusal has an errno of the system's."""
    assert error.errno in errno.errorcode, error.errno


def read(data: bytes) -> None:
    """Ask all that there is to ask; the quick reader says the same as the careful one, or nothing.

    An error of the careful one names the file.
    """
    found: Contents | None = None
    try:
        module = ModuleFile.parse(data, path=PATH)
        ask_everything(module)
        found = read_careful(module)
    except ModuleFileError as error:
        if not str(error).startswith(f"{PATH}: "):
            raise AssertionError("an error that does not name its file") from error
    quick = read_plain(data, lambda whole, size, offset: whole[offset : offset + size], len(data))
    if quick is not None:
        assert quick == careful(data), "the quick reader has another answer"
    assert found is None or quick in (None, found)


def careful(data: bytes) -> Contents:
    """Return what the careful reader has of what depmod needs; raises ModuleFileError."""
    return read_careful(ModuleFile.parse(data, path=PATH))


FUZZER = Fuzzer(
    opened=opened,
    seeds=seeds,
    longest=10240,
    words=(
        *(
            "license=GPL",
            "vermagic=",
            "name=",
            "depends=",
            "alias=",
            "parm=",
            "parmtype=",
            "softdep=",
        ),
        *("__versions", ".modinfo", "__ksymtab", "__ksymtab_strings", ".gnu.linkonce.this_module"),
        *("~Module signature appended~\n", ".symtab", ".strtab", "__param", ".init.text"),
    ),
)
