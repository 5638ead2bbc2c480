# SPDX-License-Identifier: Apache-2.0
"""Plans on a kernel that other programs load modules into, too."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmodd.errors import KernelError, KmoddError, Reason
from kmodd.kernel.base import EmulationReport, InsertFlags, LoadedModule, ModuleState
from kmodd.kernel.emulated import EmulatedKernel, IsolatedKernel
from kmodd.namespace import RequestContext
from kmodd.plan import InsertStep, LoadRequest, UnloadRequest
from tests.support.daemon import wait_until
from tests.support.modules import SOURCES, module_tree
from tests.support.namespaces import namespace_of, namespace_on

_GOING = LoadedModule("greet", 1, -1, (), state=ModuleState.GOING)


class ContestedKernel(EmulatedKernel):
    """A kernel where somebody else always loads a module just before us."""

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        super().finit_module(os.dup(fd), parameters, flags)
        super().finit_module(fd, parameters, flags)

    def init_module(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        super().init_module(image, parameters, flags)
        super().init_module(image, parameters, flags)


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
        while not (self._boot and self._boot._calls):
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


def test_a_file_that_was_sent_and_is_loaded_meanwhile_is_loaded(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path / "root", ContestedKernel)
    image = (SOURCES / "world.ko").read_bytes()
    outcome = namespace.load_file(image, "/somewhere/world.ko", LoadRequest(name=""))
    assert outcome.error is None
    assert [(step.done, step.needless) for step in outcome.steps] == [(False, True)] * 2
    with pytest.raises(KernelError) as caught:
        namespace.insert(image, "world.ko", "", InsertFlags.NONE)
    assert caught.value.reason is Reason.MODULE_ALREADY_LOADED


class ForgetfulKernel(EmulatedKernel):
    """A kernel where somebody else unloads "greet" once, just before a module is loaded on it."""

    robbed = False

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        if self.module("greet") and not self.robbed:
            self.robbed = True
            self.delete_module("greet")
        super().finit_module(fd, parameters, flags)


def test_a_dependency_that_another_program_unloads_meanwhile_is_loaded_again(
    tmp_path: Path,
) -> None:
    namespace, _ = namespace_on(module_tree(tmp_path / "root"), ForgetfulKernel)
    outcome = namespace.load(LoadRequest(name="world"))
    assert outcome.error is None
    assert [module.name for module in namespace.listing().modules] == ["world", "greet"]
    assert namespace.idle()


class PassingKernel(EmulatedKernel):
    """A kernel where somebody else is still unloading what is to be loaded."""

    busy = 3

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        if self.busy:
            raise KernelError(Reason.MODULE_BUSY, "being unloaded")
        super().finit_module(fd, parameters, flags)

    def module(self, name: str) -> LoadedModule | None:
        found = super().module(name)
        if found is None and name == "greet" and self.busy:
            self.busy -= 1
            return _GOING
        return found


def test_a_module_on_its_way_out_is_loaded_once_it_is_gone(tmp_path: Path) -> None:
    namespace, _ = namespace_on(module_tree(tmp_path / "root"), PassingKernel)
    outcome = namespace.load(LoadRequest(name="world"))
    assert outcome.error is None
    assert [step.done for step in outcome.steps] == [True, True]


class RefusingKernel(EmulatedKernel):
    """A kernel where a module's own init says that something is busy."""

    calls = 0

    def finit_module(self, *_: object, **__: object) -> None:
        self.calls += 1
        raise KernelError(Reason.KERNEL_REFUSED, "init says no", errno=16)


def test_an_init_that_says_busy_is_not_run_again(tmp_path: Path) -> None:
    namespace, kernel = namespace_on(module_tree(tmp_path / "root"), RefusingKernel)
    outcome = namespace.load(LoadRequest(name="greet"))
    assert outcome.error is not None
    assert outcome.error.errno == 16
    assert isinstance(kernel, RefusingKernel)
    assert kernel.calls == 1


class ThievingKernel(EmulatedKernel):
    """A kernel where somebody else always unloads a module just before us."""

    def delete_module(self, name: str, *, force: bool = False) -> EmulationReport:
        super().delete_module(name, force=force)
        return super().delete_module(name, force=force)


def test_a_module_that_another_program_unloads_meanwhile_is_unloaded(tmp_path: Path) -> None:
    namespace, _ = namespace_on(module_tree(tmp_path / "root"), ThievingKernel)
    namespace.load(LoadRequest(name="world"))
    outcome = namespace.unload(UnloadRequest(name="world"))
    assert outcome.error is None
    assert [(step.done, step.needless) for step in outcome.steps] == [(False, True)] * 2
    namespace.load(LoadRequest(name="world"))
    outcome = namespace.unload(UnloadRequest(name="world", first_time=True))
    assert outcome.error is not None
    assert outcome.error.reason is Reason.MODULE_NOT_LOADED


@pytest.mark.parametrize("how", ["remove", "unload"])
@pytest.mark.parametrize("end", [Reason.CALLER_GONE, Reason.SHUTTING_DOWN])
def test_a_wait_for_a_module_ends_with_its_caller_and_with_the_daemon(
    tmp_path: Path, how: str, end: Reason
) -> None:
    namespace = namespace_of(tmp_path / "root", EmulatedKernel)
    gone = threading.Event()
    call = RequestContext(wait=3600.0, gone=gone)

    def take_out() -> KmoddError | None:
        if how == "unload":
            return namespace.unload(UnloadRequest(name="greet"), call).error
        with pytest.raises(KmoddError) as ended:
            namespace.remove("greet", call)
        return ended.value

    with namespace.hold([LoadRequest(name="greet")], unload=False), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take_out)
        wait_until(lambda: any(each.waits_for for each in namespace.activity().operations))
        (gone if end is Reason.CALLER_GONE else namespace.stopping).set()
        failure = waiting.result()
    assert failure is not None
    assert failure.reason is end
    assert [module.name for module in namespace.listing().modules] == ["greet"]


def test_what_cannot_be_taken_back_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    namespace, kernel = namespace_on(module_tree(tmp_path / "root"))
    held = threading.Event()

    def take_one_reference(_: object) -> None:
        if kernel.module("greet") and not held.is_set():
            held.set()
            assert isinstance(kernel, EmulatedKernel)
            kernel.hold("greet")

    namespace._journal._changed = take_one_reference
    caplog.set_level("INFO")
    namespace.load_together([LoadRequest(name="greet"), LoadRequest(name="nosuch")])
    assert "not taken back: module greet is in use" in caplog.text
    assert [module.name for module in namespace.listing().modules] == ["greet"]
