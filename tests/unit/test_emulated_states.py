# SPDX-License-Identifier: Apache-2.0
"""Modules on their way in and out, and who has to wait for them; with real threads."""

import errno
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import ModuleState
from kmodd.kernel.emulated.execution.cpu import IdleCpu
from kmodd.kernel.emulated.modules.struct_module import StructModule
from tests.support.elf_writer import Import, ModuleSpec, write_module
from tests.support.emulated import exporting, importing, kernel, load, log, refusal

SECONDS = 60.0


class GatedCpu(IdleCpu):
    """Runs every init and exit until the test lets it end; init returns ``results``'s number."""

    runs_code = True

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.results: dict[str, int] = {}
        self.free: set[str] = set()

    def init(self, mod: StructModule) -> int:
        self._pass(mod.name)
        return self.results.get(mod.name, 0)

    def exit(self, mod: StructModule) -> None:
        self._pass(mod.name)

    def _pass(self, name: str) -> None:
        if name not in self.free:
            self.entered.release()
            assert self.gate.acquire(timeout=SECONDS)


class Machine:
    """A kernel whose modules stop in their init and exit, and threads to make calls with."""

    def __init__(self, **options: Any) -> None:
        self.cpu = GatedCpu()
        self.kernel = kernel(boot={"cpu": self.cpu, **options})
        self.threads = ThreadPoolExecutor(8)

    def start(self, call: Callable[[], object]) -> "Future[object]":
        """Make a call that stops in the module's code; return once it is there."""
        future = self.threads.submit(call)
        assert self.cpu.entered.acquire(timeout=SECONDS)
        return future

    def load(self, spec: ModuleSpec) -> "Future[object]":
        """Begin to load a module."""
        return self.start(lambda: load(self.kernel, spec))

    def waiting(self, call: Callable[[], object]) -> "Future[object]":
        """Make a call that has to wait, and see that it does."""
        future = self.threads.submit(call)
        with pytest.raises(TimeoutError):
            future.result(0.05)
        return future

    def let_end(self, future: "Future[object]") -> KernelError | None:
        """Let the module's code end, and return what the call that it belongs to failed with."""
        self.cpu.gate.release()
        return ending(future)


def ending(future: "Future[object]") -> KernelError | None:
    error = future.exception(SECONDS)
    assert error is None or isinstance(error, KernelError)
    return error


@pytest.fixture
def machine() -> Iterator[Machine]:
    one = Machine()
    yield one
    one.cpu.gate.release(100)
    one.threads.shutdown()


def test_a_module_in_its_init_is_seen_with_a_reference(machine: Machine) -> None:
    loading = machine.load(ModuleSpec())
    (coming,) = machine.kernel.modules()
    assert (coming.state, coming.refcount) == (ModuleState.COMING, 1)
    assert coming.proc_line().endswith(" (+)")
    found = machine.kernel.details("sample")
    assert found is not None
    assert found.init_size > 0
    assert coming.size == found.core_size + found.init_size
    assert machine.let_end(loading) is None
    (live,) = machine.kernel.modules()
    assert (live.state, live.refcount, live.size) == (ModuleState.LIVE, 0, found.core_size)


def test_a_name_that_is_being_loaded_is_waited_for(machine: Machine) -> None:
    loading = machine.load(ModuleSpec())
    again = machine.waiting(lambda: load(machine.kernel, ModuleSpec()))
    assert machine.let_end(loading) is None
    error = ending(again)
    assert error is not None
    assert (error.errno, error.reason) == (errno.EEXIST, Reason.MODULE_ALREADY_LOADED)


def test_after_a_load_that_failed_its_follower_is_told_busy(machine: Machine) -> None:
    machine.cpu.results["sample"] = -errno.EIO
    loading = machine.load(ModuleSpec())
    again = machine.waiting(lambda: load(machine.kernel, ModuleSpec()))
    error = machine.let_end(loading)
    assert error is not None
    assert error.errno == errno.EIO
    follower = ending(again)
    assert follower is not None
    assert (follower.errno, follower.reason) == (errno.EBUSY, Reason.MODULE_BUSY)
    assert machine.kernel.modules() == ()


def test_a_module_in_its_init_cannot_be_unloaded(machine: Machine) -> None:
    loading = machine.load(ModuleSpec())
    with pytest.raises(KernelError) as refused:
        machine.kernel.delete_module("sample", force=True)
    assert refused.value.errno == errno.EBUSY
    machine.let_end(loading)


