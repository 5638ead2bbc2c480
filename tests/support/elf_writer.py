# SPDX-License-Identifier: Apache-2.0
"""Write a small kernel module: a relocatable ELF object with the sections that modules have.

``write_module(ModuleSpec(name="foo"))`` is a module that Debian's 6.1 x86-64 kernel accepts;
every field of the spec changes one thing about it. Names and layouts are those that kbuild
makes (scripts/mod/modpost.c, include/linux/export-internal.h, scripts/module.lds.S).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kmodd.modulefile import ElfMachine, ElfType, SectionType
from tests.support.elf_object import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_STRINGS,
    SHF_WRITE,
    STB_GLOBAL,
    STB_LOCAL,
    STB_WEAK,
    STT_FUNC,
    STT_OBJECT,
    STT_SECTION,
    ElfObject,
    ObjectSection,
    ObjectSymbol,
)
from tests.support.param_writer import Param, add_parameters, operations_versions

VERMAGIC = "6.1.0-56-amd64 SMP preempt mod_unload modversions "
"""The version magic of the kernel that the defaults are for; the blank at the end belongs to it."""

MODULE_LAYOUT = ("module_layout", 0x9060323F)
"""The version of ``struct module`` in that kernel, which every module of it carries."""

RETURN_ZERO = bytes.fromhex("31c0c3")
"""x86 code of a function that returns 0."""

SIGNATURE_MARKER = b"~Module signature appended~\n"


@dataclass(frozen=True, slots=True)
class Export:
    """A function that the module exports."""

    name: str
    crc: int = 0x12345678
    gpl_only: bool = False
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Import:
    """A symbol that the module needs; one with a CRC is listed in ``__versions`` too."""

    name: str
    weak: bool = False
    crc: int | None = None


@dataclass(frozen=True, slots=True)
class ExtraSection:
    """One more section, as it is to stand in the file."""

    name: str
    data: bytes = b""
    type: int = SectionType.PROGBITS
    flags: int = 0
    align: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSpec:
    """All that a written module is made of.

    ``versions`` are entries of ``__versions`` beside those of the imports that carry a CRC;
    ``extended_versions`` puts them all into the sections for long names instead.
    ``init`` and ``exit`` are the code of those functions, None for a module without one.
    ``crcs`` tells where the CRCs of the exports are: in ``__kcrctab``, where ``__crc_`` symbols
    point (since Linux 5.19); in absolute symbols (before); or nowhere.
    ``license`` and ``vermagic`` are left out of ``.modinfo`` where they are None; ``modinfo``
    comes between them. ``init_calls`` are the offsets in ``init`` of the operands of its calls,
    each with the import that it calls. ``this_module_size`` and the two offsets in it are those of
    the kernel's ``struct module``; a size of 0 leaves the section out. ``parameters`` are those
    that the kernel can set; describing them is left to ``modinfo``.
    """

    name: str = "sample"
    bits: Literal[32, 64] = 64
    byteorder: Literal["little", "big"] = "little"
    machine: int = ElfMachine.X86_64
    type: int = ElfType.REL
    license: str | None = "GPL"
    modinfo: tuple[tuple[str, str], ...] = (("intree", "Y"), ("retpoline", "Y"))
    depends: tuple[str, ...] = ()
    vermagic: str | None = VERMAGIC
    exports: tuple[Export, ...] = ()
    imports: tuple[Import, ...] = ()
    versions: tuple[tuple[str, int], ...] = (MODULE_LAYOUT,)
    parameters: tuple[Param, ...] = ()
    extended_versions: bool = False
    crcs: Literal["section", "absolute", "none"] = "section"
    init: bytes | None = RETURN_ZERO
    exit: bytes | None = RETURN_ZERO
    init_calls: tuple[tuple[int, str], ...] = ()
    this_module_size: int = 0x380
    init_offset: int = 0x138
    exit_offset: int = 0x350
    sections: tuple[ExtraSection, ...] = ()


def write_module(spec: ModuleSpec) -> bytes:
    """Return the module that ``spec`` describes."""
    module = ElfObject(spec.bits, spec.byteorder, spec.machine, spec.type)
    functions = _add_code(module, spec)
    _add_exports(module, spec, functions)
    module.add(".modinfo", b"".join(_modinfo(spec)), SHF_ALLOC)
    _add_versions(module, spec)
    _add_this_module(module, spec, functions)
    add_parameters(module, spec.parameters)
    for extra in spec.sections:
        module.add(extra.name, extra.data, extra.flags, extra.align).type = extra.type
    imported = {
        wanted.name: module.define(
            ObjectSymbol(wanted.name, binding=STB_WEAK if wanted.weak else STB_GLOBAL)
        )
        for wanted in spec.imports
    }
    for offset, name in spec.init_calls:
        home = functions["init_module"].section
        assert home is not None
        # The operand counts from the end of its four bytes.
        home.relocate(offset, "relative", imported[name], -4)
    return module.link()


def build_note(build: str, order: str = "<") -> ExtraSection:
    """Return the section in which a linker notes the build id, given in hexadecimal digits."""
    data = bytes.fromhex(build)
    header = struct.pack(f"{order}3I", 4, len(data), 3)
    return ExtraSection(
        ".note.gnu.build-id",
        header + b"GNU\0" + data + bytes(-len(data) % 4),
        SectionType.NOTE,
        SHF_ALLOC,
    )


def append_signature(
    image: bytes, signature: bytes, *, id_type: int = 2, signer: bytes = b"", key_id: bytes = b""
) -> bytes:
    """Return ``image`` with ``signature`` appended the way the kernel's sign-file does it."""
    trailer = struct.pack(">5B3xI", 0, 0, id_type, len(signer), len(key_id), len(signature))
    return image + signer + key_id + signature + trailer + SIGNATURE_MARKER


