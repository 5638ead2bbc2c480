# SPDX-License-Identifier: Apache-2.0
"""Whose memory is whose in a front, and who is to go where it is short."""

import subprocess
import sys

import pytest

from kmodd.front.ledger import STILL, Ledger

MIB = 1 << 20


class Memory:
    """A process's memory, as the test has it."""

    def __init__(self) -> None:
        self.used = 40 * MIB

    def __call__(self) -> int:
        return self.used


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def ledger(memory: Memory) -> Ledger:
    return Ledger(256 * MIB, memory)


def connected(ledger: Ledger, *numbers: int) -> None:
    for number in numbers:
        ledger.open(number)


def test_what_comes_is_put_down_to_those_who_send_by_their_bytes(
    ledger: Ledger, memory: Memory
) -> None:
    connected(ledger, 1, 2, 3)
    ledger.note(1, 30000)
    ledger.note(2, 10000)
    memory.used += 40 * MIB
    assert ledger.look() == []
    assert ledger.costs() == {1: 30 * MIB, 2: 10 * MIB, 3: 0}


def test_what_comes_late_is_put_down_to_those_of_whose_bytes_no_call_has_come(
    ledger: Ledger, memory: Memory
) -> None:
    connected(ledger, 1, 2)
    ledger.note(1, 10000)
    ledger.look()
    for _ in range(1000):
        ledger.note(2, 300_400)
        ledger.note_call(2, 300_000)
        ledger.look()
    memory.used += 8 * MIB
    ledger.look()
    assert ledger.costs() == {1: 8 * MIB, 2: 0}


def test_a_call_makes_no_more_bytes_good_than_it_has(ledger: Ledger, memory: Memory) -> None:
    connected(ledger, 1, 2)
    ledger.note(1, 16_000)
    ledger.note_call(1, 0)
    ledger.note(2, 5_000)
    ledger.note_call(2, 1_000)
    memory.used += 18 * MIB
    ledger.look()
    assert {number: round(cost / MIB) for number, cost in ledger.costs().items()} == {1: 15, 2: 3}


def test_what_goes_is_taken_off_all(ledger: Ledger, memory: Memory) -> None:
    connected(ledger, 1, 2)
    ledger.note(1, 30000)
    ledger.note(2, 10000)
    memory.used += 40 * MIB
    ledger.look()
    memory.used -= 20 * MIB
    ledger.look()
    assert ledger.costs() == {1: 15 * MIB, 2: 5 * MIB}
    memory.used = 0
    ledger.look()
    assert ledger.costs() == {1: 0, 2: 0}
    ledger.note(2, 100)
    memory.used = MIB
    ledger.look()
    assert ledger.costs()[2] > 0


def test_where_memory_is_short_those_go_that_cost_most_and_of_equals_the_later_ones(
    ledger: Ledger, memory: Memory
) -> None:
    connected(ledger, *range(1, 9))
    for number in range(1, 8):
        ledger.note(number, 10000)
    ledger.note(8, 20000)
    memory.used = 40 * MIB + 225 * MIB
    # To be had back are 64 MiB, and what is above the limit, 9: 50 and 25.
    assert ledger.look() == [8, 7]


def test_who_costs_far_less_than_others_stays_whoever_else_is_to_go(
    ledger: Ledger, memory: Memory
) -> None:
    connected(ledger, 1, 2, 3)
    ledger.note(1, 1 << 20)
    ledger.note(2, 1 << 20)
    ledger.note(3, 300)
    memory.used = 900 * MIB
    assert ledger.look() == [2, 1]


def test_what_is_to_go_with_those_that_ended_is_waited_for(ledger: Ledger, memory: Memory) -> None:
    connected(ledger, 1, 2)
    ledger.note(1, 30000)
    ledger.note(2, 20000)
    memory.used = 300 * MIB
    assert ledger.look() == [1]
    ledger.close(1)
    for _ in range(20):
        assert ledger.look() == []
    assert ledger.is_easing()
    memory.used = 150 * MIB
    assert ledger.look() == []
    assert ledger.costs().keys() == {2}


def test_what_comes_of_those_that_ended_is_not_put_down_to_who_is_there(
    ledger: Ledger, memory: Memory
) -> None:
    connected(ledger, 1, 2)
    ledger.note(1, 999_000)
    ledger.note(2, 1_000)
    ledger.close(1)
    memory.used += 300 * MIB
    assert ledger.look() == []
    assert ledger.is_easing()
    assert ledger.costs()[2] < MIB


def test_what_does_not_go_with_those_that_ended_is_looked_for_elsewhere_by_and_by(
    ledger: Ledger, memory: Memory
) -> None:
    connected(ledger, 1, 2)
    ledger.note(1, 30000)
    ledger.note(2, 20000)
    memory.used = 300 * MIB
    (first,) = ledger.look()
    ledger.close(first)
    found = next(each for _ in range(1000) if (each := ledger.look()))
    assert found == [2]


def test_a_crowd_that_costs_the_same_loses_its_latest(ledger: Ledger, memory: Memory) -> None:
    connected(ledger, *range(10000))
    for number in range(10000):
        ledger.note(number, 60)
    memory.used = 257 * MIB
    gone = ledger.look()
    assert gone == list(range(9999, 9999 - len(gone), -1))
    assert 2900 < len(gone) < 3100  # 65 of the 217 MiB that all of them cost


def test_who_has_cost_nothing_is_never_to_go(ledger: Ledger, memory: Memory) -> None:
    connected(ledger, 1, 2)
    memory.used = 900 * MIB
    assert ledger.look() == []


def test_it_is_quiet_when_nobody_has_sent_for_a_while(ledger: Ledger, memory: Memory) -> None:
    connected(ledger, 1)
    ledger.note(1, 1000)
    ledger.look()
    assert not ledger.is_quiet()
    for _ in range(STILL):
        ledger.look()
    assert ledger.is_quiet()
    assert not ledger.has_grown()
    memory.used += 100 * MIB
    ledger.look()
    assert ledger.has_grown()


def test_a_connection_that_is_not_there_counts_for_nothing(ledger: Ledger) -> None:
    ledger.note(7, 1000)
    ledger.note_call(7, 1000)
    ledger.close(7)
    assert not ledger.is_easing()
    assert ledger.costs() == {}


OWN_MEMORY = """
import os
from pathlib import Path
from kmodd.freed_memory import give_memory_back
from kmodd.front.ledger import OwnMemory
used = OwnMemory()
before = used()
pages = int(Path("/proc/self/statm").read_text().split()[1])
kept = [os.urandom(100_000) for _ in range(1000)]
taken = used() - before
kept.clear()
give_memory_back()
print(before - pages * os.sysconf("SC_PAGE_SIZE"), taken, used() - before)
"""


def test_a_process_knows_its_own_memory_and_gives_it_back() -> None:
    # In a process of its own: one that has run other tests has memory to give before it takes more.
    command = [sys.executable, "-c", OWN_MEMORY]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    wrong_by, taken, kept = map(int, ran.stdout.split())
    assert abs(wrong_by) < 32 * MIB
    assert taken > 80 * MIB
    assert kept < 50 * MIB
