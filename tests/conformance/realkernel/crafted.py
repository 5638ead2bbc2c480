# SPDX-License-Identifier: Apache-2.0
"""Modules and requests made to be refused, one for each way in which the kernel refuses.

A session is a sequence of system calls on a freshly booted kernel: taints and messages that come
once make the order part of the matter. ``crafted.json`` holds what a real kernel did with them,
call by call; ``record.py`` writes it.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kmodd.kernel.base import InsertFlags
from kmodd.modulefile import SectionType
from tests.support.elf_object import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE
from tests.support.elf_patch import patched, with_row, with_symbol_in
from tests.support.elf_writer import (
    SIGNATURE_MARKER,
    VERMAGIC,
    Export,
    ExtraSection,
    Import,
    ModuleSpec,
    append_signature,
    write_module,
)
from tests.support.param_writer import OPERATIONS_CRCS, UNSAFE, Param

CORE_CRCS = {
    "module_layout": 0x9060323F,
    "_printk": 0x92997ED8,
    "kfree": 0x037A0CBA,
    "bus_register": 0xAE56C2C5,
    "crypto_cipher_setkey": 0x669AFF23,
    **OPERATIONS_CRCS,
}
"""The versions of some symbols that Debian's 6.1.0-56-amd64 exports (its Module.symvers)."""

GPL_ONLY = "bus_register"
NAMESPACED, NAMESPACE = "crypto_cipher_setkey", "CRYPTO_INTERNAL"

NONE, ANY_VERSIONS, ANY_MAGIC = (
    InsertFlags.NONE,
    InsertFlags.IGNORE_MODVERSIONS,
    InsertFlags.IGNORE_VERMAGIC,
)


@dataclass(frozen=True, slots=True)
class Insert:
    """One finit_module(2) of a file with these bytes."""

    title: str
    image: bytes
    parameters: str = ""
    flags: InsertFlags = NONE


@dataclass(frozen=True, slots=True)
class Remove:
    """One delete_module(2)."""

    title: str
    name: str
    force: bool = False


Call = Insert | Remove


@dataclass(frozen=True, slots=True)
class Session:
    """System calls on a kernel that was booted with ``command_line``."""

    name: str
    command_line: str = ""
    calls: tuple[Call, ...] = field(default_factory=tuple)


def returning(number: int) -> bytes:
    """Return the x86 code of a function that returns ``number``."""
    return b"\xb8" + struct.pack("<i", number) + b"\xc3"


def user(name: str, *symbols: str, **changes: object) -> ModuleSpec:
    """Return a module that imports ``symbols`` with their versions."""
    imports = tuple(Import(name, crc=CORE_CRCS.get(name, Export(name).crc)) for name in symbols)
    return replace(ModuleSpec(name=name, imports=imports), **changes)  # type: ignore[arg-type]


def owner(name: str, *symbols: str, **changes: object) -> ModuleSpec:
    """Return a module that exports ``symbols``."""
    exports = tuple(Export(symbol) for symbol in symbols)
    return replace(ModuleSpec(name=name, exports=exports), **changes)  # type: ignore[arg-type]


def with_info(*pairs: tuple[str, str], name: str, **changes: object) -> ModuleSpec:
    """Return a module with these entries of .modinfo beside those that all have."""
    spec = ModuleSpec(name=name, modinfo=(("intree", "Y"), ("retpoline", "Y"), *pairs))
    return replace(spec, **changes)  # type: ignore[arg-type]


def without_symbols(spec: ModuleSpec) -> bytes:
    """Return the module stripped: what was its symbol table is of no type."""
    return with_row(spec, ".symtab", 4, "<I", SectionType.PROGBITS)


PLAIN = ModuleSpec(name="plain")
SIGNED = write_module(ModuleSpec(name="signed"))
PARAMETERS = (
    Param("count"),
    Param("small", "uint"),
    Param("flag", "bool"),
    Param("both", "bint"),
    Param("text", "charp"),
    Param("label", "string", buffer=8),
    Param("pair", "int", elements=2),
    Param("risky", "int", flags=UNSAFE),
)
WITH_PARAMETERS = ModuleSpec(name="knobs", parameters=PARAMETERS)