def _add_code(module: ElfObject, spec: ModuleSpec) -> dict[str, ObjectSymbol]:
    """Add the code of all functions; return their symbols by name."""
    text = module.add(".text", b"", SHF_ALLOC | SHF_EXECINSTR, 16)
    functions = {}
    for export in spec.exports:
        place = len(text.data)
        text.data += RETURN_ZERO.ljust(16, b"\xcc")
        functions[export.name] = _function(export.name, text, place, len(RETURN_ZERO))
    for name, section, code in (
        ("init_module", ".init.text", spec.init),
        ("cleanup_module", ".exit.text", spec.exit),
    ):
        if code is not None:
            home = module.add(section, code, SHF_ALLOC | SHF_EXECINSTR, 16)
            functions[name] = _function(name, home, 0, len(code))
    for function in functions.values():
        module.define(function)
    return functions


def _function(name: str, section: ObjectSection, place: int, size: int) -> ObjectSymbol:
    return ObjectSymbol(name, section, place, size, type=STT_FUNC)


def _add_exports(module: ElfObject, spec: ModuleSpec, functions: dict[str, ObjectSymbol]) -> None:
    """Add ``__ksymtab`` and what belongs to it, for the GPL-only symbols and for the others."""
    if not spec.exports:
        return
    strings = ObjectSection("__ksymtab_strings", bytearray(), SHF_ALLOC | SHF_STRINGS)
    base = module.define(ObjectSymbol("", strings, binding=STB_LOCAL, type=STT_SECTION))
    for suffix, gpl_only in (("", False), ("_gpl", True)):
        # The kernel finds a symbol by bisection.
        exports = sorted(
            (export for export in spec.exports if export.gpl_only is gpl_only),
            key=lambda export: export.name,
        )
        if exports:
            table = module.add(f"__ksymtab{suffix}", b"", SHF_ALLOC, 8)
            for export in exports:
                _add_ksymtab_entry(table, module, export, functions[export.name], base)
            _add_crcs(module, spec, f"__kcrctab{suffix}", exports)
    module.sections.append(strings)


