# SPDX-License-Identifier: Apache-2.0
"""The checks of ``.modinfo`` on a module's way into the kernel, and the taints that it brings.

Each function is one step of ``load_module`` (kernel/module/main.c and version.c) and refuses with
the kernel's errno and log line. They change nothing but the log and the taints.
"""

import errno

from kmodd.errors import Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated.load.boot_command_line import BootCommandLine
from kmodd.kernel.emulated.modules.candidate import SHF_EXECINSTR, SHF_WRITE, Candidate
from kmodd.kernel.emulated.modules.struct_module import StructModule
from kmodd.kernel.emulated.modules.versions import Versions
from kmodd.kernel.emulated.release.vmlinux import Vmlinux
from kmodd.kernel.emulated.reporting.log import KernelLog, Level
from kmodd.kernel.emulated.reporting.refusal import Refusal, format_refusal
from kmodd.kernel.emulated.reporting.taints import KernelTaints
from kmodd.modulefile import ElfMachine
from kmodd.records import record

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

FALSE_LICENCES = frozenset({"driverloader", "lve"})
"""Modules that the kernel does not believe their licence (module_license_offenders)."""

LAYOUT = "module_layout"
"""The symbol whose version stands for that of ``struct module``."""


@record
class Surroundings:
    """What a load sees of the kernel beside its table of modules."""

    vmlinux: Vmlinux
    command_line: BootCommandLine
    taints: KernelTaints
    log: KernelLog

    def taint(
        self, mod: StructModule, letter: str, message: str = "", level: Level = Level.WARNING
    ) -> None:
        """Taint the kernel and mark ``mod`` (add_taint_module)."""
        mod.taints.add(letter)
        self.taints.add(letter, message, level)

    def force(self, mod: StructModule, reason: str) -> bool:
        """Taint and go on in spite of ``reason``, if the kernel can (try_to_force_load)."""
        if not self.vmlinux.options.force_load:
            return False
        self.taint(mod, "F", f"{mod.name}: {reason}: kernel tainted.")
        return True


def check_blacklist(candidate: Candidate, around: Surroundings) -> None:
    """Refuse what the kernel's command line forbids (module_blacklist=)."""
    if candidate.label in around.command_line.blacklist:
        why = f"Module {candidate.label} is blacklisted"
        around.log.printk(Level.ERR, why)
        raise Refusal(Reason.KERNEL_REFUSED, errno.EPERM, why)


def check_version(
    versions: Versions, symbol: str, crc: int | None, mod: StructModule, around: Surroundings
) -> bool:
    """Tell whether ``symbol`` with the version ``crc`` is the one meant (check_version)."""
    if crc is None:
        return True
    if versions.crcs is None:
        return around.force(mod, symbol)
    given = versions.crcs.get(symbol)
    if given is None:
        why = f"{versions.label}: no symbol version for {symbol}"
        if around.vmlinux.refuses_missing_versions:
            around.log.printk(Level.WARNING, why)
            return False
        around.log.printk_once(Level.WARNING, "no symbol version", why)
        return True
    if given == crc:
        return True
    why = f"{versions.label}: disagrees about version of symbol {symbol}"
    around.log.printk(Level.WARNING, why)
    return False


def check_layout_version(versions: Versions, mod: StructModule, around: Surroundings) -> None:
    """Compare the version of ``struct module`` itself (check_modstruct_version)."""
    core = around.vmlinux.symbols.get(LAYOUT)
    if core is not None and not check_version(versions, LAYOUT, core.crc, mod, around):
        why = f"{versions.label}: disagrees about version of symbol {LAYOUT}"
        raise Refusal(Reason.SYMBOL_VERSION_MISMATCH, errno.ENOEXEC, why, symbol=LAYOUT)


def check_vermagic(
    candidate: Candidate,
    versions: Versions,
    flags: InsertFlags,
    mod: StructModule,
    around: Surroundings,
) -> None:
    """Compare the version magic; a missing or an ignored one has to be forced (check_modinfo)."""
    found = None if flags & InsertFlags.IGNORE_VERMAGIC else candidate.info("vermagic")
    if found is None:
        if not around.force(mod, "bad vermagic"):
            raise format_refusal(f"{candidate.label}: no version magic, and no force allowed")
        return
    expected = around.vmlinux.vermagic
    if not expected:
        # No module of the release tells what follows its name.
        expected = around.vmlinux.release
        matches = found.split(" ")[0] == expected
    elif versions.crcs is not None:
        matches = found.partition(" ")[1:] == expected.partition(" ")[1:]
    else:
        matches = found == expected
    if not matches:
        why = f"{candidate.label}: version magic '{found}' should be '{expected}'"
        around.log.printk(Level.ERR, why)
        raise format_refusal(why)


