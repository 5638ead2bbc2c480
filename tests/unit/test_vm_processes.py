# SPDX-License-Identifier: Apache-2.0
"""A guest's process ends with the daemon; what runs it is chosen, and remembered."""

import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kmodd.kernel.vm import acceleration
from kmodd.kernel.vm.acceleration import AUTO, Acceleration, Accelerations
from kmodd.kernel.vm.machines import MACHINES, GuestMachine
from kmodd.kernel.vm.processes import start_bound
from tests.support.daemon import wait_until

PARENT = (
    "import time; from kmodd.kernel.vm.processes import start_bound; "
    "process = start_bound(['/bin/sleep', '600'], descriptors=(), errors=2); "
    "print(process.pid, flush=True); time.sleep(600)"
)

BOTH = (Acceleration.KVM, Acceleration.TCG)
EMULATED = (Acceleration.TCG,)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_process_ends_with_who_has_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_until(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n")
        parent.kill()
    wait_until(lambda: not is_alive(child))


def test_it_outlives_the_thread_that_has_asked_for_it() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        started.append(start_bound(["/bin/cat"], descriptors=(), errors=2))
        started.append(start_bound(["/bin/sleep", "600"], descriptors=(), errors=2))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert started[0].wait(30) == 0  # its stdin has nothing
    assert is_alive(started[1].pid)
    started[1].kill()
    assert started[1].wait(30) == -signal.SIGKILL


def test_it_inherits_what_it_is_given_alone(tmp_path: Path) -> None:
    out = os.open(tmp_path / "out", os.O_CREAT | os.O_RDWR)
    other = os.dup(out)
    os.set_inheritable(other, True)
    command = ["/bin/sh", "-c", "ls /proc/$$/fd >&2"]
    try:
        assert start_bound(command, descriptors=(out,), errors=out).wait(30) == 0
    finally:
        os.close(out)
        os.close(other)
    inherited = (tmp_path / "out").read_text().split()
    assert str(out) in inherited
    assert str(other) not in inherited


def test_a_program_that_is_not_there_ends_at_once() -> None:
    assert start_bound(["/nowhere/qemu"], descriptors=(), errors=os.dup(2)).wait(30) == 1


@pytest.fixture
def own_machine(monkeypatch: pytest.MonkeyPatch) -> GuestMachine:
    """A guest of this machine's architecture, and a /dev/kvm that can be opened."""
    monkeypatch.setattr(acceleration, "KVM_DEVICE", Path("/dev/null"))
    monkeypatch.setattr(platform, "machine", lambda: MACHINES[0].architecture)
    return MACHINES[0]


def test_kvm_is_tried_first_until_a_guest_has_not_answered(
    own_machine: GuestMachine, tmp_path: Path
) -> None:
    memory = tmp_path / "state"
    tried = Accelerations(AUTO, own_machine, memory)
    assert tried.to_try() == BOTH
    tried.note_hanging()
    assert tried.to_try() == EMULATED
    assert Accelerations(AUTO, own_machine, memory).to_try() == EMULATED
    (note,) = memory.iterdir()
    note.write_text("of another boot of this machine")
    assert Accelerations(AUTO, own_machine, memory).to_try() == BOTH
    forgetful = Accelerations(AUTO, own_machine, None)
    forgetful.note_hanging()
    assert forgetful.to_try() == EMULATED


def test_what_is_asked_for_is_all_that_is_tried(own_machine: GuestMachine) -> None:
    assert Accelerations("kvm", own_machine, None).to_try() == (Acceleration.KVM,)
    assert Accelerations("tcg", own_machine, None).to_try() == EMULATED


def test_another_processor_and_a_device_that_cannot_be_opened_are_emulated(
    own_machine: GuestMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Accelerations(AUTO, MACHINES[1], None).to_try() == EMULATED
    monkeypatch.setattr(acceleration, "KVM_DEVICE", tmp_path / "missing")
    assert Accelerations(AUTO, own_machine, None).to_try() == EMULATED
