# SPDX-License-Identifier: Apache-2.0
"""A module's way into the kernel: ``load_module``, step by step in the kernel's order.

What comes first differs: since Linux 6.4 a module of the same name is looked for before memory is
laid out, and a module only taints once it has its place in the table; before, it taints first.
"""

import errno
from dataclasses import dataclass

from kmodd.errors import Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated.execution.cpu import Cpu
from kmodd.kernel.emulated.load import checks
from kmodd.kernel.emulated.load.checks import Surroundings
from kmodd.kernel.emulated.load.headers import check_headers, set_up
from kmodd.kernel.emulated.load.signature import check_signature
from kmodd.kernel.emulated.load.symbols import (
    Resolver,
    check_exports,
    check_imported_namespaces,
)
from kmodd.kernel.emulated.modules.candidate import Candidate
from kmodd.kernel.emulated.modules.image_cache import ImageCache
from kmodd.kernel.emulated.modules.layout import Layout
from kmodd.kernel.emulated.modules.load_info import LoadInfo
from kmodd.kernel.emulated.modules.module_table import ModuleTable
from kmodd.kernel.emulated.modules.param_table import ModuleParameter
from kmodd.kernel.emulated.modules.params import TEXT_MAX, set_parameters
from kmodd.kernel.emulated.modules.section_files import section_files
from kmodd.kernel.emulated.modules.struct_module import StructModule
from kmodd.kernel.emulated.modules.versions import Versions
from kmodd.kernel.emulated.reporting.log import Level
from kmodd.kernel.emulated.reporting.refusal import Refusal, ours
from kmodd.modulefile import ModuleFile

NO_AVX = "the emulated processor has no AVX"
"""Why a module that needs such instructions does not load."""


