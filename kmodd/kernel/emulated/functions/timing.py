# SPDX-License-Identifier: Apache-2.0
"""Time: sleeping and clocks (kernel/time).

The machine has a clock of its own, which goes on with the code that runs, and where all code waits
to when something is due.
"""

import time

from kmodd.kernel.emulated.abi.function_table import RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.abi.structures import TIME_SPEC
from kmodd.kernel.emulated.machine.clock import HZ
from kmodd.kernel.emulated.machine.machine import Machine

_NANOSECONDS = 1_000_000_000


@function("void msleep(unsigned int msecs)")
def msleep(machine: Machine, milliseconds: int) -> int:
    return machine.tasks.sleep(milliseconds / 1000)


@function("unsigned long msleep_interruptible(unsigned int msecs)")
def msleep_interruptible(machine: Machine, milliseconds: int) -> int:
    return machine.tasks.sleep(milliseconds / 1000)


@function("void ssleep(unsigned int seconds)")
def ssleep(machine: Machine, seconds: int) -> int:
    return machine.tasks.sleep(seconds)


@function("void usleep_range_state(unsigned long min, unsigned long max, unsigned int state)")
def usleep_range(machine: Machine, least: int, _most: int, _state: int) -> int:
    return machine.tasks.sleep(least / 1_000_000)


@function("void __udelay(unsigned long usecs)", "void __const_udelay(unsigned long xloops)")
def udelay(machine: Machine, _amount: int) -> None:
    machine.calls.now.traps += 1


@function("void __ndelay(unsigned long nsecs)", "void __delay(unsigned long loops)")
def ndelay(machine: Machine, _amount: int) -> None:
    machine.calls.now.traps += 1


machine_code(
    RETURN_ZERO,
    """
    int timecounter_init(struct timecounter *tc, const struct cyclecounter *cc, u64 start_tstamp)
    """,
)


def _nanoseconds(machine: Machine) -> int:
    """Return the machine's own time since it booted; it goes on with every look at it."""
    now = machine.calls.now
    now.traps += 1
    return machine.clock.ticks * (_NANOSECONDS // HZ) + now.traps * 1000


@function(
    "ktime_t ktime_get(void)",
    "u64 ktime_get_ns(void)",
    "u64 ktime_get_mono_fast_ns(void)",
    "u64 ktime_get_raw_fast_ns(void)",
    "ktime_t ktime_get_raw(void)",
    "ktime_t ktime_get_with_offset(enum tk_offsets offs)",
    "ktime_t ktime_get_coarse_with_offset(enum tk_offsets offs)",
    "u64 sched_clock(void)",
    "u64 local_clock(void)",
)
def ktime_get(machine: Machine, *_clock: int) -> int:
    return _nanoseconds(machine)


@function("time64_t ktime_get_seconds(void)")
def ktime_get_seconds(machine: Machine) -> int:
    return _nanoseconds(machine) // _NANOSECONDS


@function("time64_t ktime_get_real_seconds(void)")
def ktime_get_real_seconds(_machine: Machine) -> int:
    return int(time.time())


def _store(machine: Machine, address: int, nanoseconds: int) -> None:
    """Store a ``struct timespec64``."""
    machine.memory.put(address + TIME_SPEC.seconds, nanoseconds // _NANOSECONDS)
    machine.memory.put(address + TIME_SPEC.nanoseconds, nanoseconds % _NANOSECONDS)


@function(
    "void ktime_get_ts64(struct timespec64 *ts)",
    "void ktime_get_raw_ts64(struct timespec64 *ts)",
    "void ktime_get_coarse_ts64(struct timespec64 *ts)",
)
def ktime_get_ts64(machine: Machine, address: int) -> None:
    _store(machine, address, _nanoseconds(machine))


@function(
    "void ktime_get_real_ts64(struct timespec64 *ts)",
    "void ktime_get_coarse_real_ts64(struct timespec64 *ts)",
)
def ktime_get_real_ts64(machine: Machine, address: int) -> None:
    _store(machine, address, time.time_ns())


@function(
    "unsigned int jiffies_to_msecs(const unsigned long j)",
)
def jiffies_to_msecs(_machine: Machine, ticks: int) -> int:
    return ticks * (1000 // HZ)


@function("unsigned int jiffies_to_usecs(const unsigned long j)")
def jiffies_to_usecs(_machine: Machine, ticks: int) -> int:
    return ticks * (1_000_000 // HZ)


@function("unsigned long __msecs_to_jiffies(const unsigned int m)")
def msecs_to_jiffies(_machine: Machine, milliseconds: int) -> int:
    return -(-milliseconds * HZ // 1000)


@function("unsigned long __usecs_to_jiffies(const unsigned int u)")
def usecs_to_jiffies(_machine: Machine, microseconds: int) -> int:
    return -(-microseconds * HZ // 1_000_000)


@function(
    "unsigned long round_jiffies(unsigned long j)",
    "unsigned long round_jiffies_relative(unsigned long j)",
)
def round_jiffies(_machine: Machine, ticks: int) -> int:
    return -(-ticks // HZ) * HZ
