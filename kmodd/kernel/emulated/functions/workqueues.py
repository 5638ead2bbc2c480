# SPDX-License-Identifier: Apache-2.0
"""Work, delayed work, workqueues, tasklets (kernel/workqueue.c, kernel/softirq.c).

Each piece of work is a task of its own, on its module's account until it is done.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ZERO,
    function,
    machine_code,
    reclaims,
)
from kmodd.kernel.emulated.abi.structures import TASKLET, WORK
from kmodd.kernel.emulated.functions.variadic import formatted
from kmodd.kernel.emulated.machine.clock import INITIAL_JIFFIES
from kmodd.kernel.emulated.machine.interrupting import SOFT, interrupting
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.scheduler import Ready, Task
from kmodd.kernel.emulated.machine.state import KeptByAddress

_QUEUE = "workqueue"
_WORK = "work"
_DELAYED = "delayed work"
_TASKLET = "tasklet"
_PENDING = 1
"""WORK_STRUCT_PENDING, and TASKLET_STATE_SCHED"""


@dataclass(slots=True, eq=False)
class Work:
    """Work that is queued or under way. ``queue`` is 0 for a tasklet."""

    address: int
    queue: int
    task: Task


@dataclass(slots=True)
class Workqueues:
    """All ``works`` in the order in which they came, and the queues that keep it (``ordered``)."""

    works: list[Work] = field(default_factory=list)
    ordered: set[int] = field(default_factory=set)


class DisabledWork(KeptByAddress[int]):
    """How often work is disabled that cannot be queued before it was enabled as often."""


def _works(machine: Machine) -> list[Work]:
    return machine.state(Workqueues).works


def queue_work(
    machine: Machine,
    queue: int,
    work: int,
    *,
    function_at: int | None = None,
    is_marked: bool = True,
) -> int:
    """Queue work, unless it is queued and has not begun; return whether it was.

    Its function is at ``function_at``, where it is not a ``struct work_struct``. Work ``is_marked``
    while it is pending, where it has a word for that.
    """
    if _is_pending(machine, work) or work in machine.state(DisabledWork).by_address:
        return 0
    code = machine.memory.number(work + (WORK.function if function_at is None else function_at))

    def begin() -> int | None:
        if not _may_begin(machine, queued):
            return None
        if is_marked:
            _mark(machine, work, pending=False)
        return 0

    def end(_result: int | None) -> None:
        machine.ledger.give(_WORK, work)
        _works(machine).remove(queued)

    name = machine.symbol(code, offset=False).partition(" ")[0]
    machine.ledger.take(_WORK, work, f"work that is still under way: {name}")
    taken = machine.ledger.find(_WORK, work)
    task = Task(code, work, taken.module if taken else "", end, ready=begin)
    queued = Work(work, queue, task)
    _works(machine).append(queued)
    machine.scheduler.add(task)
    if is_marked:
        _mark(machine, work, pending=True)
    return 1


def _mark(machine: Machine, work: int, *, pending: bool) -> None:
    at = work + WORK.data
    word = machine.memory.number(at)
    machine.memory.put(at, word | _PENDING if pending else word & ~_PENDING)


def _may_begin(machine: Machine, work: Work) -> bool:
    """Tell whether nothing has to end first: the same work, or any of a queue that keeps order."""
    is_ordered = work.queue in machine.state(Workqueues).ordered
    for other in _works(machine):
        if other is work:
            return True
        if other.address == work.address or (is_ordered and other.queue == work.queue):
            return False
    return True


def _is_pending(machine: Machine, work: int) -> bool:
    if machine.scheduler.is_armed(work):
        return True
    return any(each.address == work and each.task.call is None for each in _works(machine))


@reclaims(_WORK)
def forget_work(machine: Machine, address: int) -> None:
    """Forget work of a module that is gone."""
    for work in [each for each in _works(machine) if each.address == address]:
        machine.tasks.end_task(work.task)
        _works(machine).remove(work)


@reclaims(_DELAYED)
def forget_delayed_work(machine: Machine, address: int) -> None:
    """Forget work of a module that is gone."""
    machine.scheduler.disarm(address)


@function(
    "struct workqueue_struct *alloc_workqueue|alloc_workqueue_noprof(const char *fmt, unsigned int flags, int max_active, ...)"
)
def alloc_workqueue(machine: Machine, template: int, _flags: int, active: int) -> int:
    name = formatted(machine, template, 3).decode("utf-8", "surrogateescape")
    queue = machine.heap.allocate(512)
    if active == 1:
        machine.state(Workqueues).ordered.add(queue)
    machine.ledger.take(_QUEUE, queue, f"workqueue '{name}'")
    return queue


@reclaims(_QUEUE)
def forget_queue(machine: Machine, queue: int) -> None:
    """Free a workqueue."""
    machine.state(Workqueues).ordered.discard(queue)
    machine.heap.free(queue)


@function("void destroy_workqueue(struct workqueue_struct *wq)")
def destroy_workqueue(machine: Machine, queue: int) -> int:
    done = flush(machine, lambda each: each.queue == queue)

    def ready() -> int | None:
        if done() is not None and machine.ledger.give(_QUEUE, queue) is not None:
            forget_queue(machine, queue)
        return done()

    return machine.tasks.wait(ready)


@function("bool queue_work_on(int cpu, struct workqueue_struct *wq, struct work_struct *work)")
def queue_work_on(machine: Machine, _cpu: int, queue: int, work: int) -> int:
    return queue_work(machine, queue, work)


@function("bool queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *rwork)")
def queue_rcu_work(machine: Machine, queue: int, work: int) -> int:
    return queue_work(machine, queue, work)


def _delay(machine: Machine, queue: int, work: int, ticks: int) -> None:
    memory = machine.memory

    def fire() -> None:
        machine.ledger.give(_DELAYED, work)
        _mark(machine, work, pending=False)
        queue_work(machine, queue, work)

    code = memory.number(work + WORK.function)
    name = machine.symbol(code, offset=False).partition(" ")[0]
    machine.ledger.take(_DELAYED, work, f"delayed work that is still due: {name}")
    taken = machine.ledger.find(_DELAYED, work)
    _mark(machine, work, pending=True)
    memory.put(work + WORK.expires, INITIAL_JIFFIES + machine.clock.ticks + ticks)
    due = machine.clock.ticks + ticks
    machine.scheduler.arm(work, due, taken.module if taken else "", fire)


@function(
    "bool queue_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork,"
    " unsigned long delay)"
)
def queue_delayed_work_on(machine: Machine, _cpu: int, queue: int, work: int, delay: int) -> int:
    if _is_pending(machine, work) or work in machine.state(DisabledWork).by_address:
        return 0
    if not delay:
        return queue_work(machine, queue, work)
    _delay(machine, queue, work, delay)
    return 1


@function(
    "bool mod_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork,"
    " unsigned long delay)"
)
def mod_delayed_work_on(machine: Machine, cpu: int, queue: int, work: int, delay: int) -> int:
    was_pending = cancel(machine, work)
    queue_delayed_work_on(machine, cpu, queue, work, delay)
    return int(was_pending)


def cancel(machine: Machine, address: int, *, is_marked: bool = True) -> bool:
    """Take back what has not begun; tell whether there was anything."""
    was_due = machine.scheduler.disarm(address)
    if was_due:
        machine.ledger.give(_DELAYED, address)
    queued = [each for each in _works(machine) if each.address == address and not each.task.call]
    for work in queued:
        machine.tasks.end_task(work.task)
        _works(machine).remove(work)
        machine.ledger.give(_WORK, address)
    if is_marked and (was_due or queued):
        _mark(machine, address, pending=False)
    return was_due or bool(queued)


@function(
    "bool cancel_work(struct work_struct *work)",
    "bool cancel_delayed_work(struct delayed_work *dwork)",
)
def cancel_work(machine: Machine, work: int) -> int:
    return int(cancel(machine, work))


@function(
    "bool cancel_work_sync(struct work_struct *work)",
    "bool cancel_delayed_work_sync(struct delayed_work *dwork)",
)
def cancel_work_sync(machine: Machine, work: int) -> int:
    was_pending = int(cancel(machine, work))
    return machine.tasks.wait(flush(machine, lambda each: each.address == work, was_pending))


@function(
    "bool disable_work(struct work_struct *work)",
    "bool disable_delayed_work(struct delayed_work *dwork)",
)
def disable_work(machine: Machine, work: int) -> int:
    """Cancel work and have it not be queued until it is enabled, for each time once."""
    disabled = machine.state(DisabledWork).by_address
    disabled[work] = disabled.get(work, 0) + 1
    return int(cancel(machine, work))


@function(
    "bool disable_work_sync(struct work_struct *work)",
    "bool disable_delayed_work_sync(struct delayed_work *dwork)",
)
def disable_work_sync(machine: Machine, work: int) -> int:
    was_pending = disable_work(machine, work)
    return machine.tasks.wait(flush(machine, lambda each: each.address == work, was_pending or 0))


@function(
    "bool enable_work(struct work_struct *work)",
    "bool enable_delayed_work(struct delayed_work *dwork)",
)
def enable_work(machine: Machine, work: int) -> int:
    """Returns whether it can be queued now."""
    disabled = machine.state(DisabledWork).by_address
    left = disabled.pop(work, 0) - 1
    if left > 0:
        disabled[work] = left
    return int(left <= 0)


def flush(machine: Machine, which: Callable[[Work], bool], result: int = 0) -> Ready:
    """Return what is ready when that of the work is done of which ``which`` is true now."""
    works = [
        each for each in _works(machine) if which(each) and each.task is not machine.calls.now.task
    ]

    def ready() -> int | None:
        return None if any(machine.scheduler.has(each.task) for each in works) else result

    return ready


@function("bool flush_work(struct work_struct *work)")
def flush_work(machine: Machine, work: int) -> int:
    any_left = int(any(each.address == work for each in _works(machine)))
    return machine.tasks.wait(flush(machine, lambda each: each.address == work, any_left))


@function("bool flush_delayed_work(struct delayed_work *dwork)")
def flush_delayed_work(machine: Machine, work: int) -> int:
    if machine.scheduler.disarm(work):
        machine.ledger.give(_DELAYED, work)
        _mark(machine, work, pending=False)
        queue_work(machine, 0, work)
    return flush_work(machine, work) or 0


@function(
    "void __flush_workqueue(struct workqueue_struct *wq)",
    "void flush_workqueue(struct workqueue_struct *wq)",
    "void drain_workqueue(struct workqueue_struct *wq)",
)
def flush_workqueue(machine: Machine, queue: int) -> int:
    return machine.tasks.wait(flush(machine, lambda each: each.queue == queue))


@function("void flush_scheduled_work(void)")
def flush_scheduled_work(machine: Machine) -> int:
    return machine.tasks.wait(flush(machine, lambda each: bool(each.queue)))


@function("unsigned int work_busy(struct work_struct *work)")
def work_busy(machine: Machine, work: int) -> int:
    is_running = any(each.address == work and each.task.call for each in _works(machine))
    return int(_is_pending(machine, work)) | int(is_running) << 1


machine_code(
    RETURN,
    """
    void delayed_work_timer_fn(struct timer_list *t)
    void workqueue_set_max_active(struct workqueue_struct *wq, int max_active)
    """,
)
machine_code(
    RETURN_ZERO,
    """
    struct work_struct *current_work(void)
    bool workqueue_congested(int cpu, struct workqueue_struct *wq)
    """,
)


@function("void tasklet_setup(struct tasklet_struct *t, void (*callback)(struct tasklet_struct *))")
def tasklet_setup(machine: Machine, tasklet: int, callback: int) -> None:
    machine.memory.write(tasklet, bytes(TASKLET.size))
    machine.memory.put(tasklet + TASKLET.takes_itself, 1, 1)
    machine.memory.put(tasklet + TASKLET.function, callback)


@function(
    "void tasklet_init(struct tasklet_struct *t, void (*func)(unsigned long), unsigned long data)"
)
def tasklet_init(machine: Machine, tasklet: int, code: int, data: int) -> None:
    machine.memory.write(tasklet, bytes(TASKLET.size))
    machine.memory.put(tasklet + TASKLET.function, code)
    machine.memory.put(tasklet + TASKLET.data, data)


@function(
    "void __tasklet_schedule(struct tasklet_struct *t)",
    "void __tasklet_hi_schedule(struct tasklet_struct *t)",
)
def tasklet_schedule(machine: Machine, tasklet: int) -> None:
    """The caller has marked it as scheduled."""
    memory = machine.memory
    if machine.scheduler.is_armed(tasklet):
        return

    def fire() -> None:
        if memory.number(tasklet + TASKLET.count, 4):
            # It is disabled, and looked at again until it is not.
            machine.scheduler.arm(tasklet, machine.clock.ticks + 1, module, fire)
            return
        machine.ledger.give(_TASKLET, tasklet)
        state = memory.number(tasklet + TASKLET.state)
        memory.put(tasklet + TASKLET.state, state & ~_PENDING)
        takes_itself = memory.number(tasklet + TASKLET.takes_itself, 1)
        data = tasklet if takes_itself else memory.number(tasklet + TASKLET.data)
        with interrupting(machine, SOFT):
            machine.invoke(memory.number(tasklet + TASKLET.function), data)

    machine.ledger.take(_TASKLET, tasklet, "a tasklet that is still scheduled")
    taken = machine.ledger.find(_TASKLET, tasklet)
    module = taken.module if taken else ""
    machine.scheduler.arm(tasklet, machine.clock.ticks, module, fire)


@reclaims(_TASKLET)
def forget_tasklet(machine: Machine, tasklet: int) -> None:
    """Forget a tasklet of a module that is gone."""
    machine.scheduler.disarm(tasklet)


@function("void tasklet_kill(struct tasklet_struct *t)")
def tasklet_kill(machine: Machine, tasklet: int) -> int:
    return machine.tasks.wait(
        lambda: None if machine.scheduler.is_armed(tasklet) else 0, machine.clock.ticks + 1
    )
