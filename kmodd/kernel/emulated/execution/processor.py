# SPDX-License-Identifier: Apache-2.0
"""Modules and their functions on the emulated machine."""

import errno
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

import kmodd.kernel.emulated.functions.everything  # noqa: F401  # declares the kernel's functions
from kmodd.errors import Reason
from kmodd.kernel.base import Device, KernelFile, OpenFile
from kmodd.kernel.emulated.abi.function_table import FUNCTIONS, RECLAIMERS
from kmodd.kernel.emulated.abi.structures import MODULE, MissingFieldError
from kmodd.kernel.emulated.execution.placement import Placer
from kmodd.kernel.emulated.execution.user_files import UserFiles
from kmodd.kernel.emulated.functions.hotplug import plug, plugged, unplug
from kmodd.kernel.emulated.functions.interrupts import owners, raise_interrupt
from kmodd.kernel.emulated.functions.jump_labels import follow_switched_keys
from kmodd.kernel.emulated.functions.open_files import lose_module
from kmodd.kernel.emulated.functions.parameters import read_from_memory, set_in_memory
from kmodd.kernel.emulated.hardware.memory import BadAddress, has_room
from kmodd.kernel.emulated.hardware.modalias import PciIdentity, PlatformIdentity
from kmodd.kernel.emulated.hardware.x86_64 import ROOM
from kmodd.kernel.emulated.machine.crash import Crash
from kmodd.kernel.emulated.machine.image import ModuleImage
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.pseudo_filesystem import Listed
from kmodd.kernel.emulated.machine.resource_ledger import Entry
from kmodd.kernel.emulated.machine.services import Services
from kmodd.kernel.emulated.modules.load_info import LoadInfo
from kmodd.kernel.emulated.modules.param_table import ModuleParameter
from kmodd.kernel.emulated.modules.params import Remark, store_parameter
from kmodd.kernel.emulated.modules.struct_module import Import, Imports, StructModule
from kmodd.kernel.emulated.reporting.log import Level
from kmodd.kernel.emulated.reporting.refusal import Refusal, format_refusal, missing_file, ours
from kmodd.modulefile import ElfMachine

_COMING, _LIVE, _GOING = 1, 0, 2
"""The states in ``struct module`` (enum module_state)."""

NOT_IN_ORDER = "the structures that the kernel's image tells of are not in order"
"""Why no code is run where no machine can be made of what an image says."""

LEAKS_TOLD = 20
"""Lines of the log for what one module never gave back."""


def _listed(machine: Machine, found: Listed) -> KernelFile:
    """Return a name as others are told of it, with what can be done with what it stands for."""
    content, mode = found.content, stat.S_IMODE(found.mode)
    is_device, uses = False, ""
    if content is not None:
        is_device = content.kind == stat.S_IFCHR
        with suppress(BadAddress, MissingFieldError):
            uses = content.uses(machine)
    return KernelFile(found.path, found.is_directory, found.module, mode, is_device, uses)


