# SPDX-License-Identifier: Apache-2.0
"""How a module's symbols are resolved (simplify_symbols), and what it exports is checked."""

import errno
import time
from collections.abc import Iterable

from kmodd.errors import Reason
from kmodd.kernel.emulated.load.checks import Surroundings, check_version
from kmodd.kernel.emulated.modules.candidate import Candidate
from kmodd.kernel.emulated.modules.module_table import ModuleTable
from kmodd.kernel.emulated.modules.struct_module import Import, Imports, StructModule
from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns
from kmodd.kernel.emulated.modules.versions import Versions
from kmodd.kernel.emulated.release.vmlinux import CoreSymbol
from kmodd.kernel.emulated.reporting.log import Level
from kmodd.kernel.emulated.reporting.refusal import Refusal
from kmodd.modulefile import ElfMachine

SHN_LIVEPATCH, SHN_ABS, SHN_COMMON = 0xFF20, 0xFFF1, 0xFFF2
"""Section indices with a meaning of their own (include/linux/livepatch.h, elf(5))."""

COMPLAINTS_MAX = 4096
"""Lines that are logged of one module's symbols; with more than that it is no module."""

_STB_WEAK = 2
_STT_REGISTER = 13
_MODULE_NAMESPACE = "module:"

_REASONS = {
    errno.ENOENT: Reason.UNKNOWN_SYMBOL,
    errno.EBUSY: Reason.MODULE_BUSY,
    errno.EINVAL: Reason.SYMBOL_VERSION_MISMATCH,
}