def check_livepatch(candidate: Candidate, mod: StructModule, around: Surroundings) -> None:
    """Refuse a livepatch on a kernel that has no support for them; taint with any other."""
    if candidate.info("livepatch") is None:
        return
    if not around.vmlinux.options.livepatch:
        why = f"{mod.name}: module is marked as livepatch module, but livepatch support is disabled"
        around.log.printk(Level.ERR, why)
        raise format_refusal(why)
    if around.vmlinux.version < (6, 4):
        _taint_for_livepatch(mod, around)


def take_taints(candidate: Candidate, mod: StructModule, around: Surroundings) -> None:
    """Taint for where the module comes from and under which licence.

    Up to Linux 6.3 that is part of check_modinfo, and comes before the search for a module of the
    same name; since then it comes after (module_augment_kernel_taints).
    """
    name = mod.name
    if candidate.info("intree") is None:
        around.taint(mod, "O", f"{name}: loading out-of-tree module taints kernel.")
    _check_retpoline(candidate, mod, around)
    if candidate.info("staging") is not None:
        around.taint(mod, "C")
        around.log.printk(
            Level.WARNING,
            f"{name}: module is from the staging directory, "
            "the quality is unknown, you have been warned.",
        )
    if candidate.info("livepatch") is not None and around.vmlinux.version >= (6, 4):
        _taint_for_livepatch(mod, around)
    license_text = candidate.info("license")
    if license_text is None:
        license_text = "unspecified"
    if license_text not in GPL_COMPATIBLE:
        around.taint(mod, "P", f"{name}: module license '{license_text}' taints kernel.")
    if candidate.info("test") is not None:
        around.taint(mod, "N", f"{name}: loading test module taints kernel.")


def check_sections(candidate: Candidate, mod: StructModule, around: Surroundings) -> None:
    """Refuse memory that could be written and run (module_enforce_rwx_sections, since 5.8)."""
    both = SHF_WRITE | SHF_EXECINSTR
    if not around.vmlinux.options.strict_rwx or around.vmlinux.version < (5, 8):
        return
    for section in candidate.module.elf.sections:
        if section.flags & both == both:
            why = (
                f"{mod.name}: section {section.name} (index {section.index}) "
                "has invalid WRITE|EXEC flags"
            )
            around.log.printk(Level.ERR, why)
            raise format_refusal(why)


def take_signature_taint(good: bool, mod: StructModule, around: Surroundings) -> None:
    """Taint for a signature that is missing or not good, where the kernel minds signatures."""
    if good or not around.vmlinux.checks_signatures:
        return
    around.log.printk_once(
        Level.NOTICE,
        "module verification",
        f"{mod.name}: module verification failed: "
        "signature and/or required key missing - tainting kernel",
    )
    around.taint(mod, "E")


def check_licence_claims(mod: StructModule, around: Surroundings, *, was_proprietary: bool) -> None:
    """Taint for modules that are known to tell a false licence, and tell of the first such taint.

    ``was_proprietary`` is whether the kernel was tainted so before: up to Linux 6.3 before this,
    since then before the module's own licence was looked at, whose taint is told of twice.
    """
    if mod.name == "ndiswrapper":
        around.taints.add("P")
    if mod.name in FALSE_LICENCES:
        around.taint(mod, "P")
    if not was_proprietary and "P" in around.taints:
        around.log.printk(Level.WARNING, f"{mod.name}: module license taints kernel.")


def check_export_versions(candidate: Candidate, mod: StructModule, around: Surroundings) -> None:
    """Force a module whose exports have no versions, where the kernel has them."""
    if not around.vmlinux.has_modversions:
        return
    for suffix in ("", "_gpl"):
        table = candidate.section(f"__ksymtab{suffix}")
        if table is not None and table.size and candidate.section(f"__kcrctab{suffix}") is None:
            if not around.force(mod, "no versions for exported symbols"):
                raise format_refusal(f"{mod.name}: no versions for exported symbols")
            return


def _taint_for_livepatch(mod: StructModule, around: Surroundings) -> None:
    around.taint(mod, "K")
    line = f"{mod.name}: tainting kernel with TAINT_LIVEPATCH"
    around.log.printk_once(Level.NOTICE, "livepatch", line)


def _check_retpoline(candidate: Candidate, mod: StructModule, around: Surroundings) -> None:
    """Warn of a module without the mitigation that the release's own have (spectre.rst)."""
    sample = around.vmlinux.sample
    if sample is None or not sample.retpoline or candidate.info("retpoline") is not None:
        return
    if sample.machine.number in (ElfMachine.X86, ElfMachine.X86_64):
        around.log.printk(Level.ERR, "Spectre V2 : System may be vulnerable to spectre v2")
        around.log.printk(
            Level.WARNING,
            f"{mod.name}: loading module not compiled with retpoline compiler.",
        )
