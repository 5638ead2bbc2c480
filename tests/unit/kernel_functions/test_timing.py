# SPDX-License-Identifier: Apache-2.0
"""Time: sleeping and clocks (kernel/time)."""

import struct
import time

import pytest

from kmodd.kernel.emulated.machine.clock import HZ
from tests.support.kernel_calls import Crash, put_code, run
from tests.support.machine import ROOM, Machine, new_machine

SECOND = 1_000_000_000
UINT_MAX, ULONG_MAX = (1 << 32) - 1, (1 << 64) - 1


@pytest.mark.parametrize(
    ("name", "arguments", "ticks"),
    [
        ("msleep", (1000,), HZ),
        ("msleep", (1,), 1),
        ("msleep_interruptible", (1000,), HZ),
        ("ssleep", (3,), 3 * HZ),
        ("usleep_range_state", (20_000, 30_000, 2), HZ // 50),
        ("usleep_range_state", (10, 20, 2), 1),
    ],
)
def test_the_clock_goes_on_while_code_sleeps(
    name: str, arguments: tuple[int, ...], ticks: int
) -> None:
    machine = new_machine()
    before = machine.memory.number(machine.kernel_symbols.jiffies)
    assert run(machine, name, *arguments) == 0
    assert machine.memory.number(machine.kernel_symbols.jiffies) - before == ticks


@pytest.mark.parametrize(
    ("name", "argument"), [("msleep", UINT_MAX), ("msleep_interruptible", 300_000), ("ssleep", 300)]
)
def test_who_sleeps_too_long_hangs(name: str, argument: int) -> None:
    with pytest.raises(Crash, match="blocked for more than 120 seconds"):
        run(new_machine(), name, argument)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("__udelay", 10_000),
        ("__const_udelay", (10_000 << 32) // 1_000_000 + 1),
        ("__ndelay", 10_000_000),
        ("__delay", 20_000_000),
    ],
)
def test_the_clock_goes_on_while_code_is_busy_waiting(name: str, argument: int) -> None:
    machine = new_machine()
    began = run(machine, "ktime_get_ns")
    run(machine, name, argument)
    assert machine.clock.ticks == 2
    passed = run(machine, "ktime_get_ns") - began
    assert 10_000_000 <= passed < 11_000_000
    run(machine, name, (1 << 64) - 1)
    assert machine.clock.ticks < 60 * HZ


MONOTONIC = (
    "ktime_get",
    "ktime_get_ns",
    "ktime_get_mono_fast_ns",
    "ktime_get_raw_fast_ns",
    "ktime_get_raw",
    "sched_clock",
    "local_clock",
)


@pytest.mark.parametrize("name", MONOTONIC)
def test_the_clock_begins_at_boot_and_never_goes_back(name: str) -> None:
    machine = new_machine()
    before = run(machine, name)
    assert 0 < before < SECOND
    run(machine, "ssleep", 5)
    after = run(machine, name)
    assert 5 * SECOND <= after - before < 6 * SECOND
    with machine.running("sample"):
        address = machine.kernel_symbols.address(name)
        told = [machine.invoke(address) for _ in range(3)]
    assert told == sorted(set(told))


def test_seconds_since_boot_are_whole() -> None:
    machine = new_machine()
    assert run(machine, "ktime_get_seconds") == 0
    run(machine, "ssleep", 5)
    assert run(machine, "ktime_get_seconds") == 5


def is_now(seconds: int) -> bool:
    return abs(seconds - time.time()) < 3600


@pytest.mark.parametrize("name", ["ktime_get_with_offset", "ktime_get_coarse_with_offset"])
@pytest.mark.parametrize(("clock", "is_wall"), [(0, True), (1, False), (2, True)])
def test_a_clock_has_an_offset_from_the_monotonic_one(name: str, clock: int, is_wall: bool) -> None:
    told = run(new_machine(), name, clock)
    assert is_now(told // SECOND) if is_wall else 0 <= told < SECOND


def test_the_time_of_day_is_in_seconds() -> None:
    assert is_now(run(new_machine(), "ktime_get_real_seconds"))


def timespec(machine: Machine, name: str) -> tuple[int, int]:
    run(machine, name, ROOM)
    seconds, nanoseconds = struct.unpack("<2q", machine.memory.read(ROOM, 16))
    return seconds, nanoseconds


@pytest.mark.parametrize("name", ["ktime_get_ts64", "ktime_get_raw_ts64", "ktime_get_coarse_ts64"])
def test_the_time_since_boot_is_stored_in_seconds_and_nanoseconds(name: str) -> None:
    machine = new_machine()
    run(machine, "ssleep", 5)
    seconds, nanoseconds = timespec(machine, name)
    assert seconds == 5
    assert 0 <= nanoseconds < SECOND


@pytest.mark.parametrize("name", ["ktime_get_real_ts64", "ktime_get_coarse_real_ts64"])
def test_the_time_of_day_is_stored_in_seconds_and_nanoseconds(name: str) -> None:
    seconds, nanoseconds = timespec(new_machine(), name)
    assert is_now(seconds)
    assert 0 <= nanoseconds < SECOND


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("jiffies_to_msecs", 0, 0),
        ("jiffies_to_msecs", HZ, 1000),
        ("jiffies_to_msecs", 1 << 31, (4 << 31) % (1 << 32)),
        ("jiffies_to_usecs", 3, 12_000),
        ("__msecs_to_jiffies", 1000, HZ),
        ("__msecs_to_jiffies", 1001, HZ + 1),
        ("__msecs_to_jiffies", 1, 1),
        ("__msecs_to_jiffies", 0, 0),
        ("__msecs_to_jiffies", UINT_MAX, (1 << 62) - 2),
        ("__usecs_to_jiffies", 4000, 1),
        ("__usecs_to_jiffies", 4001, 2),
        ("__usecs_to_jiffies", 0, 0),
    ],
)
def test_ticks_are_converted_and_none_is_lost(name: str, argument: int, expected: int) -> None:
    assert run(new_machine(), name, argument) == expected


@pytest.mark.parametrize(
    ("beyond", "rounded"), [(0, 0), (HZ // 4 - 1, 0), (HZ // 4, HZ), (HZ - 1, HZ)]
)
def test_ticks_are_rounded_to_a_second_close_by(beyond: int, rounded: int) -> None:
    machine = new_machine()
    now = machine.memory.number(machine.kernel_symbols.jiffies)
    second = (now // HZ + 2) * HZ
    assert run(machine, "round_jiffies", second + beyond) == second + rounded
    ahead = second + beyond - now
    assert run(machine, "round_jiffies_relative", ahead) == second + rounded - now


def test_ticks_are_not_rounded_into_the_past() -> None:
    machine = new_machine()
    now = machine.memory.number(machine.kernel_symbols.jiffies)
    machine.clock.advance(HZ - now % HZ + 10)
    soon = machine.memory.number(machine.kernel_symbols.jiffies) + 3
    assert run(machine, "round_jiffies", soon) == soon
    assert run(machine, "round_jiffies_relative", 3) == 3


def test_a_counter_of_time_begins_with_the_cycles_that_there_are() -> None:
    machine = new_machine()
    # mov $1000, %eax; ret
    machine.memory.put(ROOM, put_code(machine, "b8e8030000c3"))
    machine.memory.put(ROOM + 20, 8, 4)
    machine.memory.write(ROOM + 256, b"\xff" * 40)
    run(machine, "timecounter_init", ROOM + 256, ROOM, 77)
    words = struct.unpack("<5Q", machine.memory.read(ROOM + 256, 40))
    assert words == (ROOM, 1000, 77, 255, 0)
