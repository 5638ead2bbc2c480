# SPDX-License-Identifier: Apache-2.0
"""The checks that a module passes on its way into the kernel, in the kernel's order.

Each function is one step of ``load_module`` (kernel/module/main.c and version.c) and either
returns what later steps need or refuses with the kernel's errno and log line. They look at the
state of the kernel through ``Surroundings`` and change nothing but the log and the taints.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kmodd.errors import KernelError, ModuleFileError, Reason
from kmodd.kernel.base import InitState, InsertFlags, LoadedModule
from kmodd.kernel.emulated import params
from kmodd.kernel.emulated.log import Level
from kmodd.kernel.emulated.vmlinux import CoreSymbol, Vmlinux
from kmodd.modulefile import ElfType, ModuleFile, UndefinedSymbol

GPL_COMPATIBLE = frozenset(
    {
        "GPL",
        "GPL v2",
        "GPL and additional rights",
        "Dual BSD/GPL",
        "Dual MIT/GPL",
        "Dual MPL/GPL",
    }
)
"""The licences that may use GPL-only symbols (include/linux/license.h)."""

TAINT_LETTERS = "POFCEKRN"
"""The letters of the taints that a module can bring, in the order that a listing has them in."""

Printk = Callable[[Level, str], None]


@dataclass(slots=True, eq=False)
class Resident:
    """A module in the emulated kernel. Guarded by the kernel's lock.

    ``users`` are the modules that use this one, the newest first; ``uses`` those that it uses.
    """

    name: str
    size: int
    has_init: bool
    has_exit: bool
    address: int = 0
    exports: Mapping[str, CoreSymbol] = field(default_factory=dict)
    users: list[str] = field(default_factory=list)
    uses: list[str] = field(default_factory=list)
    taints: set[str] = field(default_factory=set)

    def as_listed(self) -> LoadedModule:
        """The module as a listing shows it."""
        return LoadedModule(
            name=self.name,
            size=self.size,
            refcount=len(self.users),
            holders=tuple(self.users),
            permanent=self.has_init and not self.has_exit,
            address=self.address,
            taints="".join(letter for letter in TAINT_LETTERS if letter in self.taints),
            init=InitState.NOT_RUN if self.has_init else InitState.NONE,
        )


@dataclass(slots=True)
class Surroundings:
    """What a load sees of the kernel: what was there at boot, what modules export, the taints."""

    vmlinux: Vmlinux
    exports: Mapping[str, tuple[CoreSymbol, Resident]]
    taints: set[str]
    printk: Printk

    def taint(self, resident: Resident, letter: str, message: str) -> None:
        """Taint the kernel through ``resident``; the message comes once in a kernel's life."""
        resident.taints.add(letter)
        if letter not in self.taints:
            self.taints.add(letter)
            self.printk(Level.NOTICE if letter == "E" else Level.WARNING, message)

    def exporter(self, name: str) -> tuple[CoreSymbol, Resident | None] | None:
        """Find who exports ``name``: the kernel itself (None) before any module."""
        core = self.vmlinux.symbols.get(name)
        if core is not None:
            return core, None
        return self.exports.get(name)


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818  # the kernel's word for it
    """Why a load or an unload ends; the kernel turns it into a KernelError with its log lines."""

    reason: Reason
    errno: int
    message: str
    symbol: str = ""


def refusal_as_error(refusal: Refusal, module: str, log: Iterable[str]) -> KernelError:
    """Return the error that the caller of the system call gets."""
    return KernelError(
        refusal.reason,
        refusal.message,
        errno=refusal.errno,
        module=module,
        symbol=refusal.symbol,
        log=tuple(log),
    )


def read_image(image: bytes, printk: Printk) -> ModuleFile:
    """Read the module's headers, as elf_validity_check() does; EBADMSG for a cut signature."""
    try:
        module = ModuleFile.parse(image)
        module.signature()
    except ModuleFileError as error:
        printk(Level.ERR, error.why)
        raise Refusal(error.reason, errno.ENOEXEC, error.why) from error
    return module


def check_header(module: ModuleFile, vmlinux: Vmlinux, printk: Printk) -> str:
    """Check what the file is and for which machine; return the module's name."""
    elf = module.elf
    machine = vmlinux.machine
    if elf.type != ElfType.REL:
        why = f"Invalid ELF header type: {elf.type} != {ElfType.REL}"
    elif machine and (elf.bits, elf.byteorder) != (machine.bits, machine.byteorder):
        why = f"Invalid ELF header: {elf.bits} bits, {elf.byteorder} endian"
    elif machine and elf.machine != machine.number:
        why = f"Invalid architecture in ELF header: {elf.machine}"
    else:
        name = module.this_module_name()
        if name:
            return name
        hint = module.modinfo_get("name") or "(missing .modinfo section or name field)"
        why = f"module {hint}: Exactly one .gnu.linkonce.this_module section must exist."
    printk(Level.ERR, why)
    raise Refusal(Reason.INVALID_MODULE_FORMAT, errno.ENOEXEC, why)


