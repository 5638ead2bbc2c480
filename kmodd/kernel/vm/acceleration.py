# SPDX-License-Identifier: Apache-2.0
"""Whether the machine's own processor runs the guest (KVM), or QEMU emulates one (TCG).

That /dev/kvm is there says little: on some hosts a guest never runs there, however long one waits.
So it counts where a guest has answered, and that it did not is remembered until the host's next
boot.
"""

import os
import platform
from enum import StrEnum
from pathlib import Path

from kmodd.kernel.vm.machines import GuestMachine

KVM_SECONDS = 3.0
"""Seconds that a guest which runs on the machine's own processor has for its first answer."""

KVM_DEVICE = Path("/dev/kvm")

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Acceleration(StrEnum):
    """Who runs the guest's code."""

    KVM = "kvm"
    TCG = "tcg"


AUTO = "auto"
CHOICES = (AUTO, *Acceleration)
"""What may be wished for."""


class Accelerations:
    """Which accelerations to try, and in what order. For one thread at a time."""

    def __init__(self, wanted: str, machine: GuestMachine, memory: Path | None) -> None:
        """``wanted`` is one of CHOICES; ``memory`` the directory that outlives the process."""
        self._wanted = wanted
        self._machine = machine
        self._note = memory / "kvm-hangs" if memory else None
        self._hangs = False

    def to_try(self) -> tuple[Acceleration, ...]:
        """Return what to try, the best first; the last has no time limit of its own."""
        if self._wanted != AUTO:
            return (Acceleration(self._wanted),)
        if self._can_be_opened() and not (self._hangs or self._is_noted()):
            return (Acceleration.KVM, Acceleration.TCG)
        return (Acceleration.TCG,)

    def note_hanging(self) -> None:
        """Remember that a guest did not answer with KVM."""
        self._hangs = True
        if self._note is not None:
            try:
                self._note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._note.write_text(_boot_id())
            except OSError:
                return  # it is found out anew then

    def _can_be_opened(self) -> bool:
        if platform.machine() != self._machine.architecture:
            return False
        try:
            os.close(os.open(KVM_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    def _is_noted(self) -> bool:
        try:
            return self._note is not None and self._note.read_text() == _boot_id()
        except (OSError, ValueError):
            return False


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text()
    except OSError:
        return ""
