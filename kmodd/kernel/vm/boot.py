# SPDX-License-Identifier: Apache-2.0
"""From a release to a guest that answers.

A guest that was saved when it had just booted goes on from there. Else the kernel boots, and once
the agent has answered, the guest is saved for the next time.
"""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from kmodd.errors import KernelError, KernelImageError, Reason
from kmodd.kernel.vm.acceleration import AUTO, KVM_SECONDS, Acceleration, Accelerations
from kmodd.kernel.vm.agent import agent_of
from kmodd.kernel.vm.images import boot_file, image_for, machine_for
from kmodd.kernel.vm.initramfs import initramfs, port_modules
from kmodd.kernel.vm.machines import GuestMachine
from kmodd.kernel.vm.port import PortTree, TreeRecord
from kmodd.kernel.vm.qemu import (
    Guest,
    Hardware,
    hardware_arguments,
    has_sandbox,
    kernel_arguments,
    program_of,
    start,
    version_of,
)
from kmodd.kernel.vm.qmp import QmpError
from kmodd.kernel.vm.saved_state import SavedStates, key_of
from kmodd.kernel.vm.wire import await_agent
from kmodd.records import record

MEMORY = 512
"""MiB of a guest that nobody says otherwise of."""

PROCESSORS_MAX = 8
"""Processors of such a guest at most; else it has as many as this process may use."""

BOOT_SECONDS = 180.0
"""Seconds that a guest has from its start to the first answer."""

RESUME_SECONDS = 15.0
"""Seconds that one has which goes on from a saved state."""

CONSOLE_LINES = 3
"""Lines of the console that tell how a boot has ended."""

_FORMAT = "1"
"""Which states this version can go on from."""

log = logging.getLogger(__name__)


class ReleaseTree(PortTree, Protocol):
    """The release's database, as far as a boot asks it."""

    @property
    def modules(self) -> Mapping[str, TreeRecord]:
        """The modules by name."""


@record(kw_only=True)
class BootOptions:
    """What a guest is made of.

    ``root`` is the system root, ``tree`` its database of the release. ``image`` is the kernel where
    it is not in its usual place, ``command_line`` what its command line ends with. ``acceleration``
    is one of acceleration.CHOICES, ``memory`` in MiB, ``processors`` 0 for as many as there are.
    Saved states are in ``states``.
    """

    root: Path
    release: str
    tree: ReleaseTree
    image: Path | None = None
    command_line: str = ""
    acceleration: str = AUTO
    memory: int = MEMORY
    processors: int = 0
    states: Path | None = None


