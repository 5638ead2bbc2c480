# SPDX-License-Identifier: Apache-2.0
"""Timers that fire as the machine's clock goes on (kernel/time/timer.c, kernel/time/hrtimer.c).

A timer is on its module's account while it is armed.
"""

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.abi.structures import HRTIMER, TIMER
from kmodd.kernel.emulated.machine.clock import HZ, INITIAL_JIFFIES
from kmodd.kernel.emulated.machine.interrupting import HARD, SOFT, interrupting
from kmodd.kernel.emulated.machine.machine import Machine

_TIMER = "timer"
_TICK = 1_000_000_000 // HZ
_RELATIVE, _SOFT_MODE = 1, 4
_RESTART = 1


def _symbol(machine: Machine, code: int) -> str:
    return machine.symbol(code, offset=False).partition(" ")[0]


@reclaims(_TIMER)
def forget_timer(machine: Machine, timer: int) -> None:
    """Forget a timer of a module that is gone."""
    machine.scheduler.disarm(timer)


@function(
    "void init_timer_key|timer_init_key(struct timer_list *timer, void (*func)(struct timer_list *), unsigned int"
    " flags, const char *name, struct lock_class_key *key)"
)
def init_timer(machine: Machine, timer: int, code: int, flags: int, *_rest: int) -> None:
    machine.memory.put(timer + TIMER.pending, 0)
    machine.memory.put(timer + TIMER.function, code)
    machine.memory.put(timer + TIMER.flags, flags, 4)


def _arm(machine: Machine, timer: int, expires: int) -> int:
    memory = machine.memory
    code = memory.number(timer + TIMER.function)
    if not code:
        # It was shut down, or never set up.
        return 0
    was_armed = machine.scheduler.is_armed(timer)
    if not was_armed:
        machine.ledger.take(_TIMER, timer, f"a timer that is still armed: {_symbol(machine, code)}")
    memory.put(timer + TIMER.expires, expires)
    memory.put(timer + TIMER.pending, timer)

    def fire() -> None:
        machine.ledger.give(_TIMER, timer)
        memory.put(timer + TIMER.pending, 0)
        with interrupting(machine, SOFT):
            machine.invoke(memory.number(timer + TIMER.function), timer)

    distance = (expires - INITIAL_JIFFIES - machine.clock.ticks) & (1 << 64) - 1
    ticks = 0 if distance >> 63 else distance
    taken = machine.ledger.find(_TIMER, timer)
    machine.scheduler.arm(timer, machine.clock.ticks + ticks, taken.module if taken else "", fire)
    return int(was_armed)


@function("int mod_timer(struct timer_list *timer, unsigned long expires)")
def mod_timer(machine: Machine, timer: int, expires: int) -> int:
    return _arm(machine, timer, expires)


@function("int timer_reduce(struct timer_list *timer, unsigned long expires)")
def timer_reduce(machine: Machine, timer: int, expires: int) -> int:
    earlier = expires
    if machine.scheduler.is_armed(timer):
        earlier = min(expires, machine.memory.number(timer + TIMER.expires))
    return _arm(machine, timer, earlier)


@function("int mod_timer_pending(struct timer_list *timer, unsigned long expires)")
def mod_timer_pending(machine: Machine, timer: int, expires: int) -> int:
    return _arm(machine, timer, expires) if machine.scheduler.is_armed(timer) else 0


@function(
    "void add_timer(struct timer_list *timer)",
    "void add_timer_on(struct timer_list *timer, int cpu)",
)
def add_timer(machine: Machine, timer: int, *_cpu: int) -> None:
    _arm(machine, timer, machine.memory.number(timer + TIMER.expires))


def _disarm(machine: Machine, timer: int) -> int:
    machine.ledger.give(_TIMER, timer)
    return int(machine.scheduler.disarm(timer))


@function(
    "int del_timer(struct timer_list *timer)",
    "int del_timer_sync(struct timer_list *timer)",
    "int timer_delete(struct timer_list *timer)",
    "int timer_delete_sync(struct timer_list *timer)",
    "int try_to_del_timer_sync(struct timer_list *timer)",
)
def del_timer(machine: Machine, timer: int) -> int:
    was_armed = _disarm(machine, timer)
    if was_armed:
        machine.memory.put(timer + TIMER.pending, 0)
    return was_armed