class Processor:
    """Runs modules' code; what it knows of them is guarded by the machine's lock.

    ``_making`` sees to it that there is one machine, whose first modules may come all at once, or
    that it is known why there is none (``_unmade``).
    """

    runs_code = True
    why_not = ""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._making = Lock()
        self._machine: Machine | None = None
        self._unmade = ""
        self._images: dict[StructModule, ModuleImage] = {}
        self._by_name: dict[str, StructModule] = {}
        self._user_files = UserFiles(self._entering_as_user)

    @property
    def machine(self) -> Machine:
        """The machine, which is made when the first module comes.

        Raises Refusal where none can be made: an image may tell of any structures, which is tried
        once, since a machine takes its memory before it is known; or there is no room for one.
        """
        with self._making:
            if self._machine is None and not self._unmade:
                if not has_room(ROOM):
                    why = f"no room for a machine with {ROOM >> 20} MiB of addresses (ulimit -v)"
                    raise Refusal(Reason.KERNEL_REFUSED, errno.ENOMEM, why)
                try:
                    MODULE.require("state", "name")
                    machine = Machine(self._services)
                except (MissingFieldError, BadAddress, struct.error) as error:
                    self._unmade = f"{NOT_IN_ORDER}: {error}"
            if self._unmade:
                raise Refusal(Reason.KERNEL_REFUSED, errno.ENODEV, self._unmade)
            if self._machine is None:
                self._placer = Placer(machine.memory, machine.per_cpu, self._resolve)
                self._machine = machine
            return self._machine

    def place(self, file: LoadInfo, mod: StructModule, imports: Imports) -> None:
        """Put a module of this machine's kind into memory; others have no code to run here."""
        elf = file.candidate.module.elf
        if elf.bits != 64 or elf.machine != ElfMachine.X86_64:
            mod.why_not_run = "its processor is not emulated, only x86-64 is"
            return
        try:
            machine = self.machine
        except Refusal as refusal:
            if not self._unmade:  # there may be room for the next one
                raise
            mod.why_not_run = refusal.message
            return
        with machine.lock:
            try:
                image = self._placer.place(file, mod, imports)
            except BadAddress as error:
                why = f"{mod.name}: it would reach to {error}, where no memory is"
                raise format_refusal(why) from error
            machine.add_image(image)
            self._images[mod] = image
            self._by_name[mod.name] = mod
            follow_switched_keys(machine, image)
            if image.this_module:
                machine.memory.put(image.this_module + MODULE.state, _COMING, 4)

    def take_parameter(
        self, mod: StructModule, parameter: ModuleParameter, value: str | None
    ) -> int:
        """Store a value where the module's code finds it, or have the code take it."""
        image = self._images.get(mod)
        if image is None or not image.parameters:
            return 0
        function = f"param_set_{parameter.kind or 'copystring'}"
        with self._entering(mod.name, f"a parameter of {mod.name}", function) as machine:
            return set_in_memory(machine, image.parameters, parameter, value)

    def show_parameter(self, mod: StructModule, parameter: ModuleParameter) -> str | None:
        """Return what the module's memory, or its own code, says of a parameter."""
        image = self._images.get(mod)
        if image is None or not image.parameters:
            return parameter.value
        function = f"param_get_{parameter.kind or 'string'}"
        try:
            with self._entering(mod.name, f"a file of {mod.name}", function) as machine:
                return read_from_memory(machine, image.parameters, parameter)
        except Refusal:
            return None

    def store_parameter(
        self, mod: StructModule, parameter: ModuleParameter, value: str
    ) -> tuple[int, list[Remark]]:
        """Store a new value where the module's code finds it, or have the code take it."""
        code, remarks = store_parameter(parameter, value, mod.parameters.bits)
        if not code:
            code = self.take_parameter(mod, parameter, value)
        elif parameter.is_array and parameter.value is not None:
            # The elements before a bad one are set.
            self.take_parameter(mod, parameter, parameter.value)
        return code, remarks

    def init(self, mod: StructModule) -> int:
        """Run the module's init."""
        image = self._images.get(mod)
        if image is None or not image.init:
            return 0
        with self._entering(mod.name, f"the init of {mod.name}") as machine:
            try:
                result = self._try_init(machine, mod, image)
                machine.deferred.run()
            finally:
                mod.suspects = tuple(machine.calls.now.stubbed)
                self._note(mod)
            if result >= 0:
                self._set_state(image, _LIVE)
        return result

    def _try_init(self, machine: Machine, mod: StructModule, image: ModuleImage) -> int:
        """Call the init; where the module is tried, note how it went."""
        trial = machine.trial
        if trial is None or trial.module != mod.name:
            return machine.call(image.init)
        trial.enter("init")
        trial.result = result = machine.call(image.init)
        trial.kept = trial.holding()
        trial.enter("running" if result >= 0 else "init")
        return result

    def settle(self, mod: StructModule) -> None:
        """Let what the module's code has begun go on, and some time pass."""
        if mod not in self._images:
            return
        with suppress(Refusal), self._outside("what was begun") as machine:
            machine.tasks.settle(mod.name)

    def exit(self, mod: StructModule) -> None:
        """Run the module's exit."""
        image = self._images.get(mod)
        if image is None or not image.exit or not mod.init_ran:
            return
        with self._entering(mod.name, f"the exit of {mod.name}") as machine:
            try:
                self._set_state(image, _GOING)
                machine.deferred.run()
                self._enter_phase(mod.name, "exit")
                machine.invoke(image.exit)
                machine.deferred.run()
            finally:
                self._note(mod)

    def _enter_phase(self, module: str, phase: str) -> None:
        """Note what a module that is tried comes to, "" for whichever that is."""
        trial = self._services.trial
        if trial is not None and module in ("", trial.module):
            trial.enter(phase)

    def drop_init(self, mod: StructModule) -> None:
        """Give back the memory for init."""
        image = self._images.get(mod)
        if image is None or not image.has_init_memory:
            return
        machine = self.machine
        with machine.lock:
            machine.remove_image(image, init_only=True)
            image.has_init_memory = False

    def drop(self, mod: StructModule) -> None:
        """Take the module out of memory, with all that is still on its account."""
        image = self._images.get(mod)
        if image is None:
            return
        machine = self.machine
        with machine.lock:
            mod.leaks = self._close_account(mod, image)
            self._note(mod)
            machine.stubs.forget(mod.name)
            machine.mounts.sysfs.forget(mod.name)
            lose_module(machine, mod.name)
            machine.remove_image(image)
            self._placer.take_away(image)
            del self._images[mod]
            del self._by_name[mod.name]

    def plug(self, identity: PlatformIdentity | PciIdentity) -> Device:
        """Make a device and have the drivers of its bus probe it."""
        with self._outside(f"a driver's probe of {identity}") as machine:
            self._enter_phase("", "probe")
            device = plug(machine, identity)
            self._enter_phase("", "running")
            machine.tasks.settle()
            return device

    def unplug(self, name: str) -> None:
        """Have a device's driver let go of it, and take it away."""
        with self._outside(f"the removal of {name}") as machine:
            self._enter_phase("", "remove")
            unplug(machine, name)
            self._enter_phase("", "running")
            machine.tasks.settle()

    def interrupt(self, number: int) -> tuple[str, ...]:
        """Have an interrupt come; return the modules that have it."""
        with self._outside(f"interrupt {number}") as machine:
            modules = owners(machine, number)
            raise_interrupt(machine, number)
            machine.tasks.settle()
            return modules

    def devices(self) -> tuple[Device, ...]:
        """Return the devices, the oldest first."""
        machine = self._machine
        if machine is None:
            return ()
        with machine.lock:
            return plugged(machine)

    def open_file(self, path: str, flags: int) -> OpenFile:
        """Open a file that a module has made."""
        if self._machine is None:
            raise missing_file(path)
        return self._user_files.open(path, flags)

    def files(self) -> tuple[KernelFile, ...]:
        """Return what modules have made in /dev, /proc and /sys."""
        machine = self._machine
        if machine is None:
            return ()
        with machine.lock:
            return tuple(_listed(machine, each) for each in machine.mounts.listing())

    def close(self) -> None:
        """Run nothing any more."""
        if self._machine is not None:
            self._machine.cpu.close()

    @contextmanager
    def _outside(self, what: str) -> Iterator[Machine]:
        """Have the machine for what is about no module, but may run the code of any."""
        with self._entering("", what) as machine:
            try:
                yield machine
            finally:
                for name in machine.stubs.take_new():
                    if name in self._by_name:
                        self._note(self._by_name[name])

    @contextmanager
    def _entering_as_user(self, module: str, what: str, task: int) -> Iterator[Machine]:
        """Have the machine for a call that the process ``task`` makes."""
        with self._entering(module, what, "vfs_read", task) as machine:
            try:
                yield machine
            finally:
                if module in self._by_name:
                    self._note(self._by_name[module])

    @contextmanager
    def _entering(
        self, module: str, what: str, function: str = "do_one_initcall", task: int = 0
    ) -> Iterator[Machine]:
        """Have the machine for ``what``, a system call about ``module``, of ``task``.

        Whatever goes wrong there is the oops of that call: in the module's code, in a kernel
        function that it calls, and in ``function``, which does for it what is done here.
        """
        machine = self.machine
        with machine.running(module, task):
            call = machine.calls.now
            try:
                yield machine
            except Refusal:
                raise
            except Crash as crash:
                raise self._crashed(crash, what, tuple(call.stubbed)) from crash
            except Exception as error:
                at = machine.kernel_symbols.address(function) if function in FUNCTIONS else 0
                mistake = machine.faults.blame(error, function, at)
                raise self._crashed(mistake, what, tuple(call.stubbed)) from error

    def _close_account(self, mod: StructModule, image: ModuleImage) -> tuple[str, ...]:
        """Tell what the module never gave back, and take it."""
        machine = self._machine
        assert machine is not None
        if machine.trial is not None and machine.trial.module == mod.name:
            for entry in machine.ledger.held(mod.name):
                machine.trial.left(entry.name or entry.kind, image.find(entry.taken_at))
        leaks = tuple(
            # Other modules may be where the module's init was by now.
            f"{entry.name or entry.kind}, taken in {image.find(entry.taken_at)}"
            for entry in machine.ledger.held(mod.name)
        )
        for entry in machine.ledger.close(mod.name):
            self._reclaim(entry)
        for leak in leaks[:LEAKS_TOLD]:
            self._services.printk(Level.WARNING, f"kmodd: {mod.name} leaks {leak}")
        if len(leaks) > LEAKS_TOLD:
            why = f"kmodd: {mod.name} leaks {len(leaks) - LEAKS_TOLD} more"
            self._services.printk(Level.WARNING, why)
        return leaks

    def _reclaim(self, entry: Entry) -> None:
        """Forget one thing; what the module has made of it must not keep the rest."""
        machine, reclaim = self.machine, RECLAIMERS.get(entry.kind)
        if reclaim is None:
            return
        try:
            reclaim(machine, entry.key)
        except Exception as error:
            crash = machine.faults.blame(error, "free_module", 0)
            self._services.printk(Level.WARNING, crash.why)

    def _crashed(self, crash: Crash, what: str, stubbed: tuple[str, ...]) -> Refusal:
        """Log a crash, and return why the system call ends."""
        self.machine.faults.report(crash)
        self.machine.deferred.clear()
        if stubbed:
            said = f"kmodd: {what} crashed{ours(stubbed)}"
            self._services.printk(Level.WARNING, said)
        why = f"{what} crashed: {crash.why}{ours(stubbed)}"
        return Refusal(Reason.MODULE_CRASHED, errno.EFAULT, why, detail=crash.why)

    def _note(self, mod: StructModule) -> None:
        mod.stubbed = self.machine.stubs.called_by(mod.name)

    def _set_state(self, image: ModuleImage, state: int) -> None:
        if image.this_module:
            self.machine.memory.put(image.this_module + MODULE.state, state, 4)

    def _resolve(self, wanted: Import) -> int:
        """Return the address of an imported symbol."""
        if wanted.owner is None:
            return self.machine.kernel_symbols.address(wanted.name)
        image = self._images.get(wanted.owner)
        return image.exports.get(wanted.name, 0) if image else 0
