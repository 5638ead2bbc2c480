# SPDX-License-Identifier: Apache-2.0
"""Single functions of the emulated kernel, called as modules call them."""

import errno

import pytest

from kmodd.kernel.emulated.hardware import addresses
from tests.support.machine import ROOM, call, new_machine

NOTE_SECOND = bytes.fromhex("48893e48c7460801000000c3")
"""x86 code: mov %rdi, (%rsi); movq $1, 8(%rsi); ret"""

NAME, TABLE, PLACE, MASK = (ROOM + at for at in (0, 256, 512, 768))


@pytest.mark.parametrize("name", ["request_firmware", "firmware_request_nowarn"])
def test_there_is_no_firmware(name: str) -> None:
    machine = new_machine()
    machine.memory.put(PLACE, 7)
    machine.memory.write(NAME, b"sample.bin\0")
    assert call(machine, name, PLACE, NAME, 0) == -errno.ENOENT
    assert machine.memory.number(PLACE) == 0


def test_who_waits_for_firmware_is_told_that_there_is_none() -> None:
    machine = new_machine()
    machine.memory.write(addresses.MODULES, NOTE_SECOND)
    machine.memory.put(PLACE, 7)
    answer = addresses.MODULES
    assert call(machine, "request_firmware_nowait", 0, 1, NAME, 0, 0, PLACE, answer) == 0
    assert machine.memory.number(PLACE) == 0
    assert machine.memory.number(PLACE + 8) == 1


def test_a_table_of_settings_is_found_in_what_stands_for_it() -> None:
    machine = new_machine()
    machine.memory.write(NAME, b"net/sample\0")
    header = call(machine, "register_net_sysctl", 0, NAME, TABLE)
    assert [machine.memory.number(header + at) for at in (0, 32)] == [TABLE, TABLE]
    (entry,) = machine.ledger.held("sample")
    assert entry.name == "sysctl table 'net/sample'"
    call(machine, "unregister_net_sysctl_table", header)
    assert machine.ledger.held("sample") == ()


@pytest.mark.parametrize(("most", "for_each_cpu", "count"), [(64, 0, 64), (64, 16, 16), (8, 16, 8)])
def test_locks_of_buckets_are_so_many_and_given_back(
    most: int, for_each_cpu: int, count: int
) -> None:
    machine = new_machine()
    assert call(machine, "__alloc_bucket_spinlocks", PLACE, MASK, most, for_each_cpu) == 0
    locks = machine.memory.number(PLACE)
    assert machine.heap.size(locks) == 4 * count
    assert machine.memory.number(MASK, 4) == count - 1
    call(machine, "free_bucket_spinlocks", locks)
    assert machine.ledger.held("sample") == ()


def test_a_lock_shows_that_it_is_held() -> None:
    machine = new_machine()
    with machine.running("sample"):
        for lock, unlock in (
            ("_raw_spin_lock", "_raw_spin_unlock"),
            ("_raw_spin_lock_irqsave", "_raw_spin_unlock_irqrestore"),
            ("_raw_spin_trylock", "_raw_spin_unlock"),
        ):
            taken = machine.call(machine.kernel_symbols.address(lock), PLACE)
            assert taken == {"_raw_spin_trylock": 1, "_raw_spin_lock_irqsave": 0x202}.get(lock, 0)
            assert machine.memory.number(PLACE, 4) == 1
            machine.call(machine.kernel_symbols.address(unlock), PLACE)
            assert machine.memory.number(PLACE, 4) == 0
