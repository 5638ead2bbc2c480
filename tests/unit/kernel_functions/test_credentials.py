# SPDX-License-Identifier: Apache-2.0
"""Credentials and keys (kernel/cred.c, security/keys)."""

import pytest

from tests.support.kernel_calls import Crash, enter, held, put_text, run, unload
from tests.support.machine import ROOM, Machine, new_machine

CREDENTIALS = 2960
"""Offset in ``struct task_struct``."""

THREAD_KEYRING = 104
"""Offset in ``struct cred``, which begins with how often it is referred to."""


def new_ring(machine: Machine) -> int:
    return run(
        machine, "keyring_alloc", put_text(machine, b".ring", ROOM), 0, 0, ROOM + 64, 0, 0, 0, 0
    )


def test_new_credentials_are_referred_to_once_and_go_when_they_are_put() -> None:
    machine = new_machine()
    made = run(machine, "prepare_kernel_cred", 0)
    assert machine.memory.number(made, 4) == 1
    assert held(machine) == [("credentials", "")]
    run(machine, "__put_cred", made)
    assert (held(machine), machine.heap.size(made)) == ([], None)
    run(machine, "__put_cred", made)


def test_credentials_take_the_key_ring_of_their_thread_with_them() -> None:
    machine = new_machine()
    made, ring = run(machine, "prepare_kernel_cred", 0), new_ring(machine)
    machine.memory.put(made + THREAD_KEYRING, ring)
    assert held(machine) == [("credentials", ""), ("key ring", "")]
    run(machine, "__put_cred", made)
    assert (held(machine), machine.heap.size(ring)) == ([], None)


def test_a_key_ring_goes_when_it_is_put() -> None:
    machine = new_machine()
    ring = new_ring(machine)
    run(machine, "key_revoke", ring)
    assert held(machine) == [("key ring", "")]
    for each in (ring, ring, 0):
        run(machine, "key_put", each)
    assert (held(machine), machine.heap.size(ring)) == ([], None)


def test_a_task_has_other_credentials_until_they_are_reverted() -> None:
    machine = new_machine()
    where = machine.kernel_symbols.main_task + CREDENTIALS
    own, fresh = machine.memory.number(where), run(machine, "prepare_kernel_cred", 0)
    with machine.running("sample"):
        assert enter(machine, "override_creds", fresh) == own
        assert machine.memory.number(where) == fresh
        assert machine.memory.number(fresh, 4) == 2
        enter(machine, "revert_creds", own)
        assert machine.memory.number(where) == own
        assert machine.memory.number(fresh, 4) == 1
    assert held(machine) == [("credentials", "")]


def test_credentials_that_only_the_task_still_had_go_with_the_revert() -> None:
    machine = new_machine()
    own = machine.memory.number(machine.kernel_symbols.main_task + CREDENTIALS)
    fresh = run(machine, "prepare_kernel_cred", 0)
    with machine.running("sample"):
        enter(machine, "override_creds", fresh)
        machine.memory.put(fresh, 1, 4)
        enter(machine, "revert_creds", own)
    assert (held(machine), machine.heap.size(fresh)) == ([], None)


def test_what_is_left_is_reclaimed() -> None:
    machine = new_machine()
    made, ring = run(machine, "prepare_kernel_cred", 0), new_ring(machine)
    assert unload(machine) == [("credentials", ""), ("key ring", "")]
    assert [machine.heap.size(each) for each in (made, ring)] == [None, None]


def test_credentials_that_are_nowhere_are_an_oops() -> None:
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(new_machine(), "override_creds", 0)
