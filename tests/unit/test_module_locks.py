# SPDX-License-Identifier: Apache-2.0
"""The lock of a module: single flight and pins, with real threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from kmodd.errors import KernelError, Reason, StateError
from kmodd.namespace import Action, AuditTrail, RequestContext
from kmodd.namespace.events import Journal
from kmodd.namespace.module_locks import ModuleLocks
from kmodd.namespace.operation import Operation
from kmodd.namespace.operations import Operations
from kmodd.namespace.outdated import OutdatedPlanError
from tests.support.emulated import kernel

PATIENCE = 30.0


def someone() -> Operation:
    """An operation that pins nothing."""
    return Operation(0, "load", "something")


class Traffic(ModuleLocks):
    """Locks, and the operations that take them."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = Operations(self, Journal(kernel(), room=16), AuditTrail())

    def begin(
        self, action: Action, what: str, token: str = ""
    ) -> AbstractContextManager[Operation]:
        return self.operations.begin(action, what, RequestContext(token=token))


class KernelCall:
    """A kernel call that waits to be let go, and counts how often it was made."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.count = 0
        self._error = error

    def __call__(self) -> bool:
        self.count += 1
        self.begun.set()
        assert self.go.wait(PATIENCE)
        if self._error is not None:
            raise self._error
        return True


def test_what_makes_the_leader_plan_anew_makes_its_followers_do_so() -> None:
    locks, call = Traffic(), KernelCall(OutdatedPlanError("ext4.ko"))
    with ThreadPoolExecutor(2) as threads:
        leader = threads.submit(locks.load, "ext4", "same file", someone(), call)
        assert call.begun.wait(PATIENCE)
        follower = threads.submit(locks.load, "ext4", "same file", someone(), call)
        with pytest.raises(TimeoutError):
            follower.result(0.1)
        call.go.set()
        failures = [leader.exception(PATIENCE), follower.exception(PATIENCE)]
    assert [type(each) for each in failures] == [OutdatedPlanError, OutdatedPlanError]
    assert failures[0] is not failures[1]
    assert call.count == 1


def test_a_hundred_callers_for_one_module_make_one_call() -> None:
    locks, call = Traffic(), KernelCall()
    with ThreadPoolExecutor(100) as threads:
        loads = [
            threads.submit(locks.load, "ext4", "same file", someone(), call) for _ in range(100)
        ]
        assert call.begun.wait(PATIENCE)
        call.go.set()
        results = [load.result(PATIENCE) for load in loads]
    # Who came after the landing makes a call of its own; whoever came before shares it.
    assert results.count(True) == call.count
    assert locks.operations.idle()


def test_a_follower_shares_the_landing_and_changes_nothing() -> None:
    locks, call = Traffic(), KernelCall()
    with ThreadPoolExecutor(2) as threads:
        leader = threads.submit(locks.load, "ext4", "same file", someone(), call)
        assert call.begun.wait(PATIENCE)
        follower = threads.submit(locks.load, "ext4", "same file", someone(), call)
        with pytest.raises(TimeoutError):
            follower.result(0.1)
        call.go.set()
        assert leader.result(PATIENCE) is True
        assert follower.result(PATIENCE) is False
    assert call.count == 1


def test_a_follower_gets_the_leaders_failure_as_its_own() -> None:
    refused = KernelError(Reason.UNKNOWN_SYMBOL, "no such symbol", symbol="foo", log=("line",))
    locks, call = Traffic(), KernelCall(refused)
    with ThreadPoolExecutor(2) as threads:
        leader = threads.submit(locks.load, "ext4", "same file", someone(), call)
        assert call.begun.wait(PATIENCE)
        follower = threads.submit(locks.load, "ext4", "same file", someone(), call)
        with pytest.raises(TimeoutError):
            follower.result(0.1)
        call.go.set()
        failures = [leader.exception(PATIENCE), follower.exception(PATIENCE)]
    assert failures[0] is not failures[1]
    assert [str(failure) for failure in failures] == ["no such symbol"] * 2
    assert isinstance(failures[1], KernelError)
    assert (failures[1].symbol, failures[1].log) == ("foo", ("line",))
    assert locks.operations.idle()


def test_a_follower_whose_caller_goes_waits_no_more_and_the_call_goes_on() -> None:
    locks, call, gone = Traffic(), KernelCall(), threading.Event()
    operation = Operation(1, "load", "ext4", gone=gone)
    with ThreadPoolExecutor(2) as threads:
        leader = threads.submit(locks.load, "ext4", "same file", someone(), call)
        assert call.begun.wait(PATIENCE)
        follower = threads.submit(locks.load, "ext4", "same file", operation, call)
        gone.set()
        failure = follower.exception(PATIENCE)
        assert isinstance(failure, StateError)
        assert failure.reason is Reason.CALLER_GONE
        call.go.set()
        assert leader.result(PATIENCE) is True
    assert locks.operations.idle()


def test_a_load_of_another_file_waits_and_then_makes_its_own_call() -> None:
    locks, first, second = Traffic(), KernelCall(), KernelCall()
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(locks.load, "ext4", "the tree's", someone(), first)
        assert first.begun.wait(PATIENCE)
        other = threads.submit(locks.load, "ext4", "an upload", someone(), second)
        assert not second.begun.wait(0.1)
        first.go.set()
        second.go.set()
        assert one.result(PATIENCE)
        assert other.result(PATIENCE)


def test_a_pinned_module_is_not_unloaded_by_another_operation() -> None:
    locks = Traffic()
    with (
        locks.begin("load", "world") as loader,
        locks.begin("remove", "greet") as remover,
    ):
        locks.pin("greet", loader)
        with pytest.raises(StateError, match=r"in use by operation 1 \(load world\)") as refused:
            locks.unload("greet", remover, lambda: True)
        assert refused.value.reason is Reason.MODULE_IN_USE
    with locks.begin("remove", "greet") as remover:
        assert locks.unload("greet", remover, lambda: True)
    assert locks.operations.idle()


def test_an_operation_may_unload_what_it_has_pinned_itself() -> None:
    locks = Traffic()
    with locks.begin("load", "then undo") as operation:
        locks.pin("greet", operation)
        locks.pin("greet", operation)
        assert locks.unload("greet", operation, lambda: True)
    assert locks.operations.idle()


def test_a_pin_waits_for_an_unload_under_way() -> None:
    locks, unload = Traffic(), KernelCall()

    def pin(operation: Operation) -> None:
        locks.pin("greet", operation)

    with (
        locks.begin("remove", "greet") as remover,
        locks.begin("load", "greet") as loader,
        ThreadPoolExecutor(2) as threads,
    ):
        removal = threads.submit(locks.unload, "greet", remover, unload)
        assert unload.begun.wait(PATIENCE)
        pinning = threads.submit(pin, loader)
        with pytest.raises(TimeoutError):
            pinning.result(0.1)
        unload.go.set()
        assert removal.result(PATIENCE)
        pinning.result(PATIENCE)
        assert loader.pins == {"greet"}


def test_pins_end_with_their_operation_even_when_it_fails() -> None:
    locks = Traffic()

    def fail(operation: Operation) -> None:
        locks.pin("greet", operation)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), locks.begin("load", "greet") as operation:
        fail(operation)
    assert locks.operations.idle()


def test_what_belongs_to_an_operation_is_not_hindered_by_its_pins() -> None:
    locks = Traffic()
    with locks.begin("load", "outer") as outer:
        locks.pin("greet", outer)
        with locks.begin("load", "inner", token=outer.token) as inner:
            assert [each.number for each in inner.line()] == [inner.number, outer.number]
            locks.pin("greet", inner)
            assert locks.unload("greet", inner, lambda: True)
            with (
                locks.begin("load", "another") as another,
                pytest.raises(StateError, match=r"outer|inner"),
            ):
                locks.unload("greet", another, lambda: True)
    assert locks.operations.idle()


def test_a_token_is_good_while_its_operation_is_under_way() -> None:
    locks = Traffic()
    with locks.begin("load", "outer") as outer:
        token = outer.token
        with locks.begin("load", "inner", token=token):
            pass
    for stale in (token, "x"):
        with pytest.raises(StateError) as caught, locks.begin("load", "late", token=stale):
            pass
        assert caught.value.reason is Reason.OPERATION_ENDED
    assert locks.operations.idle()


class Keeping:
    """A keeper of some modules."""

    def __init__(self, name: str, *pins: str) -> None:
        self.pins = frozenset(pins)
        self._name = name

    def __str__(self) -> str:
        return self._name


def test_what_a_keeper_has_is_not_unloaded_until_all_have_let_go() -> None:
    locks, call = Traffic(), KernelCall()
    call.go.set()
    keepers = [Keeping("one", "greet", "world"), Keeping("two", "greet")]
    with locks.begin("remove", "greet") as remover:
        locks.pin("greet", remover)
        for keeper in keepers:
            locks.keep(keeper)
        for left in ("one, two", "two"):
            with pytest.raises(StateError, match=f"in use by: {left}") as refused:
                locks.unload("greet", remover, call)
            assert (refused.value.reason, refused.value.detail) == (Reason.MODULE_HELD, left)
            assert locks.is_kept("greet")
            locks.let_go(keepers.pop(0))
        assert not locks.is_kept("world")
        assert locks.unload("greet", remover, call)


def test_who_waits_for_whom_can_be_seen() -> None:
    locks, call = Traffic(), KernelCall()

    def load(what: str) -> None:
        with locks.begin("load", what) as operation:
            locks.pin("greet", operation)
            locks.load("greet", "same file", operation, call)

    with ThreadPoolExecutor(2) as threads:
        leading = threads.submit(load, "first")
        assert call.begun.wait(PATIENCE)
        following = threads.submit(load, "second")
        deadline = time.monotonic() + PATIENCE
        while not (found := [each for each in locks.operations.running() if each.waits_for]):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        (waiting,) = found
        leader, _ = locks.operations.running()
        assert (leader.operation.what, leader.leads, leader.waits_for) == ("first", "greet", "")
        assert waiting.operation.what == "second"
        assert (waiting.waits_for, waiting.behind) == ("greet", leader.operation.number)
        assert waiting.pins == {"greet"}
        call.go.set()
        leading.result(PATIENCE)
        following.result(PATIENCE)
    assert locks.operations.running() == ()


def waiting(locks: Traffic, operation: Operation) -> bool:
    return any(
        each.operation is operation and each.waits_for for each in locks.operations.running()
    )


def test_two_modules_that_ask_for_each_other_do_not_wait_for_ever() -> None:
    locks = Traffic()
    both_up = threading.Barrier(2)
    inner: list[Operation] = []

    def load(name: str, other: str, *, last: bool) -> str:
        with locks.begin("load", name) as operation:

            def init() -> bool:
                both_up.wait(PATIENCE)
                with locks.begin("request", other, token=operation.token) as nested:
                    assert locks.operations.current() is nested
                    inner.append(nested)
                    if last:
                        until(lambda: any(waiting(locks, each) for each in inner))
                    locks.load(other, "file", nested, lambda: True)
                return True

            try:
                locks.load(name, "file", operation, init)
            except StateError as error:
                return f"{name}: {error.message}"
            return f"{name}: loaded"

    def until(holds: object) -> None:
        assert callable(holds)
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def first() -> str:
        return load("a", "b", last=False)

    def second() -> str:
        until(lambda: any(each.leads == "a" for each in locks.operations.running()))
        return load("b", "a", last=True)

    with ThreadPoolExecutor(2) as threads:
        results = [threads.submit(first), threads.submit(second)]
        outcomes = [each.result(PATIENCE) for each in results]
    assert outcomes[1] == "b: module a waits for the module that asks for it"
    assert locks.operations.idle()
    assert locks.operations.current() is None