def insert(title: str, spec: ModuleSpec, parameters: str = "", flags: InsertFlags = NONE) -> Insert:
    """Return the load of a module that ``spec`` describes."""
    return Insert(title, write_module(spec), parameters, flags)


def loaded(title: str, spec: ModuleSpec, parameters: str = "") -> tuple[Call, Call]:
    """Return a load, and the unload of what should have been loaded."""
    return insert(title, spec, parameters), Remove(f"unload after: {title}", spec.name)


def with_parameters(text: str) -> tuple[Call, Call]:
    """Return a load of the module with parameters, and its unload."""
    return loaded(f"parameters {text[:24]!r}", WITH_PARAMETERS, text)


def garbled(title: str, change: Callable[[], bytes]) -> Insert:
    """Return the load of an image that something is wrong with."""
    return Insert(title, change())


HEADERS = (
    Insert("an empty file", b""),
    Insert("too short for a header", b"\x7fELF"),
    Insert("not ELF", b"not ELF at all".ljust(4096, b".")),
    garbled("an executable", lambda: patched(PLAIN, 16, "<H", 2)),
    garbled("another architecture", lambda: patched(PLAIN, 18, "<H", 183)),
    garbled("section headers of another size", lambda: patched(PLAIN, 58, "<H", 40)),
    garbled("section headers past the end", lambda: patched(PLAIN, 40, "<Q", 1 << 40)),
    garbled("no section of names", lambda: patched(PLAIN, 62, "<H", 0)),
    garbled("a section of names that is not there", lambda: patched(PLAIN, 62, "<H", 500)),
    garbled("names past the end", lambda: with_row(PLAIN, ".shstrtab", 24, "<Q", 1 << 40)),
    garbled("no names at all", lambda: with_row(PLAIN, ".shstrtab", 32, "<Q", 0)),
    garbled("names without an end", lambda: with_row(PLAIN, ".shstrtab", 32, "<Q", 8)),
    garbled("a section past the end", lambda: with_row(PLAIN, ".text", 24, "<Q", 1 << 40)),
    garbled("a symbol table without strings", lambda: with_row(PLAIN, ".symtab", 40, "<I", 0)),
    garbled("strings that are not there", lambda: with_row(PLAIN, ".symtab", 40, "<I", 999)),
    garbled("stripped", lambda: without_symbols(PLAIN)),
    insert("no struct module", replace(PLAIN, this_module_size=0)),
    garbled("a modinfo that is not allocated", lambda: with_row(PLAIN, ".modinfo", 8, "<Q", 0)),
)

VERSIONS = (
    insert("another version magic", replace(PLAIN, vermagic=VERMAGIC.replace("SMP", "UP"))),
    insert(
        "another release without symbol versions",
        replace(PLAIN, vermagic=VERMAGIC.replace("6.1.0", "6.0.0"), versions=()),
    ),
    insert("another struct module", replace(PLAIN, versions=(("module_layout", 1),))),
    insert(
        "a writable and executable section",
        replace(
            PLAIN,
            sections=(ExtraSection(".wx", b"\xc3", flags=SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR),),
        ),
    ),
    *loaded(
        "another release with symbol versions",
        replace(PLAIN, vermagic=VERMAGIC.replace("6.1.0", "6.0.0")),
    ),
)

NAMES = (
    insert("a module", PLAIN),
    insert("the same module again", PLAIN),
    Remove("a module that nothing holds", "plain"),
    Remove("a module that is not loaded", "plain"),
    Remove("a module without a name", ""),
    insert("the name of a part of the kernel", ModuleSpec(name="printk")),
)

