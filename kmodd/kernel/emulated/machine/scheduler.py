# SPDX-License-Identifier: Apache-2.0
"""Flows of control beside the one that a system call is: threads, work, timers.

There is one processor, and nobody is interrupted: a task goes on until it waits for something or
ends, then it is another's turn, always in the order in which they came. When nobody can go on,
the clock does, to the next thing that is due. So what happens is the same each time.

Behind a system call some of the machine's time passes. What the call is about has all of it; what
others have begun before has one turn in it, and is late for the rest, as timers may be on a busy
machine: else a call would last the longer the more modules with timers there are.
"""

from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from kmodd.kernel.emulated.machine.clock import HZ, Clock

SETTLE_SECONDS = 10
"""Seconds of the machine's time that pass behind a system call before the next, if anything is due
in them."""

TURNS_MAX = 256
"""Turns of tasks, and timers that fire, behind a system call: some never come to rest."""

WAITING_TURNS_MAX = 20_000
"""The same while code waits for something."""

Ready = Callable[[], int | None]
"""Returns what a function that waits is to return, None while it has to wait on."""


class Suspended(Exception):  # noqa: N818  # no error
    """The task that runs cannot go on before something is ``ready``, or ``due`` has come."""

    def __init__(self, ready: Ready, due: int | None) -> None:
        super().__init__()
        self.ready = ready
        self.due = due


class Exited(Exception):  # noqa: N818  # no error
    """The task that runs is over, in the middle of its code (kthread_exit)."""

    def __init__(self, result: int) -> None:
        super().__init__()
        self.result = result


@dataclass(slots=True, eq=False)
class Task:
    """A function of a module's that runs by itself, with an argument, and ``more`` of them.

    ``ended`` is called with what it returned, None where it came to a bad end. ``current`` is its
    ``struct task_struct``, 0 for the one that all work has. ``call`` is what the machine needs to
    go on with it, None before it has begun. ``due`` is the tick until which it waits at most.
    """

    function: int
    argument: int
    module: str
    ended: Callable[[int | None], None]
    current: int = 0
    call: Any = None
    ready: Ready | None = None
    due: int | None = None
    is_running: bool = False
    more: tuple[int, ...] = ()


@dataclass(order=True, slots=True)
class _Timer:
    due: int
    number: int
    key: int = field(compare=False)
    module: str = field(compare=False)
    fire: Callable[[], None] = field(compare=False)


class Host(Protocol):
    """Who runs the tasks, and what timers have to do."""

    def run_task(self, task: Task, result: int) -> bool:
        """Let a task go on, with what it has waited for; False where there is no room for it."""

    def interrupt(self, module: str, work: Callable[[], None]) -> None:
        """Do some work that is no part of what is running."""


