# SPDX-License-Identifier: Apache-2.0
"""Time: sleeping and clocks (kernel/time).

The machine has a clock of its own, which goes on with the code that runs, and where all code waits
to when something is due.
"""

import time

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import CYCLE_COUNTER, TIME_SPEC
from kmodd.kernel.emulated.machine.calls import LOCKUP_SECONDS
from kmodd.kernel.emulated.machine.clock import HZ
from kmodd.kernel.emulated.machine.machine import Machine

_NANOSECONDS = 1_000_000_000
_TK_OFFS_BOOT = 1
_MAX_JIFFY_OFFSET = (1 << 62) - 2


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


def _delay(machine: Machine, nanoseconds: int) -> None:
    """Be busy for some time, but no longer than until it is told of as stuck."""
    machine.clock.delay(min(nanoseconds, LOCKUP_SECONDS * _NANOSECONDS))


@function("void __udelay(unsigned long usecs)")
def udelay(machine: Machine, microseconds: int) -> None:
    _delay(machine, microseconds * 1000)


@function("void __const_udelay(unsigned long xloops)")
def const_udelay(machine: Machine, parts: int) -> None:
    """A second has 2^32 parts."""
    _delay(machine, parts * _NANOSECONDS >> 32)


@function("void __ndelay(unsigned long nsecs)")
def ndelay(machine: Machine, nanoseconds: int) -> None:
    _delay(machine, nanoseconds)


@function("void __delay(unsigned long loops)")
def delay(machine: Machine, loops: int) -> None:
    per_tick = machine.memory.number(machine.kernel_symbols.address("loops_per_jiffy"))
    _delay(machine, loops * _NANOSECONDS // (max(per_tick, 1) * HZ))


@function(
    "void timecounter_init(struct timecounter *tc, const struct cyclecounter *cc, u64 start_tstamp)"
)
def timecounter_init(machine: Machine, counter: int, cycles: int, start: int) -> None:
    """The counter of cycles has a function that reads it, and the shift of its fractions."""
    memory = machine.memory
    now = machine.invoke(memory.number(cycles + CYCLE_COUNTER.read), cycles)
    fractions = (1 << memory.number(cycles + CYCLE_COUNTER.shift, 4) % 64) - 1
    for number, word in enumerate((cycles, now, start, fractions, 0)):
        memory.put(counter + 8 * number, word)


def _nanoseconds(machine: Machine) -> int:
    """Return the machine's own time since it booted; it goes on with every look at it."""
    now = machine.calls.now
    now.traps += 1
    return machine.clock.nanoseconds + now.traps * 1000


@function(
    "ktime_t ktime_get(void)",
    "u64 ktime_get_ns(void)",
    "u64 ktime_get_mono_fast_ns(void)",
    "u64 ktime_get_raw_fast_ns(void)",
    "ktime_t ktime_get_raw(void)",
    "u64 sched_clock(void)",
    "u64 local_clock(void)",
)
def ktime_get(machine: Machine) -> int:
    return _nanoseconds(machine)


@function(
    "ktime_t ktime_get_with_offset(enum tk_offsets offs)",
    "ktime_t ktime_get_coarse_with_offset(enum tk_offsets offs)",
)
def ktime_get_with_offset(machine: Machine, clock: int) -> int:
    """Of the clocks that differ from the monotonic one two tell the time of day."""
    return _nanoseconds(machine) if clock == _TK_OFFS_BOOT else time.time_ns()


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
    """What would be below zero in an int stands for ever."""
    if milliseconds >> 31:
        return _MAX_JIFFY_OFFSET
    return -(-milliseconds * HZ // 1000)


@function("unsigned long __usecs_to_jiffies(const unsigned int u)")
def usecs_to_jiffies(_machine: Machine, microseconds: int) -> int:
    return -(-microseconds * HZ // 1_000_000)


@function("unsigned long round_jiffies(unsigned long j)")
def round_jiffies(machine: Machine, when: int) -> int:
    """A whole second close by, mostly the next, if that is still to come."""
    beyond = when % HZ
    whole = when - beyond + (HZ if beyond >= HZ // 4 else 0)
    return whole if whole > machine.memory.number(machine.kernel_symbols.jiffies) else when


@function("unsigned long round_jiffies_relative(unsigned long j)")
def round_jiffies_relative(machine: Machine, ticks: int) -> int:
    now = machine.memory.number(machine.kernel_symbols.jiffies)
    return (round_jiffies(machine, now + ticks) or 0) - now