def _add_ksymtab_entry(
    table: ObjectSection,
    module: ElfObject,
    export: Export,
    function: ObjectSymbol,
    base: ObjectSymbol,
) -> None:
    """Add one ``struct kernel_symbol``; its strings go into the section that ``base`` is of."""
    assert base.section is not None
    place, strings = len(table.data), base.section.data
    # Pointers, or offsets where the processor has them (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS).
    word: Literal["relative", "pointer"] = "relative"
    size = 4
    if module.bits == 32 or module.processor.relative is None:
        word, size = "pointer", module.bits // 8
    table.data += bytes(3 * size)
    table.relocate(place, word, function)
    for offset, text in ((size, export.name), (2 * size, export.namespace)):
        table.relocate(place + offset, word, base, len(strings))
        strings += text.encode() + b"\0"


def _add_crcs(module: ElfObject, spec: ModuleSpec, name: str, exports: list[Export]) -> None:
    """Add the ``__kcrctab`` of that name and the ``__crc_`` symbols."""
    if spec.crcs == "none":
        return
    table = module.add(name, bytes(4 * len(exports)), SHF_ALLOC, 4)
    for index, export in enumerate(exports):
        symbol = f"__crc_{export.name}"
        if spec.crcs == "section":
            table.data[4 * index : 4 * index + 4] = module.pack("I", export.crc)
            module.define(ObjectSymbol(symbol, table, 4 * index, binding=STB_LOCAL))
        else:
            crc = module.define(ObjectSymbol(symbol, value=export.crc, absolute=True))
            table.relocate(4 * index, "word", crc)


def _modinfo(spec: ModuleSpec) -> Iterator[bytes]:
    """Yield the strings of ``.modinfo`` in the order of kbuild."""
    strings = [
        ("license", spec.license),
        *spec.modinfo,
        ("depends", ",".join(spec.depends)),
        ("name", spec.name),
        ("vermagic", spec.vermagic),
    ]
    for key, value in strings:
        if value is not None:
            yield f"{key}={value}".encode("utf-8", "surrogateescape") + b"\0"


def _add_versions(module: ElfObject, spec: ModuleSpec) -> None:
    """Add the CRCs that the imports must have."""
    imported = [(wanted.name, wanted.crc) for wanted in spec.imports if wanted.crc is not None]
    if spec.versions:
        imported += operations_versions(spec.parameters)
    versions = [*spec.versions, *imported]
    if not versions:
        return
    if spec.extended_versions:
        crcs = module.pack(f"{len(versions)}I", *(crc for _, crc in versions))
        names = b"".join(name.encode() + b"\0" for name, _ in versions)
        module.add("__version_ext_crcs", crcs, SHF_ALLOC, 4)
        module.add("__version_ext_names", names, SHF_ALLOC)
        return
    long = "Q" if spec.bits == 64 else "I"
    entries = [(module.pack(long, crc) + name.encode()).ljust(64, b"\0") for name, crc in versions]
    module.add("__versions", b"".join(entries), SHF_ALLOC, 32)


def _add_this_module(
    module: ElfObject, spec: ModuleSpec, functions: dict[str, ObjectSymbol]
) -> None:
    """Add the kernel's ``struct module`` with its name and its two functions."""
    if not spec.this_module_size:
        return
    # An enum and the two pointers of a list head stand before the name.
    before = 24 if spec.bits == 64 else 12
    data = (bytes(before) + spec.name.encode()).ljust(spec.this_module_size, b"\0")
    section = module.add(".gnu.linkonce.this_module", data, SHF_ALLOC | SHF_WRITE, 64)
    module.define(ObjectSymbol("__this_module", section, 0, len(data), type=STT_OBJECT))
    for name, offset in (("init_module", spec.init_offset), ("cleanup_module", spec.exit_offset)):
        if name in functions:
            section.relocate(offset, "pointer", functions[name])