class Scheduler:
    """The tasks and timers; for who holds the machine."""

    def __init__(self, clock: Clock, host: Host) -> None:
        self._clock = clock
        self._host = host
        self._tasks: list[Task] = []
        self._timers: list[_Timer] = []
        self._by_key: dict[int, _Timer] = {}
        self._armed = 0
        self._known_timers = 0
        self._known_tasks: frozenset[Task] = frozenset()

    def add(self, task: Task) -> None:
        """Let a task have its turn from now on."""
        self._tasks.append(task)

    def remove(self, task: Task) -> None:
        """Let a task have no turn any more."""
        if task in self._tasks:
            self._tasks.remove(task)

    def has(self, task: Task) -> bool:
        """Tell whether a task is not over yet."""
        return task in self._tasks

    def arm(self, key: int, due: int, module: str, fire: Callable[[], None]) -> bool:
        """Have ``fire`` called when ``due`` has come, a tick; tell whether it was due already."""
        was_armed = self.disarm(key)
        self._armed += 1
        timer = _Timer(max(due, self._clock.ticks + 1), self._armed, key, module, fire)
        self._by_key[key] = timer
        insort(self._timers, timer)
        return was_armed

    def disarm(self, key: int) -> bool:
        """Forget a timer; tell whether there was one."""
        timer = self._by_key.pop(key, None)
        if timer is not None:
            self._timers.remove(timer)
        return timer is not None

    def is_armed(self, key: int) -> bool:
        """Tell whether a timer is still to fire."""
        return key in self._by_key

    def wait(self, ready: Ready, due: int | None, turns: int = WAITING_TURNS_MAX) -> int | None:
        """Let others go on until something is ``ready``, and return that; None where it never is,
        or not within so many ``turns``.

        ``due`` is the tick at which it is at last.
        """
        for _ in range(turns):
            result = ready()
            if result is not None:
                return result
            if not self._turn() and not self._pass_time(due):
                return None
        return None

    def settle(self, module: str = "") -> None:
        """Let all go on until they come to rest, and then some time pass behind a call.

        Of what others than ``module`` had begun before the call, each timer fires once at most,
        and of what sleeps, time wakes each once; all of it has its time where no module is named.
        """
        end = self._clock.ticks + SETTLE_SECONDS * HZ
        others = _Others(module, self._known_timers, self._known_tasks) if module else None
        for _ in range(TURNS_MAX):
            if self._turn():
                continue
            if self._next_due() is None or self._clock.ticks >= end:
                break
            self._pass_time(end, others)
        self._known_timers = self._armed
        self._known_tasks = frozenset(self._tasks)

    def go_on(self) -> None:
        """Let all go on until none can without any time that passes."""
        for _ in range(TURNS_MAX):
            if not self._turn():
                return

    def yield_(self) -> None:
        """Let everybody else who can have a turn."""
        self._turn()

    def _turn(self) -> bool:
        """Give each task that can go on one turn; tell whether any could."""
        any_ran = False
        for task in tuple(self._tasks):
            if task.is_running or task not in self._tasks:
                continue
            result = task.ready() if task.ready is not None else 0
            if result is not None:
                any_ran |= self._host.run_task(task, result)
        return any_ran

    def _next_due(self, others: "_Others | None" = None) -> int | None:
        """Return when something is due next, of others what may have a turn still."""
        dues = [
            task.due
            for task in self._tasks
            if task.due is not None
            and not task.is_running
            and (others is None or others.may_wake(task))
        ]
        timer = self._first_timer(others)
        if timer is not None:
            dues.append(timer.due)
        return min(dues, default=None)

    def _first_timer(self, others: "_Others | None") -> _Timer | None:
        """Return the timer that is to fire next."""
        may_fire = (each for each in self._timers if others is None or others.may_fire(each))
        return next(may_fire, None)

    def _pass_time(self, limit: int | None, others: "_Others | None" = None) -> bool:
        """Let time pass to when something is due, but not over ``limit``; False for never."""
        clock = self._clock
        dues = [due for due in (self._next_due(others), limit) if due is not None]
        if not dues:
            return False
        clock.advance(max(min(dues) - clock.ticks, 0))
        if others is not None:
            others.note_woken(self._tasks, clock.ticks)
        while (timer := self._first_timer(others)) is not None and timer.due <= clock.ticks:
            self.disarm(timer.key)
            if others is not None:
                others.note_fired(timer)
            self._host.interrupt(timer.module, timer.fire)
        return True


class _Others:
    """What was begun before a call by others than the module that the call is about.

    Timers are told by their keys, as one that is armed anew is the same to who armed it.
    """

    def __init__(self, module: str, last_number: int, tasks: frozenset[Task]) -> None:
        """``last_number`` is that of the last timer which was armed before the call."""
        self._module = module
        self._last_number = last_number
        self._tasks = tasks
        self._fired: set[int] = set()
        self._woken: set[Task] = set()

    def may_fire(self, timer: _Timer) -> bool:
        """Tell whether a timer has not had its turn."""
        return timer.key not in self._fired

    def may_wake(self, task: Task) -> bool:
        """Tell whether a task that sleeps has not had its turn."""
        return task not in self._woken

    def note_fired(self, timer: _Timer) -> None:
        """Note that a timer fires; what the call is about, or has armed, may do so again."""
        if timer.module != self._module and timer.number <= self._last_number:
            self._fired.add(timer.key)

    def note_woken(self, tasks: Iterable[Task], now: int) -> None:
        """Note that time has come to ``now``, for whoever sleeps until then."""
        self._woken.update(
            each
            for each in tasks
            if each in self._tasks
            and each.module != self._module
            and each.due is not None
            and each.due <= now
        )