def check_symbol_table(module: ModuleFile, name: str, printk: Printk) -> None:
    """Refuse a module that was stripped of its symbols."""
    if module.section(".symtab") is None:
        why = f"{name}: module has no symbols (stripped?)"
        printk(Level.WARNING, why)
        raise Refusal(Reason.INVALID_MODULE_FORMAT, errno.ENOEXEC, why)


def check_layout_version(
    name: str, around: Surroundings, versions: Mapping[str, int] | None
) -> None:
    """Compare the version of ``struct module`` itself (check_modstruct_version)."""
    core = around.vmlinux.symbols.get("module_layout")
    if core is None or core.crc is None or versions is None:
        return
    given = versions.get("module_layout")
    if given is not None and given != core.crc:
        why = f"{name}: disagrees about version of symbol module_layout"
        around.printk(Level.WARNING, why)
        raise Refusal(Reason.SYMBOL_VERSION_MISMATCH, errno.ENOEXEC, why, symbol="module_layout")


def check_vermagic(
    module: ModuleFile, resident: Resident, around: Surroundings, flags: InsertFlags
) -> None:
    """Compare the version magic; a missing or an ignored one taints (check_modinfo)."""
    name, expected = resident.name, around.vmlinux.vermagic
    found = None if flags & InsertFlags.IGNORE_VERMAGIC else module.modinfo_get("vermagic")
    if found is None:
        around.taint(resident, "F", f"{name}: bad vermagic: kernel tainted.")
        return
    if not expected:
        matches = found.split(" ")[0] == around.vmlinux.release
        expected = around.vmlinux.release
    elif module.section("__versions") is not None and not flags & InsertFlags.IGNORE_MODVERSIONS:
        matches = found.partition(" ")[2] == expected.partition(" ")[2]
    else:
        matches = found == expected
    if not matches:
        why = f"{name}: version magic '{found}' should be '{expected}'"
        around.printk(Level.ERR, why)
        raise Refusal(Reason.INVALID_MODULE_FORMAT, errno.ENOEXEC, why)


def take_taints(module: ModuleFile, resident: Resident, around: Surroundings) -> None:
    """Taint for where the module comes from and under which licence (check_modinfo)."""
    name = resident.name
    if module.modinfo_get("intree") is None:
        around.taint(resident, "O", f"{name}: loading out-of-tree module taints kernel.")
    if module.modinfo_get("staging") is not None:
        resident.taints.add("C")
        around.taints.add("C")
        around.printk(
            Level.WARNING,
            f"{name}: module is from the staging directory, "
            "the quality is unknown, you have been warned.",
        )
    license_text = module.modinfo_get("license") or "unspecified"
    if license_text not in GPL_COMPATIBLE:
        first = "P" not in around.taints
        around.taint(resident, "P", f"{name}: module license '{license_text}' taints kernel.")
        if first:
            around.printk(Level.WARNING, "Disabling lock debugging due to kernel taint")
    if module.modinfo_get("test") is not None:
        around.taint(resident, "N", f"{name}: loading test module taints kernel.")


def take_signature_taint(module: ModuleFile, resident: Resident, around: Surroundings) -> None:
    """Taint for a missing signature, on a kernel whose own modules are signed."""
    if around.vmlinux.signed and module.signature() is None:
        around.taint(
            resident,
            "E",
            f"{resident.name}: module verification failed: "
            "signature and/or required key missing - tainting kernel",
        )


def symbol_versions(module: ModuleFile, flags: InsertFlags) -> dict[str, int] | None:
    """Return the versions the module was built against; None where it has or shall have none."""
    if flags & InsertFlags.IGNORE_MODVERSIONS or module.section("__versions") is None:
        return None
    return {version.name: version.crc for version in module.versions()}