class Resolver:
    """The resolution of one module's symbols; for the thread that loads it.

    It makes the module a user of those that it takes symbols from. ``patience`` is how many
    seconds it waits for one of them that is still in its init.
    """

    def __init__(
        self,
        candidate: Candidate,
        mod: StructModule,
        versions: Versions,
        around: Surroundings,
        table: ModuleTable,
        patience: float,
    ) -> None:
        self._candidate = candidate
        self._mod = mod
        self._versions = versions
        self._around = around
        self._table = table
        self._patience = patience
        self._namespaces = frozenset(candidate.infos("import_ns"))
        self._uses_gpl_only = False
        self._code = 0
        self._failed = ""
        self._complaints = 0

    def resolve(self, symbols: SymbolColumns, wanted: Iterable[tuple[int, str]]) -> Imports:
        """Return every symbol that the module needs and that is there; all others are logged.

        ``wanted`` are those that ``wanted_symbols`` gives. Raises Refusal with the errno of the
        last one that could not be had.
        """
        count = len(self._candidate.module.elf.sections)
        imports: dict[int, Import] = {}
        with self._table.mutex:
            for index, name in wanted:
                if symbols.sections[index]:
                    self._check_special(name, symbols.sections[index], count)
                elif not self._is_ignored(name, symbols.type(index)):
                    found = self._resolve_undefined(name, symbols.binding(index) == _STB_WEAK)
                    if found is not None:
                        imports[index] = found
        if self._code:
            reason = _REASONS.get(self._code, Reason.INVALID_MODULE_FORMAT)
            why = f"{self._mod.name}: Unknown symbol {self._failed}"
            raise Refusal(reason, self._code, why, symbol=self._failed)
        return imports

    def _resolve_undefined(self, name: str, weak: bool) -> Import | None:
        found = self._wait_for(name)
        if isinstance(found, Import):
            return found
        code, there = found
        # A weak symbol may be missing, but not be there and refused.
        if there or not weak:
            self._fail(code, name)
            self._log(Level.WARNING, f"Unknown symbol {name} (err -{code})")
        return None

    def _wait_for(self, name: str) -> Import | tuple[int, bool]:
        """Like ``_look_up``, but wait while the symbol's owner is in its init."""
        deadline = time.monotonic() + self._patience
        while True:
            found = self._look_up(name)
            if isinstance(found, Import) or found[0] != errno.EBUSY:
                return found
            self._table.tell()
            if not self._table.mutex.wait(max(deadline - time.monotonic(), 0)):
                owner = self._find(name)[1]
                by = owner.name if owner else ""
                self._log(Level.WARNING, f"gave up waiting for init of module {by}.")
                return errno.EBUSY, True

    def _look_up(self, name: str) -> Import | tuple[int, bool]:
        """Return the symbol, or an errno and whether it is there at all (resolve_symbol)."""
        exported, owner = self._find(name)
        if exported is None:
            return errno.ENOENT, False
        if exported.gpl_only:
            self._uses_gpl_only = True
        if owner is not None and not self._inherit_taint(name, owner):
            return errno.ENOENT, False
        if not check_version(self._versions, name, exported.crc, self._mod, self._around):
            return errno.EINVAL, True
        if exported.namespace and not self._may_use_namespace(name, exported.namespace):
            return errno.EINVAL, True
        code = self._table.use(self._mod, owner) if owner else 0
        return (code, True) if code else Import(name, owner)

    def _find(self, name: str) -> tuple[CoreSymbol | None, StructModule | None]:
        """Find who exports ``name``: the kernel itself (None) before any module (find_symbol)."""
        exported = self._around.vmlinux.symbols.get(name)
        owner = None
        if exported is None:
            export = self._table.exporter(name)
            if export is None:
                return None, None
            exported, owner = export
        if exported.gpl_only and "P" in self._mod.taints:
            return None, None
        return exported, owner

    def _inherit_taint(self, symbol: str, owner: StructModule) -> bool:
        if "P" not in owner.taints:
            return True
        if self._uses_gpl_only:
            self._log(
                Level.ERR,
                f"module using GPL-only symbols uses symbols {symbol} "
                f"from proprietary module {owner.name}.",
            )
            return False
        if "P" not in self._mod.taints:
            self._log(
                Level.WARNING,
                f"module uses symbols {symbol} "
                f"from proprietary module {owner.name}, inheriting taint.",
            )
            self._mod.taints.add("P")
        return True

    def _may_use_namespace(self, symbol: str, namespace: str) -> bool:
        if namespace in self._namespaces or self._is_meant(namespace):
            return True
        allowed = self._around.vmlinux.options.missing_namespaces_allowed
        self._log(
            Level.WARNING if allowed else Level.ERR,
            f"module uses symbol ({symbol}) from namespace {namespace}, but does not import it.",
        )
        return allowed

    def _is_meant(self, namespace: str) -> bool:
        """Tell whether a namespace names the modules that may use it, and this one (since 6.16)."""
        if self._around.vmlinux.version < (6, 16) or not namespace.startswith(_MODULE_NAMESPACE):
            return False
        name = self._mod.name.replace("-", "_")
        for pattern in namespace.removeprefix(_MODULE_NAMESPACE).replace("-", "_").split(","):
            if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
                return True
        return False

    def _is_ignored(self, name: str, kind: int) -> bool:
        """Tell whether the processor's own part of the kernel passes over the symbol."""
        match self._candidate.module.elf.machine:
            case ElfMachine.X86 | ElfMachine.X86_64:
                return name == "_GLOBAL_OFFSET_TABLE_"
            case ElfMachine.SPARC | ElfMachine.SPARCV9:
                return kind == _STT_REGISTER
            case ElfMachine.PPC64:
                return name == ".TOC."
        return False

    def _check_special(self, name: str, section: int, count: int) -> None:
        if section in (SHN_ABS, SHN_LIVEPATCH):
            return
        if section == SHN_COMMON:
            if not name.startswith("__gnu_lto"):
                self._log(Level.WARNING, "please compile with -fno-common")
                self._fail(errno.ENOEXEC, name)
            return
        why = f"Symbol {name} has an invalid section index {section} (max {count - 1})"
        self._log(Level.ERR, why)
        self._fail(errno.ENOEXEC, name)

    def _fail(self, code: int, name: str) -> None:
        self._code, self._failed = code, name

    def _log(self, level: Level, text: str) -> None:
        self._complaints += 1
        if self._complaints > COMPLAINTS_MAX:
            why = f"{self._mod.name}: more than {COMPLAINTS_MAX} symbols are missing"
            raise Refusal(Reason.UNKNOWN_SYMBOL, errno.ENOENT, why, symbol=self._failed)
        self._around.log.printk(level, f"{self._mod.name}: {text}")


def check_exports(mod: StructModule, around: Surroundings, table: ModuleTable) -> None:
    """Refuse a symbol that somebody else exports already (verify_exported_symbols).

    With the table's mutex held.
    """
    for symbol in mod.exports:
        export = table.exporter(symbol)
        if symbol in around.vmlinux.symbols:
            owner = "kernel"
        elif export is not None:
            owner = export.owner.name
        else:
            continue
        why = f"{mod.name}: exports duplicate symbol {symbol} (owned by {owner})"
        around.log.printk(Level.ERR, why)
        raise Refusal(Reason.INVALID_MODULE_FORMAT, errno.ENOEXEC, why, symbol=symbol)


def check_imported_namespaces(
    names: Iterable[str], mod: StructModule, around: Surroundings
) -> None:
    """Refuse to import a namespace that names its users itself (setup_modinfo, since 6.16)."""
    if around.vmlinux.version < (6, 16):
        return
    for name in names:
        if name.startswith(_MODULE_NAMESPACE):
            why = f"{mod.name}: module tries to import module namespace: {name}"
            around.log.printk(Level.ERR, why)
            raise Refusal(Reason.KERNEL_REFUSED, errno.EPERM, why)