@dataclass(slots=True)
class ModuleLoad:
    """One call of load_module. For the thread that makes it.

    ``label`` is the module's name as far as it is known, for the error.
    """

    around: Surroundings
    table: ModuleTable
    cpu: Cpu
    patience: float
    files: ImageCache
    label: str = ""

    def run(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        """Load ``image``. Raises Refusal, and ModuleFileError where the file lies about itself."""
        image, good = self._signed(image, flags)
        file = self._open(image)
        candidate = file.candidate
        self.label = candidate.name or candidate.label
        mod = StructModule(candidate.name, why_not_run=self.cpu.why_not)
        versions = self._check_early(file, mod, flags)
        mod.init_symbol, mod.exit_symbol = file.own_functions
        checks.check_sections(candidate, mod, self.around)
        mod.layout = file.layout(versions_ignored=bool(flags & InsertFlags.IGNORE_MODVERSIONS))
        with self.table.mutex:
            self.table.add_unformed(mod)
        try:
            self._link(file, mod, versions, good)
            self._form(candidate, mod, parameters)
        except BaseException:
            self.cpu.drop(mod)
            with self.table.mutex:
                self.table.drop(mod)
            raise
        self.files.put_back(image, file)
        self._start(mod)

    def _signed(self, image: bytes, flags: InsertFlags) -> tuple[bytes, bool]:
        """Return the image without its signature, and whether that is good."""
        vmlinux, log = self.around.vmlinux, self.around.log
        good = False
        if vmlinux.checks_signatures or self.around.command_line.signatures_enforced:
            enforced = (
                vmlinux.options.signatures_enforced or self.around.command_line.signatures_enforced
            )
            state = check_signature(
                image, flags, vmlinux.certificates, enforced=enforced, printk=log.printk
            )
            image, good = image[: state.module_size], state.good
        return image, good

    def _open(self, image: bytes) -> LoadInfo:
        vmlinux, log = self.around.vmlinux, self.around.log
        file = self.files.take(image, vmlinux)
        if file is None:
            check_headers(image, vmlinux, log.printk)
            file = LoadInfo(set_up(ModuleFile.parse(image), vmlinux, log.printk), vmlinux)
        return file

    def _check_early(self, file: LoadInfo, mod: StructModule, flags: InsertFlags) -> Versions:
        """Check what needs nothing but the file (early_mod_check)."""
        around, candidate = self.around, file.candidate
        checks.check_blacklist(candidate, around)
        versions = file.versions(ignored=bool(flags & InsertFlags.IGNORE_MODVERSIONS))
        checks.check_layout_version(versions, mod, around)
        checks.check_vermagic(candidate, versions, flags, mod, around)
        if around.vmlinux.version < (6, 4):
            checks.take_taints(candidate, mod, around)
        checks.check_livepatch(candidate, mod, around)
        if around.vmlinux.version >= (6, 4):
            with self.table.mutex:
                self.table.check_name(mod.name)
        return versions

    def _link(self, file: LoadInfo, mod: StructModule, versions: Versions, good: bool) -> None:
        """Give the module what it needs of others, and know what it offers."""
        around, candidate = self.around, file.candidate
        was_proprietary = "P" in around.taints
        if around.vmlinux.version >= (6, 4):
            checks.take_taints(candidate, mod, around)
            checks.take_signature_taint(good, mod, around)
            checks.check_licence_claims(mod, around, was_proprietary=was_proprietary)
        else:
            checks.take_signature_taint(good, mod, around)
        if candidate.section("__obsparm"):
            around.log.printk(Level.WARNING, f"{mod.name}: Ignoring obsolete parameters")
        if around.vmlinux.version < (6, 4):
            checks.check_licence_claims(mod, around, was_proprietary=was_proprietary)
        checks.check_export_versions(candidate, mod, around)
        mod.version = candidate.info("version")
        mod.source_version = candidate.info("srcversion")
        check_imported_namespaces(candidate.infos("import_ns"), mod, around)
        resolver = Resolver(candidate, mod, versions, around, self.table, self.patience)
        imports = resolver.resolve(file.symbols, file.wanted)
        mod.exports = file.exports
        mod.parameters = file.parameters()
        mod.files = section_files(candidate.module, mod.layout, mod.address, mod.init_address)
        self.cpu.place(file, mod, imports)
        # Where its sections are is of no interest once they are there.
        mod.layout = Layout(mod.layout.core, mod.layout.init)

    def _form(self, candidate: Candidate, mod: StructModule, parameters: str) -> None:
        """Make the module visible, set its parameters, give it a directory in sysfs."""
        with self.table.mutex:
            check_exports(mod, self.around, self.table)
            self.table.make_coming(mod)
        try:
            self._set_parameters(candidate, mod, parameters)
            self._enter_sysfs(mod)
        except BaseException:
            with self.table.mutex:
                self.table.make_going(mod)
            raise

    def _set_parameters(self, candidate: Candidate, mod: StructModule, text: str) -> None:
        bits = candidate.module.elf.bits
        code, why = 0, ""
        if len(text) > TEXT_MAX:
            why = f"{mod.name}: more than {TEXT_MAX} characters of parameters"
            raise Refusal(Reason.INVALID_PARAMETER, errno.E2BIG, why)

        def store(parameter: ModuleParameter, value: str | None) -> int:
            return self.cpu.take_parameter(mod, parameter, value)

        for remark in set_parameters(mod.name, mod.parameters, text, bits, store):
            self.around.log.printk(remark.level, remark.text)
            if remark.taints:
                self.around.taints.add("U")
            if remark.errno:
                code, why = remark.errno, remark.text
        if code:
            raise Refusal(Reason.INVALID_PARAMETER, code, why)

    def _enter_sysfs(self, mod: StructModule) -> None:
        """Refuse a name that a part of the kernel has in /sys/module (mod_sysfs_init)."""
        if mod.name in self.around.vmlinux.builtins.with_directory:
            why = f"{mod.name}: module is already loaded"
            self.around.log.printk(Level.ERR, why)
            raise Refusal(Reason.KERNEL_REFUSED, errno.EINVAL, why)
        if not mod.name:
            raise Refusal(Reason.INVALID_MODULE_FORMAT, errno.EINVAL, "a module without a name")

    def _tell_missing_instructions(self, mod: StructModule, code: int) -> None:
        """Say whose fault it is where a module has asked for AVX and was told that there is none.

        Its init says so itself, or the kernel does (cpu_has_xfeatures), and fails with ENODEV.
        """
        if code == errno.ENODEV and any("AVX" in line for line in self.around.log.captured()):
            self.around.log.printk(Level.WARNING, f"kmodd: {mod.name}: {NO_AVX}")

    def _start(self, mod: StructModule) -> None:
        """Run init; the module is live, or gone (do_init_module)."""
        try:
            result = self.cpu.init(mod) if mod.has_init else 0
            if result < 0:
                self._tell_missing_instructions(mod, -result)
                if mod.suspects:
                    said = f"kmodd: {mod.name}: init failed ({result}){ours(mod.suspects)}"
                    self.around.log.printk(Level.WARNING, said)
                why = f"the init of {mod.name} failed{ours(mod.suspects)}"
                raise Refusal(Reason.KERNEL_REFUSED, -result, why)
        except BaseException as error:
            # Nobody may wait for ever for what will never be live.
            with self.table.mutex:
                mod.count -= 1
                self.table.make_going(mod)
            self.cpu.drop(mod)
            if isinstance(error, Refusal):
                error.leaks = mod.leaks
            with self.table.mutex:
                self.table.drop(mod)
            raise
        if result > 0:
            self.around.log.printk(
                Level.WARNING,
                f"do_init_module: '{mod.name}'->init suspiciously returned {result}, "
                "it should follow 0/-E convention\n"
                "do_init_module: loading module anyway...",
            )
        runs = self.cpu.runs_code and not mod.why_not_run
        mod.init_ran = runs and mod.has_init
        self.cpu.drop_init(mod)
        with self.table.mutex:
            self.table.make_live(mod)
        self.cpu.settle(mod)