def resolve_symbols(
    module: ModuleFile,
    resident: Resident,
    around: Surroundings,
    versions: Mapping[str, int] | None,
) -> list[str]:
    """Find every symbol that the module needs; return the modules that it thereby uses.

    All that is missing is logged, and the errno is the last one's (simplify_symbols).
    """
    resolver = _Resolver(module, resident, around, versions)
    code, missing = 0, ""
    for symbol in module.undefined():
        failed = resolver.resolve(symbol)
        if failed:
            around.printk(
                Level.WARNING, f"{resident.name}: Unknown symbol {symbol.name} (err -{failed})"
            )
            code, missing = failed, symbol.name
    if code:
        reason = Reason.UNKNOWN_SYMBOL if code == errno.ENOENT else Reason.SYMBOL_VERSION_MISMATCH
        raise Refusal(reason, code, f"{resident.name}: Unknown symbol {missing}", symbol=missing)
    return resolver.uses


class _Resolver:
    """The resolution of one module's symbols (resolve_symbol); used by one thread."""

    def __init__(
        self,
        module: ModuleFile,
        resident: Resident,
        around: Surroundings,
        versions: Mapping[str, int] | None,
    ) -> None:
        self._resident = resident
        self._around = around
        self._versions = versions
        self._namespaces = frozenset(module.modinfo_all("import_ns"))
        self._uses_gpl_only = False
        self.uses: list[str] = []

    def resolve(self, symbol: UndefinedSymbol) -> int:
        """Return 0, or the errno for a symbol that cannot be had."""
        found = self._around.exporter(symbol.name)
        proprietary = "P" in self._resident.taints
        if found is None or (found[0].gpl_only and proprietary):
            return 0 if symbol.weak else errno.ENOENT
        exported, owner = found
        if exported.gpl_only:
            self._uses_gpl_only = True
        if owner is not None and not self._inherit_taint(symbol.name, owner):
            return 0 if symbol.weak else errno.ENOENT
        if not self._same_version(symbol.name, exported):
            return errno.EINVAL
        if exported.namespace and exported.namespace not in self._namespaces:
            self._around.printk(
                Level.ERR,
                f"{self._resident.name}: module uses symbol ({symbol.name}) from namespace "
                f"{exported.namespace}, but does not import it.",
            )
            return errno.EINVAL
        if owner is not None and owner.name not in self.uses:
            self.uses.append(owner.name)
        return 0

    def _inherit_taint(self, symbol: str, owner: Resident) -> bool:
        if "P" not in owner.taints:
            return True
        name, printk = self._resident.name, self._around.printk
        if self._uses_gpl_only:
            printk(
                Level.ERR,
                f"{name}: module using GPL-only symbols uses symbols {symbol} "
                f"from proprietary module {owner.name}.",
            )
            return False
        if "P" not in self._resident.taints:
            printk(
                Level.WARNING,
                f"{name}: module uses symbols {symbol} "
                f"from proprietary module {owner.name}, inheriting taint.",
            )
            self._resident.taints.add("P")
        return True

    def _same_version(self, symbol: str, exported: CoreSymbol) -> bool:
        name = self._resident.name
        if exported.crc is None:
            return True
        if self._versions is None:
            self._around.taint(self._resident, "F", f"{name}: {symbol}: kernel tainted.")
            return True
        given = self._versions.get(symbol)
        if given is None or given == exported.crc:
            return True
        self._around.printk(Level.WARNING, f"{name}: disagrees about version of symbol {symbol}")
        return False


def check_exports(resident: Resident, around: Surroundings) -> None:
    """Refuse a symbol that somebody else exports already (verify_exported_symbols)."""
    for symbol in resident.exports:
        found = around.exporter(symbol)
        if found is not None:
            owner = found[1].name if found[1] else "kernel"
            why = f"{resident.name}: exports duplicate symbol {symbol} (owned by {owner})"
            around.printk(Level.ERR, why)
            raise Refusal(Reason.INVALID_MODULE_FORMAT, errno.ENOEXEC, why, symbol=symbol)


def set_parameters(module: ModuleFile, name: str, text: str, printk: Printk) -> None:
    """Parse the parameters; the first bad value refuses, once all have been looked at."""
    types = {one.name.replace("-", "_"): one.type for one in module.parameters()}
    complaints = params.check(name, types, text, module.elf.bits)
    for complaint in complaints:
        printk(Level.ERR if complaint.errno else Level.WARNING, complaint.text)
    bad = [complaint for complaint in complaints if complaint.errno]
    if bad:
        raise Refusal(Reason.INVALID_PARAMETER, bad[-1].errno, bad[-1].text)


def symbols_exported(module: ModuleFile) -> Iterator[tuple[str, CoreSymbol]]:
    """Yield what the module exports, by name."""
    for symbol in module.exports():
        yield symbol.name, CoreSymbol(symbol.crc, symbol.gpl_only, symbol.namespace)
