# SPDX-License-Identifier: Apache-2.0
"""How modelled functions fail, and what a kernel tells of a module that it has tried."""

from typing import Any

import pytest

import kmodd.kernel.emulated.functions.everything  # noqa: F401  # declares the functions
from kmodd.kernel.base import Device
from kmodd.kernel.emulated.abi.failing import FAILING, GIVES_BACK, fails
from kmodd.kernel.emulated.abi.function_table import DECLARED, RETURN_ZERO
from kmodd.kernel.emulated.machine.trial import CALLS_MAX, MISSTEPS_MAX, Trial
from kmodd.kernel.emulated.modules.kallsyms import SymbolPlace
from kmodd.kernel.emulated.process.trial_messages import (
    pack_lines,
    pack_observation,
    pack_place,
    unpack_lines,
    unpack_observation,
    unpack_place,
)
from kmodd.kernel.emulated.process.wire import ProtocolError
from kmodd.kernel.trials import CodePlace, FailableCall, Misstep, Observation
from kmodd.modulefile.source_lines import SourceLine

PLACE = SymbolPlace("one", "one_init", 16, 64)
SEEN = Observation(
    calls=(FailableCall("__kmalloc", "NULL", CodePlace("one", "f", 1), "init"),),
    failed=(0,),
    flow={"init": (1, 0, 1 << 32), "exit": ()},
    failed_at={"init": 1},
    held=(1,),
    kept=(2, 1 << 63),
    result=-12,
    missteps=(Misstep("in use", "a timer", CodePlace(), "exit"),),
    devices=(Device("one.0", "platform", "platform:one"),),
    unchecked="because",
    stubbed=("do_it",),
    log=("a line",),
)


def test_every_function_that_fails_or_takes_back_is_modelled() -> None:
    assert len(FAILING) > 300
    assert [name for name in (*FAILING, *GIVES_BACK) if name not in DECLARED] == []


def test_a_function_fails_with_what_it_can_return() -> None:
    for name, failing in FAILING.items():
        for function in DECLARED[name]:
            result = function.prototype.result
            assert result.size, name
            # Machine code only where it does nothing but succeed.
            assert function.work is not None or failing.shown.startswith("-"), name
            assert function.code in (b"", RETURN_ZERO), name
            if failing.shown.startswith("-"):
                assert not result.is_pointer, name
                assert failing.result < 0, name
            elif failing.shown in ("NULL", "false"):
                assert failing.result == 0, name
            else:
                assert result.is_pointer, name


def test_what_sees_for_itself_is_not_blamed() -> None:
    assert {"mempool_exit", "bioset_exit"}.isdisjoint(GIVES_BACK)
    assert {"xfrm_register_km", "register_reboot_notifier"}.isdisjoint(FAILING)
    assert GIVES_BACK["cdev_del"] == {"cdev"}


def test_a_way_to_fail_that_there_is_not_is_refused() -> None:
    for how in ("", "ENOMEM", "-ENOSUCH", "ERR_PTR(ENOMEM)", "-12"):
        with pytest.raises((ValueError, AttributeError)):
            fails(how, "nobody_calls_it")
    assert "nobody_calls_it" not in FAILING


def test_only_the_calls_fail_that_are_to_and_in_phases_in_which_they_may() -> None:
    trial = Trial("one", frozenset({1, 2}))
    for phase, numbers in (("init", 2), ("exit", 2), ("probe", 1)):
        trial.enter(phase)
        for _ in range(numbers):
            trial.called("__kmalloc", 1, PLACE, (64, 0))
    assert trial.failed == [1, 2]
    assert [each.phase for each in trial.calls] == ["init", "init", "probe"]
    assert trial.failed_at == {"init": 2, "probe": 1}


def test_memory_that_must_be_had_is_had() -> None:
    trial = Trial("one", frozenset({0}))
    trial.enter("init")
    assert trial.called("__kmalloc", 1, PLACE, (64, 1 << 15)) is None
    assert trial.called("kmem_cache_create", 1, PLACE, (0, 8, 8, 1 << 18, 0)) is None
    assert trial.called("__kmalloc", 1, PLACE, (64, 0)) is not None


def test_what_is_noted_is_bounded() -> None:
    trial = Trial("one")
    trial.enter("init")
    for number in range(CALLS_MAX + 5):
        trial.called("__kmalloc", number, PLACE, (64, 0))
        trial.left(f"{number} bytes", PLACE)
    assert (len(trial.calls), len(trial.missteps)) == (CALLS_MAX, MISSTEPS_MAX)


def test_an_observation_comes_back_as_it_was() -> None:
    assert unpack_observation(pack_observation(SEEN)) == SEEN
    lines = (None, SourceLine("one.c", 3))
    assert unpack_lines(pack_lines(lines)) == lines
    assert unpack_place(pack_place(CodePlace("one", "f", 7))) == CodePlace("one", "f", 7)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, None) for field in pack_observation(SEEN) if field != "result"),
        *((field, {}) for field in pack_observation(SEEN)),
        ("calls", [["one", "f", 1, "__kmalloc", "NULL", 99, False, False, False]]),
        ("calls", [["one", "f", -1, "__kmalloc", "NULL", 0, False, False, False]]),
        ("missteps", [["one", "f", 1, 77, "what", 0]]),
        ("flow", [[0, ["x"]]]),
        ("result", 1 << 40),
    ],
)
def test_an_observation_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ProtocolError):
        unpack_observation({**pack_observation(SEEN), field: value})
    with pytest.raises(ProtocolError):
        unpack_observation([])
