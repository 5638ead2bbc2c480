# SPDX-License-Identifier: Apache-2.0
"""What is done to a module while its lock is held: the kernel's calls, and commands in their place.

Each of these is what a flight guards (see module_locks.py); nothing here takes a lock of a module.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from kmodd.access.trusted_files import check_open_file
from kmodd.errors import KernelError, KmoddError
from kmodd.kernel.base import EmulationReport, InsertFlags, Kernel, ModuleState
from kmodd.modulefile import detect_compression
from kmodd.modulefile.decompression import decompress
from kmodd.names import module_name
from kmodd.namespace.commands import CommandOutput, Commands
from kmodd.namespace.events import Journal
from kmodd.namespace.load_origins import LoadOrigins
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.namespace.operation import Operation, command_key
from kmodd.namespace.outdated import open_planned
from kmodd.plan import CommandStep, InsertStep
from kmodd.records import record
from kmodd.trees import Generation

FIRST_PAUSE = 0.001
"""Seconds after which a module that is in use is tried again; each pause is twice the last."""

LONGEST_PAUSE = 0.1
"""Seconds that no pause is longer than."""

SETTLE = 5.0
"""Seconds that a load waits for another program to be done with the same module."""


@record(kw_only=True)
class ModuleCalls:
    """The calls on the modules of one kernel.

    ``journal`` looks at the listing after each of them. ``stopping`` ends all waiting. ``told``
    returns a failure of the kernel's as callers are told it.
    """

    kernel: Kernel
    names: LoadedNames
    journal: Journal
    commands: Commands
    origins: LoadOrigins
    stopping: threading.Event
    told: Callable[[KmoddError], KmoddError]

    def is_live(self, name: str) -> bool:
        """Tell whether the module is loaded, and its init has run."""
        found = self.names.find(name)
        return found is not None and found.state is ModuleState.LIVE

    def insert_planned(
        self,
        step: InsertStep,
        generation: Generation,
        images: Mapping[str, bytes],
        operation: Operation,
    ) -> bool:
        """Load the planned file of a step, or the one of ``images`` that was sent for its path.

        Returns False where another program has loaded the module, unless that is a failure.
        """
        name = step.record.name
        if self.is_live(name):
            return False
        image = images.get(step.record.path)

        def system_call() -> None:
            if image is not None:
                self.kernel.init_module(image, step.parameters, step.flags)
            else:
                self._insert_file(step, generation)

        try:
            with self.origins.coming(name):
                self._settled(name, system_call, operation)
        except KernelError as error:
            if error.errno == errno.EEXIST and not step.first_time:
                return False
            raise
        return True

    def insert_image(
        self, name: str, image: bytes, parameters: str, flags: InsertFlags, operation: Operation
    ) -> bool:
        """Load ``image``, which is the module ``name``; returns True."""
        with self.origins.coming(module_name(name)):
            self._settled(
                name, lambda: self.kernel.init_module(image, parameters, flags), operation
            )
        return True

    def remove(self, name: str, operation: Operation, *, force: bool) -> EmulationReport | None:
        """Unload ``name``; return what an emulation has to tell of it."""
        own = self.names.own(name)
        try:
            report = self.kernel.delete_module(own, force=force)
        except KernelError as failure:
            raise self.told(failure) from failure
        finally:
            self.journal.look()
        operation.unloaded.append(own)
        operation.acted = True
        return report

    def run_command(
        self,
        step: CommandStep,
        operation: Operation,
        nested_options: str,
        outputs: list[CommandOutput],
    ) -> bool:
        """Run a step's command; what it writes goes to ``outputs``.

        Returns False where what it is to install is loaded. Raises StateError where commands are
        not run, and the command's failure.
        """
        if step.event == "install" and self.is_live(step.module):
            return False
        self.commands.check_allowed(step)
        operation.running = command_key(step.event, step.module)
        coming = step.event == "install"
        try:
            with self.origins.coming(step.module) if coming else nullcontext():
                try:
                    outputs.append(self.commands.run(step, operation.token, nested_options))
                finally:
                    self.journal.look()
        finally:
            operation.running = ""
            operation.acted = True
        failure = outputs[-1].failure
        if failure is not None:
            raise failure
        return True

    def _settled(self, name: str, system_call: Callable[[], None], operation: Operation) -> None:
        """Make a call that loads ``name``, once no other program is loading or unloading it.

        EBUSY is what the kernel answers then, and what a module's own init may answer: only where
        the listing has the module on its way is it tried again.
        """
        deadline = time.monotonic() + SETTLE
        pause = FIRST_PAUSE
        while True:
            passing = self._is_passing(name)
            try:
                system_call()
                break
            except KernelError as failure:
                error = self.told(failure)
                passing = passing or self._is_passing(name)
                if error.errno != errno.EBUSY or not passing or time.monotonic() > deadline:
                    raise error from failure
                if self.stopping.wait(pause):
                    raise
                operation.check_wanted()
            finally:
                self.journal.look()
            pause = min(2 * pause, LONGEST_PAUSE)
        operation.loaded.append(self.names.own(name))
        operation.acted = True

    def _is_passing(self, name: str) -> bool:
        """Tell whether the module is being loaded or unloaded."""
        found = self.names.find(name)
        return found is not None and found.state is not ModuleState.LIVE

    def _insert_file(self, step: InsertStep, generation: Generation) -> None:
        path = generation.directory / step.record.path
        fd = open_planned(path, step.record.stamp)
        try:
            if generation.trusted_only:
                check_open_file(fd, path)
            self._insert_open_file(fd, path, step.parameters, step.flags)
        finally:
            os.close(fd)

    def _insert_open_file(self, fd: int, path: Path, parameters: str, flags: InsertFlags) -> None:
        """Hand the file to the kernel, decompressed where the kernel cannot do it."""
        if detect_compression(os.pread(fd, 8, 0)) in self.kernel.compressions:
            self.kernel.finit_module(fd, parameters, flags)
            return
        image = decompress(os.pread(fd, os.fstat(fd).st_size, 0), path=str(path))
        self.kernel.init_module(image, parameters, flags)