SYMBOLS = (
    insert("two unknown symbols", user("missing", "no_such_one", "_printk", "no_such_two")),
    *loaded(
        "a weak unknown symbol",
        ModuleSpec(name="weakly", imports=(Import("no_such_one", weak=True),)),
    ),
    insert(
        "another version of a symbol", ModuleSpec(name="stale", imports=(Import("_printk", crc=1),))
    ),
    *loaded("a symbol without a version", ModuleSpec(name="vague", imports=(Import("kfree"),))),
    *loaded("another one without a version", ModuleSpec(name="vague", imports=(Import("kfree"),))),
    insert("a namespace that is not imported", user("outsider", NAMESPACED)),
    *loaded(
        "an imported namespace",
        user(
            "insider",
            NAMESPACED,
            modinfo=(("intree", "Y"), ("retpoline", "Y"), ("import_ns", NAMESPACE)),
        ),
    ),
    insert("a symbol of the kernel", owner("thief", "kfree")),
    insert("an exporter", owner("first", "first_do")),
    insert("the same export", owner("second", "first_do")),
    insert("a user", user("third", "first_do")),
    Remove("a module that is used", "first"),
    Remove("a module that is used, by force", "first", force=True),
    Remove("the user", "third"),
    Remove("the exporter", "first"),
    garbled("a common symbol", lambda: with_symbol_in(PLAIN, "init_module", 0xFFF2)),
    garbled("a symbol in no section", lambda: with_symbol_in(PLAIN, "init_module", 400)),
)

PARAMETER_CALLS = (
    *with_parameters("count=many"),
    *with_parameters("count=99999999999"),
    *with_parameters("small=-1"),
    *with_parameters("count"),
    *with_parameters("flag"),
    *with_parameters("both"),
    *with_parameters("flag=maybe"),
    *with_parameters("flag=t"),
    *with_parameters("label=12345678"),
    *with_parameters("pair=1,2,3"),
    *with_parameters("pair=1,,2"),
    *with_parameters("other=1 count=2"),
    *with_parameters("other=1 count=x small=-2 flag=y"),
    *with_parameters("count=1 -- count=2"),
    *with_parameters("count=1 --"),
    *with_parameters("risky=1"),
    *with_parameters('text="two words" pair=-1,+2 dyndbg=+p async_probe'),
    *with_parameters("-count=1"),
    *loaded(
        "obsolete parameters",
        replace(PLAIN, sections=(ExtraSection("__obsparm", bytes(64), flags=SHF_ALLOC),)),
    ),
)

SIGNATURES = (
    Insert("a marker and nothing else", SIGNATURE_MARKER),
    Insert(
        "a signature longer than the file",
        SIGNED + struct.pack(">5B3xI", 0, 0, 2, 0, 0, 1 << 30) + SIGNATURE_MARKER,
    ),
    Insert("a signature that is no PKCS#7", append_signature(SIGNED, b"s" * 64, id_type=1)),
    Remove("unload after: a signature that is no PKCS#7", "signed"),
    Insert("a signature with a signer's name", append_signature(SIGNED, b"s" * 64, signer=b"me")),
    Insert("a signature that cannot be read", append_signature(SIGNED, b"s" * 64)),
)

TAINTS = (
    insert("init fails", ModuleSpec(name="failing", init=returning(-5))),
    *loaded("init returns too much", ModuleSpec(name="odd", init=returning(5))),
    *loaded("staging", with_info(("staging", "Y"), name="unripe")),
    *loaded("another one from staging", with_info(("staging", "Y"), name="unripe")),
    *loaded("a test module", with_info(("test", "Y"), name="tester")),
    *loaded("a livepatch", with_info(("livepatch", "Y"), name="patch")),
    *loaded("out of tree", replace(PLAIN, modinfo=(("retpoline", "Y"),))),
    *loaded("without the retpoline mark", replace(PLAIN, modinfo=(("intree", "Y"),))),
    *loaded("a symbol without a version", ModuleSpec(name="vague", imports=(Import("kfree"),))),
    *loaded("no version of struct module", user("vague", "_printk", versions=())),
    *loaded("no versions for the exports", owner("loose", "loose_do", crcs="none")),
    insert("no version magic", replace(PLAIN, vermagic=None)),
    Remove("unload after: no version magic", "plain"),
    Insert(
        "any version magic", write_module(replace(PLAIN, vermagic="none at all")), flags=ANY_MAGIC
    ),
    Remove("unload after: any version magic", "plain"),
    Insert(
        "any versions",
        write_module(ModuleSpec(name="stale", imports=(Import("_printk", crc=1),))),
        flags=ANY_VERSIONS,
    ),
    Remove("unload after: any versions", "stale"),
    *loaded(
        "no versions at all", ModuleSpec(name="bare", imports=(Import("_printk"),), versions=())
    ),
    *loaded("no licence", replace(PLAIN, license=None)),
    *loaded("another licence", replace(PLAIN, license="Proprietary")),
    insert(
        "a GPL-only symbol for the proprietary", user("closed", GPL_ONLY, license="Proprietary")
    ),
    insert("a proprietary exporter", owner("secret", "secret_do", license="Proprietary")),
    insert("a GPL-only user of its symbol", user("mixed", GPL_ONLY, "secret_do")),
    *loaded("a user of its symbol", user("heir", "secret_do")),
    Remove("the proprietary exporter", "secret"),
    *loaded("a false licence", ModuleSpec(name="lve")),
    *loaded("a wrapper", ModuleSpec(name="ndiswrapper")),
    insert("no exit", ModuleSpec(name="stays", exit=None)),
    Remove("a module without exit", "stays"),
    Remove("a module without exit, by force", "stays", force=True),
    *loaded("neither init nor exit", ModuleSpec(name="neither", init=None, exit=None)),
)