class Booter:
    """Boots one kernel, time and again. For one thread at a time."""

    def __init__(self, options: BootOptions) -> None:
        """Find all that is needed; raises KernelError, KernelImageError, ModuleFileError.

        Each says in one line what is missing, and which package has it.
        """
        self._options = options
        tree = options.tree
        self.machine = machine_for(tree.modules, tree.directory, options.release)
        self._image = image_for(options.root, options.release, self.machine, options.image)
        self._program = program_of(self.machine)
        self._initramfs = initramfs(_agent_for(self.machine), port_modules(tree, self.machine))
        self._arguments = kernel_arguments(self.machine, options.command_line)
        self._states = SavedStates(options.states) if options.states else None
        self._accelerations = Accelerations(options.acceleration, self.machine, options.states)
        self._sandbox = has_sandbox(self._program)

    @property
    def arguments(self) -> str:
        """The kernel's command line."""
        return self._arguments

    def boot(self) -> Guest:
        """Return a guest whose agent has answered.

        Raises KernelError (KERNEL_PANIC) for one that does not come up, and for what QEMU refuses.
        """
        tried = self._accelerations.to_try()
        for acceleration in tried:
            hardware = self._hardware(acceleration)
            more = acceleration is not tried[-1]
            try:
                return self._boot(hardware, KVM_SECONDS if more else BOOT_SECONDS)
            except KernelError as error:
                if not more:
                    raise
                log.info("no guest with %s (%s): trying without", acceleration, error.message)
                self._accelerations.note_hanging()
        raise AssertionError(tried)

    def _hardware(self, acceleration: Acceleration) -> Hardware:
        wanted = self._options.processors
        available = min(len(os.sched_getaffinity(0)), PROCESSORS_MAX)
        return Hardware(
            machine=self.machine,
            acceleration=acceleration,
            memory=self._options.memory,
            processors=wanted or available,
        )

    def _boot(self, hardware: Hardware, seconds: float) -> Guest:
        # With KVM a state is of one processor, and a boot takes no longer than to read it.
        states = self._states if hardware.acceleration is Acceleration.TCG else None
        if states is None:
            return self._boot_anew(hardware, seconds)
        key = self._key(hardware)
        guest = self._resumed(hardware, states, key)
        if guest is None:
            guest = self._boot_anew(hardware, seconds)
            self._save(guest, states, key)
        return guest

    def _boot_anew(self, hardware: Hardware, seconds: float) -> Guest:
        fd = os.memfd_create("initramfs", os.MFD_CLOEXEC)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(self._initramfs)
            with boot_file(self._image) as kernel:
                guest = start(
                    self._program,
                    hardware,
                    sandbox=self._sandbox,
                    boot=kernel,
                    initramfs=fd,
                    arguments=self._arguments,
                )
                try:
                    self._greet(guest, seconds)
                except BaseException:
                    _bury(guest)
                    raise
        finally:
            os.close(fd)
        return guest

    def _resumed(self, hardware: Hardware, states: SavedStates, key: str) -> Guest | None:
        state = states.open(key)
        if state is None:
            return None
        try:
            guest = start(self._program, hardware, sandbox=self._sandbox, state=state)
        finally:
            os.close(state)
        try:
            guest.resume()
            self._greet(guest, RESUME_SECONDS)
        except (QmpError, KernelError) as error:
            _bury(guest)
            log.warning("a saved guest does not go on (%s; %s)", error, guest.last_words())
            states.forget(key)
            return None
        except BaseException:
            _bury(guest)
            raise
        return guest

    def _save(self, guest: Guest, states: SavedStates, key: str) -> None:
        try:
            states.save(key, guest.save)
        except QmpError as error:
            log.warning("the state of a guest cannot be kept: %s", error)
            if guest.wait(0):
                _bury(guest)
                raise self._failure(guest, "it ended when it was saved") from error

    def _greet(self, guest: Guest, seconds: float) -> None:
        began = time.monotonic()
        try:
            await_agent(guest.socket, seconds)
        except TimeoutError as error:
            why = f"it did not answer within {time.monotonic() - began:.0f} seconds"
            raise self._failure(guest, why) from error
        except OSError as error:
            ended = guest.wait(1.0)
            why = guest.last_words() if ended else str(error)
            raise self._failure(guest, why) from error

    def _failure(self, guest: Guest, why: str) -> KernelError:
        guest.kill()
        lines = guest.console.splitlines()[-CONSOLE_LINES:]
        said = f"; it said: {' / '.join(lines)}" if lines else ""
        message = f"the kernel {self._options.release} does not come up: {why}{said}"
        return KernelError(Reason.KERNEL_PANIC, message, log=tuple(lines))

    def _key(self, hardware: Hardware) -> str:
        try:
            image = self._image.path.read_bytes()
        except OSError as error:
            why = f"it cannot be read: {error.strerror}"
            raise KernelImageError(str(self._image.path), why) from error
        return key_of(
            _FORMAT,
            version_of(self._program),
            "\0".join(hardware_arguments(hardware)),
            str(self._sandbox),
            self._options.release,
            self._arguments,
            image,
            self._initramfs,
        )


def _bury(guest: Guest) -> None:
    """End a guest that nobody has seen yet."""
    guest.kill()
    guest.socket.close()


def _agent_for(machine: GuestMachine) -> bytes:
    try:
        return agent_of(machine.architecture).read_bytes()
    except OSError as error:
        why = f"kmodd has no agent for a guest of {machine.architecture}: {error.strerror}"
        raise KernelError(Reason.KERNEL_REFUSED, why) from error
