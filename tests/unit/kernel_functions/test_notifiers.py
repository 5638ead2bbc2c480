# SPDX-License-Identifier: Apache-2.0
"""Chains of those who are told of something (kernel/notifier.c)."""

import errno

import pytest

from tests.support.kernel_calls import callback, held, run, unload
from tests.support.machine import ROOM, Machine, new_machine

HEAD, OTHER, DATA = ROOM, ROOM + 256, ROOM + 512
OK, STOP = 1, 0x8001

CHAINS = [
    "blocking_notifier_chain_register",
    "blocking_notifier_chain_unregister",
    "blocking_notifier_call_chain",
    "atomic_notifier_chain_register",
    "atomic_notifier_chain_unregister",
    "atomic_notifier_call_chain",
    "raw_notifier_chain_register",
    "raw_notifier_chain_unregister",
    "raw_notifier_call_chain",
    "srcu_notifier_chain_register",
    "srcu_notifier_chain_unregister",
    "srcu_notifier_call_chain",
]
KINDS = list(zip(*[iter(CHAINS)] * 3, strict=True))


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def block(machine: Machine, code: int, priority: int = 0) -> int:
    made = machine.heap.allocate(24)
    machine.memory.put(made, code)
    machine.memory.put(made + 16, priority, 4)
    return made


@pytest.mark.parametrize(("register", "unregister", "call"), KINDS)
def test_a_chain_tells_each_the_highest_priority_first(
    machine: Machine, register: str, unregister: str, call: str
) -> None:
    first, second, third = (callback(machine, each) for each in (OK, STOP, OK))
    blocks = [
        block(machine, each.address, priority)
        for each, priority in ((third, -1), (second, 0), (first, 7))
    ]
    assert [run(machine, register, HEAD, each) for each in blocks] == [0, 0, 0]
    assert run(machine, register, HEAD, blocks[0]) == -errno.EEXIST
    assert run(machine, call, HEAD, 5, DATA) == STOP
    assert [each.calls for each in (first, second, third)] == [1, 1, 0]
    assert first.arguments == (blocks[2], 5, DATA)
    assert run(machine, call, OTHER, 5, DATA) == 0
    assert run(machine, unregister, HEAD, blocks[1]) == 0
    assert run(machine, unregister, HEAD, blocks[1]) == -errno.ENOENT
    assert run(machine, call, HEAD, 6, 0) == OK
    assert [each.calls for each in (first, second, third)] == [2, 1, 1]


def test_those_of_the_same_priority_are_told_in_their_order(machine: Machine) -> None:
    stops, other = callback(machine, STOP), callback(machine, OK)
    for each in (stops, other):
        run(machine, "raw_notifier_chain_register", HEAD, block(machine, each.address))
    run(machine, "raw_notifier_call_chain", HEAD, 0, 0)
    assert (stops.calls, other.calls) == (1, 0)


def test_a_chain_knows_whether_it_is_empty(machine: Machine) -> None:
    assert run(machine, "atomic_notifier_call_chain_is_empty", HEAD) == 1
    run(machine, "atomic_notifier_chain_register", HEAD, block(machine, 0))
    assert run(machine, "atomic_notifier_call_chain_is_empty", HEAD) == 0


@pytest.mark.parametrize(
    ("register", "unregister", "kind"),
    [
        ("register_keyboard_notifier", "unregister_keyboard_notifier", "keyboard notifier"),
        ("register_reboot_notifier", "unregister_reboot_notifier", "reboot notifier"),
    ],
)
def test_the_kernels_own_chains_have_each_once(
    machine: Machine, register: str, unregister: str, kind: str
) -> None:
    made = block(machine, 0)
    assert run(machine, register, made) == 0
    assert held(machine) == [(kind, kind)]
    assert run(machine, register, made) == -errno.EEXIST
    assert run(machine, unregister, made) == 0
    assert run(machine, unregister, made) == -errno.ENOENT
    assert held(machine) == []


def test_a_module_that_is_gone_is_told_nothing(machine: Machine) -> None:
    hears = callback(machine)
    run(machine, "blocking_notifier_chain_register", HEAD, block(machine, hears.address))
    assert unload(machine) == [("notifier", "notifier")]
    assert run(machine, "blocking_notifier_call_chain", HEAD, 1, 0) == 0
    assert hears.calls == 0