NUMBERS = {"byte": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "hexint": 4, "bint": 4}
SIGNED_NUMBERS = {"short", "int", "long"}
KINDS = (*NUMBERS, "long", "ulong", "ullong", "bool", "bool_enable_only", "invbool")


def number_in(kind: str, value: int) -> bytes:
    """Return ``value`` as a variable of that kind holds it."""
    size = 1 if "bool" in kind else NUMBERS.get(kind, 8)
    return value.to_bytes(size, "little", signed=kind in SIGNED_NUMBERS)


SHOWING = ModuleSpec(
    name="panel",
    modinfo=(("intree", "Y"), ("retpoline", "Y"), ("version", "1.2"), ("srcversion", "A1B2")),
    parameters=(
        *(Param(f"first_{kind}", kind, initial=number_in(kind, 0)) for kind in KINDS),
        *(Param(f"other_{kind}", kind, initial=number_in(kind, 1)) for kind in KINDS),
        Param("below", "short", initial=number_in("short", -9)),
        Param("nothing", "charp"),
        Param("something", "charp", mode=0o444, initial=b"a text"),
        Param("label", "string", buffer=16, initial=b"a label"),
        Param("hidden", "int", mode=0, initial=number_in("int", 5)),
        Param("two_of_four", "int", elements=4, initial=number_in("int", 7) * 2),
        Param("none_of_four", "uint", elements=4),
        Param("all_of_three", "short", elements=3, counted=False, initial=number_in("short", 3)),
        Param("truths", "bool", elements=2, initial=number_in("bool", 1) * 2),
        Param("texts", "charp", elements=2),
    ),
)
SETTINGS = " ".join(
    (
        *(f"first_{kind}=1" for kind in KINDS),
        "other_int=-0x7f other_hexint=0xFf other_ullong=18446744073709551615 other_bint=no",
        "other_invbool=n other_byte=+017 something=else label=changed hidden=6",
        'two_of_four=1,2,3 all_of_three=-1 truths=n,Y texts="one thing,another"',
    )
)
DETAILS = (
    *loaded("parameters as they are", SHOWING),
    *loaded("parameters that are set", SHOWING, SETTINGS),
)

SESSIONS = (
    Session("headers", "", (*HEADERS, *VERSIONS, *NAMES)),
    Session("symbols", "", SYMBOLS),
    Session("parameters", "", PARAMETER_CALLS),
    Session("details", "", DETAILS),
    Session("signatures", "", SIGNATURES),
    Session("taints", "", TAINTS),
    Session(
        "enforced",
        "module.sig_enforce=1",
        (
            insert("unsigned", PLAIN),
            Insert("unsupported crypto", append_signature(SIGNED, b"s" * 64, id_type=1)),
            Insert("mangled by force", write_module(PLAIN), flags=ANY_MAGIC),
            Insert("not ELF", b"not ELF at all".ljust(4096, b".")),
        ),
    ),
    Session(
        "blacklist",
        "module_blacklist=evil,bad-one,worse",
        (
            insert("on the list", ModuleSpec(name="evil")),
            insert("on the list with a dash", ModuleSpec(name="bad_one")),
            insert("the last on the list", ModuleSpec(name="worse")),
            insert("not on the list", PLAIN),
        ),
    ),
    Session(
        "disabled",
        "sysctl.kernel.modules_disabled=1",
        (
            insert("a module", PLAIN),
            Remove("a module that is not loaded", "plain"),
        ),
    ),
)