@function(
    "int timer_shutdown(struct timer_list *timer)",
    "int timer_shutdown_sync(struct timer_list *timer)",
)
def timer_shutdown(machine: Machine, timer: int) -> int:
    was_armed = del_timer(machine, timer)
    machine.memory.put(timer + TIMER.function, 0)
    return was_armed or 0


@function("void hrtimer_init(struct hrtimer *timer, clockid_t which_clock, enum hrtimer_mode mode)")
def hrtimer_init(machine: Machine, timer: int, _clock: int, mode: int) -> None:
    machine.memory.write(timer, bytes(HRTIMER.size))
    machine.memory.put(timer + HRTIMER.is_soft, mode & _SOFT_MODE, 1)


@function(
    "void hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*function)(struct hrtimer *),"
    " clockid_t clock_id, enum hrtimer_mode mode)"
)
def hrtimer_setup(machine: Machine, timer: int, code: int, clock: int, mode: int) -> None:
    hrtimer_init(machine, timer, clock, mode)
    machine.memory.put(timer + HRTIMER.function, code)


def _arm_hrtimer(machine: Machine, timer: int, expires: int) -> None:
    memory = machine.memory
    code = memory.number(timer + HRTIMER.function)
    if not machine.scheduler.is_armed(timer):
        machine.ledger.take(_TIMER, timer, f"a timer that is still armed: {_symbol(machine, code)}")
    memory.put(timer + HRTIMER.expires, expires)
    memory.put(timer + HRTIMER.soft_expires, expires)
    memory.put(timer + HRTIMER.state, 1, 1)

    def fire() -> None:
        machine.ledger.give(_TIMER, timer)
        memory.put(timer + HRTIMER.state, 0, 1)
        with interrupting(machine, SOFT if memory.number(timer + HRTIMER.is_soft, 1) else HARD):
            again = machine.call(memory.number(timer + HRTIMER.function), timer) == _RESTART
        if again and not machine.scheduler.is_armed(timer):
            _arm_hrtimer(machine, timer, memory.number(timer + HRTIMER.expires, signed=True))

    taken = machine.ledger.find(_TIMER, timer)
    due = min(max(-(-expires // _TICK), 0), 1 << 62)
    machine.scheduler.arm(timer, due, taken.module if taken else "", fire)


@function(
    "void hrtimer_start_range_ns(struct hrtimer *timer, ktime_t tim, u64 delta_ns, enum"
    " hrtimer_mode mode)"
)
def hrtimer_start(machine: Machine, timer: int, when: int, _delta: int, mode: int) -> None:
    now = machine.clock.ticks * _TICK if mode & _RELATIVE else 0
    _arm_hrtimer(machine, timer, now + when)


@function("u64 hrtimer_forward(struct hrtimer *timer, ktime_t now, ktime_t interval)")
def hrtimer_forward(machine: Machine, timer: int, now: int, interval: int) -> int:
    """Move the expiry on by as many intervals as lie before ``now``, and one."""
    memory = machine.memory
    expires = memory.number(timer + HRTIMER.expires, signed=True)
    if now < expires or machine.scheduler.is_armed(timer):
        return 0
    step = max(interval, 1)
    times = (now - expires) // step + 1
    memory.put(timer + HRTIMER.expires, expires + times * step)
    memory.put(timer + HRTIMER.soft_expires, expires + times * step)
    return times


@function("int hrtimer_cancel(struct hrtimer *timer)")
def hrtimer_cancel(machine: Machine, timer: int) -> int:
    was_armed = _disarm(machine, timer)
    if was_armed:
        machine.memory.put(timer + HRTIMER.state, 0, 1)
    return was_armed


@function("int hrtimer_try_to_cancel(struct hrtimer *timer)")
def hrtimer_try_to_cancel(machine: Machine, timer: int) -> int:
    return hrtimer_cancel(machine, timer) or 0


@function("bool hrtimer_active(const struct hrtimer *timer)")
def hrtimer_active(machine: Machine, timer: int) -> int:
    return int(machine.scheduler.is_armed(timer))


@function("ktime_t __hrtimer_get_remaining(const struct hrtimer *timer, bool adjust)")
def hrtimer_get_remaining(machine: Machine, timer: int, _adjust: int) -> int:
    expires = machine.memory.number(timer + HRTIMER.expires, signed=True)
    return expires - machine.clock.ticks * _TICK