def test_a_user_waits_for_the_init_of_what_it_uses(machine: Machine) -> None:
    loading = machine.load(exporting("owner", "owner_do"))
    machine.cpu.free.add("user")
    using = machine.waiting(lambda: load(machine.kernel, importing("owner_do")))
    assert [module.name for module in machine.kernel.modules()] == ["owner"]
    assert machine.let_end(loading) is None
    assert ending(using) is None
    assert machine.kernel.modules()[1].holders == ("user",)


def test_a_user_does_not_wait_for_ever() -> None:
    machine = Machine(patience=0.05)
    loading = machine.load(exporting("owner", "owner_do"))
    error = refusal(machine.kernel, write_module(importing("owner_do")))
    assert (error.errno, error.reason, error.symbol) == (
        errno.EBUSY,
        Reason.MODULE_BUSY,
        "owner_do",
    )
    assert error.log == (
        "user: gave up waiting for init of module owner.",
        "user: Unknown symbol owner_do (err -16)",
    )
    machine.let_end(loading)
    machine.threads.shutdown()


def test_a_user_of_a_module_whose_init_fails_does_not_find_it(machine: Machine) -> None:
    machine.cpu.results["owner"] = -errno.EIO
    loading = machine.load(exporting("owner", "owner_do"))
    using = machine.waiting(lambda: load(machine.kernel, importing("owner_do")))
    machine.let_end(loading)
    error = ending(using)
    assert error is not None
    assert error.errno == errno.ENOENT
    assert machine.kernel.modules() == ()


def test_a_module_that_has_no_place_yet_is_unseen_and_keeps_its_name(machine: Machine) -> None:
    loading = machine.load(exporting("owner", "owner_do"))
    machine.cpu.free.add("user")
    unformed = machine.waiting(lambda: load(machine.kernel, importing("owner_do")))
    assert machine.kernel.module("user") is None
    assert machine.kernel.details("user") is None
    with pytest.raises(KernelError) as refused:
        machine.kernel.delete_module("user")
    assert refused.value.errno == errno.ENOENT
    again = machine.waiting(lambda: load(machine.kernel, importing("owner_do")))
    machine.let_end(loading)
    errors = [ending(unformed), ending(again)]
    assert errors[0] is None
    assert errors[1] is not None
    assert errors[1].errno == errno.EEXIST


def test_a_module_on_its_way_out_is_seen_and_takes_its_name(machine: Machine) -> None:
    machine.let_end(machine.load(exporting("owner", "owner_do")))
    removing = machine.start(lambda: machine.kernel.delete_module("owner"))
    (going,) = machine.kernel.modules()
    assert (going.state, going.refcount) == (ModuleState.GOING, -1)
    assert going.proc_line().endswith(" (-)")
    again = refusal(machine.kernel, write_module(exporting("owner", "owner_do")))
    assert (again.errno, again.reason) == (errno.EBUSY, Reason.MODULE_BUSY)
    user = refusal(machine.kernel, write_module(importing("owner_do")))
    assert (user.errno, user.log[-1]) == (errno.ENOENT, "user: Unknown symbol owner_do (err -2)")
    with pytest.raises(KernelError) as refused:
        machine.kernel.delete_module("owner")
    assert refused.value.errno == errno.EBUSY
    assert machine.let_end(removing) is None
    assert machine.kernel.modules() == ()


def test_a_strong_refusal_is_no_excuse_for_a_weak_symbol(machine: Machine) -> None:
    machine.let_end(machine.load(exporting("owner", "owner_do")))
    removing = machine.start(lambda: machine.kernel.delete_module("owner"))
    weak = ModuleSpec(name="user", imports=(Import("owner_do", weak=True),))
    assert refusal(machine.kernel, write_module(weak)).errno == errno.ENOENT
    machine.let_end(removing)


def test_a_reference_keeps_a_module_unless_forced(machine: Machine) -> None:
    machine.cpu.free.add("sample")
    load(machine.kernel, ModuleSpec())
    assert machine.kernel.hold("sample")
    assert machine.kernel.modules()[0].refcount == 1
    with pytest.raises(KernelError) as refused:
        machine.kernel.delete_module("sample")
    assert (refused.value.errno, refused.value.reason) == (errno.EAGAIN, Reason.MODULE_IN_USE)
    machine.kernel.release_hold("sample")
    machine.kernel.release_hold("nosuch")
    assert machine.kernel.modules()[0].refcount == 0
    machine.kernel.hold("sample")
    machine.kernel.delete_module("sample", force=True)
    assert machine.kernel.modules() == ()
    assert machine.kernel.identity().taints == "R"
    assert log(machine.kernel)[-1] == "Disabling lock debugging due to kernel taint"
    assert not machine.kernel.hold("sample")
