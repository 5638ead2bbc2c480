# SPDX-License-Identifier: Apache-2.0
"""Plans on a kernel that other programs load modules into, too."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import EmulatedKernel, IsolatedKernel
from kmodd.plan import InsertStep, LoadRequest
from tests.support.namespaces import namespace_of


class ContestedKernel(EmulatedKernel):
    """A kernel where somebody else always loads a module just before us."""

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        super().finit_module(os.dup(fd), parameters, flags)
        super().finit_module(fd, parameters, flags)


class MortalKernel(IsolatedKernel):
    """A kernel that dies while it loads ``greet``."""

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        pid = self.pid
        assert pid is not None
        if "greet" in os.readlink(f"/proc/self/fd/{fd}"):
            os.kill(pid, signal.SIGSTOP)
            threading.Thread(target=self._die, args=(pid,)).start()
        super().finit_module(fd, parameters, flags)

    def _die(self, pid: int) -> None:
        """Kill the kernel once it has a call."""
        while not (self._life and self._life._calls):
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)


def test_a_module_that_another_program_loads_meanwhile_is_loaded(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path / "root", ContestedKernel)
    outcome = namespace.load(LoadRequest(name="world"))
    assert outcome.error is None
    assert [(step.done, step.needless) for step in outcome.steps] == [(False, True)] * 2
    assert [module.name for module in namespace.listing().modules] == ["world", "greet"]


def test_first_time_minds_who_was_first(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path / "root", ContestedKernel)
    outcome = namespace.load(LoadRequest(name="world", first_time=True))
    assert isinstance(outcome.error, KernelError)
    assert outcome.error.reason is Reason.MODULE_ALREADY_LOADED
    with pytest.raises(KernelError, match="in use"):
        namespace._kernel.delete_module("greet")


def test_a_panic_ends_the_operation_even_in_a_step_that_need_not_succeed(tmp_path: Path) -> None:
    config = tmp_path / "root" / "etc" / "modprobe.d"
    config.mkdir(parents=True)
    config.joinpath("soft.conf").write_text("softdep hello pre: greet\n")
    namespace = namespace_of(tmp_path / "root", MortalKernel)
    outcome = namespace.load(LoadRequest(name="hello"))
    assert outcome.error is not None
    assert outcome.error.reason is Reason.KERNEL_PANIC
    (only,) = outcome.steps
    assert isinstance(only.step, InsertStep)
    assert (only.step.required, only.done) == (False, False)
    assert namespace.listing().modules == ()
    assert namespace.load(LoadRequest(name="noexit")).error is None
    namespace._kernel.close()
