# SPDX-License-Identifier: Apache-2.0
"""Static keys: how often each is on (kernel/jump_label.c).

What the code looks like then is told in tests/unit/test_emulated_jump_labels.py.
"""

import pytest

from tests.support.kernel_calls import NULL_DEREFERENCE, oops, run
from tests.support.machine import ROOM, Machine, new_machine

KEY = ROOM
ENABLES = ["static_key_enable", "static_key_enable_cpuslocked"]
DISABLES = ["static_key_disable", "static_key_disable_cpuslocked"]
DECREASES = ["static_key_slow_dec", "__static_key_slow_dec_deferred"]


@pytest.fixture
def machine() -> Machine:
    made = new_machine()
    made.memory.put(KEY + 4, 0xAAAAAAAA, 4)
    return made


def counted(machine: Machine, *functions: str) -> list[int]:
    """Return how often the key is on after each of the functions."""
    counts = list[int]()
    for each in functions:
        run(machine, each, KEY, ROOM + 64, 250)
        counts.append(run(machine, "static_key_count", KEY))
    return counts


@pytest.mark.parametrize("enable", ENABLES)
@pytest.mark.parametrize("disable", DISABLES)
def test_a_key_is_enabled_and_disabled_once(machine: Machine, enable: str, disable: str) -> None:
    assert counted(machine, enable, enable, disable, disable) == [1, 1, 0, 0]
    assert machine.memory.number(KEY + 4, 4) == 0xAAAAAAAA


@pytest.mark.parametrize("decrease", DECREASES)
def test_a_key_counts_how_often_it_is_on(machine: Machine, decrease: str) -> None:
    increase = "static_key_slow_inc"
    assert counted(machine, increase, increase, decrease, decrease) == [1, 2, 1, 0]


def test_a_key_can_always_be_on_once_more(machine: Machine) -> None:
    assert run(machine, "static_key_slow_inc", KEY) == 1


@pytest.mark.parametrize("switch", [*ENABLES, *DISABLES])
def test_what_others_have_counted_stays(machine: Machine, switch: str) -> None:
    increase = "static_key_slow_inc"
    assert counted(machine, increase, increase, switch) == [1, 2, 2]


@pytest.mark.parametrize(
    "function", [*ENABLES, *DISABLES, *DECREASES, "static_key_count", "static_key_slow_inc"]
)
def test_a_key_that_is_nowhere_is_an_oops(machine: Machine, function: str) -> None:
    assert oops(machine, function, 0).startswith(NULL_DEREFERENCE)
