# SPDX-License-Identifier: Apache-2.0
"""Completions, wait queues, giving way, callbacks of RCU (kernel/sched, kernel/rcu)."""

from collections.abc import Callable, Iterator

from kmodd.kernel.emulated.abi.function_table import RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.abi.structures import COMPLETION, LIST_HEAD, TASK, WAIT_ENTRY, WAIT_QUEUE
from kmodd.kernel.emulated.hardware.memory import BadAddress
from kmodd.kernel.emulated.machine.clock import HZ
from kmodd.kernel.emulated.machine.machine import Machine

_ALL = 0xFFFFFFFF
_FOREVER = (1 << 63) - 1
_INTERRUPTIBLE, _UNINTERRUPTIBLE, _NORMAL, _KILLABLE = 1, 2, 3, 0x102
_EXCLUSIVE, _WOKEN = 1, 2
_WAITERS_MAX = 10_000
_SIGNAL_PENDING = 1 << 2
INTERRUPTED = -512
"""What a wait returns that a signal has ended (ERESTARTSYS): whoever waits in such states."""
_SIGNALLED_STATES = 0x101

# lea rax, [rdi+8]; mov [rdi+8], rax; mov [rdi+16], rax; ret
_EMPTY_LIST = bytes.fromhex("488d47084889470848894710c3")

machine_code(
    _EMPTY_LIST,
    """
    void __init_waitqueue_head(struct wait_queue_head *wq_head, const char *name, struct lock_class_key *key)
    void __init_swait_queue_head(struct swait_queue_head *q, const char *name, struct lock_class_key *key)
    """,
)


def current(machine: Machine) -> int:
    """Return the ``struct task_struct`` of what is running."""
    return machine.memory.number(machine.kernel_symbols.current_at)


def wake(machine: Machine, struct: int, mode: int = _NORMAL) -> bool:
    """Let a task go on that waits to be woken; tell whether it did.

    ``mode`` are the states of tasks that are meant.
    """
    waits = machine.memory.number(struct + TASK.state, 4) & mode != 0
    if waits:
        machine.memory.put(struct + TASK.state, 0, 4)
    return waits


def signal_pending(machine: Machine, task: int = 0) -> bool:
    """Tell whether a signal has come for a task, or what is running: it is to be ended."""
    return _has_signal(machine, task or current(machine))


def _has_signal(machine: Machine, struct: int) -> bool:
    return bool(machine.memory.number(struct + TASK.flags) & _SIGNAL_PENDING)


def _heed_signal(machine: Machine) -> None:
    """Have who waits in a state that a signal ends not begin to, where one has come."""
    at = current(machine) + TASK.state
    if machine.memory.number(at, 4) & _SIGNALLED_STATES and signal_pending(machine):
        machine.memory.put(at, 0, 4)


def _set_state(machine: Machine, state: int) -> None:
    machine.memory.put(current(machine) + TASK.state, state, 4)


@function("void schedule(void)", "void io_schedule(void)")
def schedule(machine: Machine) -> int:
    """Wait to be woken, where the caller has said that it waits; else others get their turn."""
    struct = current(machine)
    _heed_signal(machine)
    if not machine.memory.number(struct + TASK.state, 4):
        return machine.tasks.sleep(1 / HZ)
    return machine.tasks.wait(lambda: None if machine.memory.number(struct + TASK.state, 4) else 0)


def _time_out(machine: Machine, ticks: int, done: Callable[[], None] = lambda: None) -> int:
    """Wait to be woken, but no longer than that; ``done`` is called when that is over."""
    struct, memory = current(machine), machine.memory
    _heed_signal(machine)
    if not memory.number(struct + TASK.state, 4):
        machine.scheduler.yield_()
        machine.clock.advance(1)
        return max(ticks - 1, 0)
    due = None if ticks >= _FOREVER else machine.clock.ticks + max(ticks, 0)

    def ready() -> int | None:
        if not memory.number(struct + TASK.state, 4):
            done()
            return ticks if due is None else max(due - machine.clock.ticks, 0)
        if due is not None and machine.clock.ticks >= due:
            memory.put(struct + TASK.state, 0, 4)
            done()
            return 0
        return None

    return machine.tasks.wait(ready, due)


@function("long schedule_timeout(long timeout)", "long io_schedule_timeout(long timeout)")
def schedule_timeout(machine: Machine, ticks: int) -> int:
    return _time_out(machine, ticks)


@function("long schedule_timeout_interruptible(long timeout)")
def schedule_timeout_interruptible(machine: Machine, ticks: int) -> int:
    _set_state(machine, _INTERRUPTIBLE)
    return _time_out(machine, ticks)


@function("long schedule_timeout_killable(long timeout)")
def schedule_timeout_killable(machine: Machine, ticks: int) -> int:
    _set_state(machine, _KILLABLE)
    return _time_out(machine, ticks)


@function("long schedule_timeout_uninterruptible(long timeout)")
def schedule_timeout_uninterruptible(machine: Machine, ticks: int) -> int:
    _set_state(machine, _UNINTERRUPTIBLE)
    return _time_out(machine, ticks)


@function("void yield(void)")
def give_way(machine: Machine) -> int:
    return machine.tasks.sleep(1 / HZ)


@function("void complete(struct completion *x)")
def complete(machine: Machine, completion: int) -> None:
    at = completion + COMPLETION.done
    machine.memory.put(at, min(machine.memory.number(at, 4) + 1, _ALL), 4)


@function("void complete_all(struct completion *x)")
def complete_all(machine: Machine, completion: int) -> None:
    machine.memory.put(completion + COMPLETION.done, _ALL, 4)


def _take_one(machine: Machine, completion: int) -> bool:
    at = completion + COMPLETION.done
    done = machine.memory.number(at, 4)
    if done and done != _ALL:
        machine.memory.put(at, done - 1, 4)
    return bool(done)


@function(
    "void wait_for_completion(struct completion *x)",
    "void wait_for_completion_io(struct completion *x)",
)
def wait_for_completion(machine: Machine, completion: int) -> int:
    return machine.tasks.wait(lambda: 0 if _take_one(machine, completion) else None)


@function(
    "int wait_for_completion_interruptible(struct completion *x)",
    "int wait_for_completion_killable(struct completion *x)",
)
def wait_for_completion_interruptible(machine: Machine, completion: int) -> int:
    struct = current(machine)

    def ready() -> int | None:
        if _take_one(machine, completion):
            return 0
        return INTERRUPTED if _has_signal(machine, struct) else None

    return machine.tasks.wait(ready)


@function(
    "unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout)",
    "unsigned long wait_for_completion_io_timeout(struct completion *x, unsigned long timeout)",
)
def wait_for_completion_timeout(machine: Machine, completion: int, ticks: int) -> int:
    return _wait_some_time(machine, completion, ticks, lambda: False)


@function(
    "long wait_for_completion_interruptible_timeout(struct completion *x, unsigned long timeout)",
    "long wait_for_completion_killable_timeout(struct completion *x, unsigned long timeout)",
)
def wait_for_completion_interruptible_timeout(machine: Machine, completion: int, ticks: int) -> int:
    struct = current(machine)
    return _wait_some_time(machine, completion, ticks, lambda: _has_signal(machine, struct))


def _wait_some_time(
    machine: Machine, completion: int, ticks: int, is_interrupted: Callable[[], bool]
) -> int:
    """Wait no longer than that; returns how many ticks are left, 0 where it was in vain."""
    due = machine.clock.ticks + min(ticks, _FOREVER)

    def ready() -> int | None:
        if _take_one(machine, completion):
            return max(due - machine.clock.ticks, 1)
        if is_interrupted():
            return INTERRUPTED
        return 0 if machine.clock.ticks >= due else None

    return machine.tasks.wait(ready, due if ticks < _FOREVER else None)


@function("bool try_wait_for_completion(struct completion *x)")
def try_wait_for_completion(machine: Machine, completion: int) -> int:
    return int(_take_one(machine, completion))


@function("bool completion_done(struct completion *x)")
def completion_done(machine: Machine, completion: int) -> int:
    return int(machine.memory.number(completion + COMPLETION.done, 4) != 0)


def _is_queued(machine: Machine, entry: int) -> bool:
    link = machine.memory.number(entry + WAIT_ENTRY.link)
    return link not in (0, entry + WAIT_ENTRY.link)


def _make_empty(machine: Machine, head: int) -> None:
    """Make a list with nothing in it, or an entry that is in none."""
    machine.memory.put(head + LIST_HEAD.next, head)
    machine.memory.put(head + LIST_HEAD.previous, head)


def _enqueue(machine: Machine, head: int, entry: int, *, last: bool = False) -> None:
    memory, link, queue = machine.memory, entry + WAIT_ENTRY.link, head + WAIT_QUEUE.entries
    before = memory.number(queue + LIST_HEAD.previous) if last else queue
    after = memory.number(before + LIST_HEAD.next)
    if not before or not after:
        # Memory that nobody has made a queue of: it is one now.
        before = after = queue
        _make_empty(machine, queue)
    memory.put(link + LIST_HEAD.next, after)
    memory.put(link + LIST_HEAD.previous, before)
    memory.put(before + LIST_HEAD.next, link)
    memory.put(after + LIST_HEAD.previous, link)


def _dequeue(machine: Machine, entry: int) -> None:
    memory, link = machine.memory, entry + WAIT_ENTRY.link
    if not _is_queued(machine, entry):
        return
    after = memory.number(link + LIST_HEAD.next)
    before = memory.number(link + LIST_HEAD.previous)
    memory.put(before + LIST_HEAD.next, after)
    memory.put(after + LIST_HEAD.previous, before)
    _make_empty(machine, link)


@function("void init_wait_entry(struct wait_queue_entry *wq_entry, int flags)")
def init_wait_entry(machine: Machine, entry: int, flags: int) -> None:
    memory = machine.memory
    memory.put(entry + WAIT_ENTRY.flags, flags, 4)
    memory.put(entry + WAIT_ENTRY.task, current(machine))
    memory.put(
        entry + WAIT_ENTRY.function, machine.kernel_symbols.address("autoremove_wake_function")
    )
    _make_empty(machine, entry + WAIT_ENTRY.link)


@function(
    "void prepare_to_wait(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry, int state)",
)
def prepare_to_wait(machine: Machine, head: int, entry: int, state: int) -> None:
    _set_exclusive(machine, entry, exclusive=False)
    _prepare(machine, head, entry, state)


def _prepare(machine: Machine, head: int, entry: int, state: int) -> None:
    if not _is_queued(machine, entry):
        exclusive = machine.memory.number(entry + WAIT_ENTRY.flags, 4) & _EXCLUSIVE
        _enqueue(machine, head, entry, last=bool(exclusive))
    _set_state(machine, state)


@function(
    "long prepare_to_wait_event(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry, int state)",
)
def prepare_to_wait_event(machine: Machine, head: int, entry: int, state: int) -> int:
    if state & _SIGNALLED_STATES and signal_pending(machine):
        _dequeue(machine, entry)
        return INTERRUPTED
    _prepare(machine, head, entry, state)
    return 0


@function(
    "bool prepare_to_wait_exclusive(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry, int state)",
)
def prepare_to_wait_exclusive(machine: Machine, head: int, entry: int, state: int) -> int:
    """Tell whether nobody was waiting."""
    is_first = next(_entries(machine, head), None) is None
    _set_exclusive(machine, entry, exclusive=True)
    _prepare(machine, head, entry, state)
    return int(is_first)


def _set_exclusive(machine: Machine, entry: int, *, exclusive: bool) -> None:
    at = entry + WAIT_ENTRY.flags
    flags = machine.memory.number(at, 4) & ~_EXCLUSIVE
    machine.memory.put(at, flags | _EXCLUSIVE if exclusive else flags, 4)


@function("void finish_wait(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry)")
def finish_wait(machine: Machine, _head: int, entry: int) -> None:
    _set_state(machine, 0)
    _dequeue(machine, entry)


@function("void add_wait_queue(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry)")
def add_wait_queue(machine: Machine, head: int, entry: int) -> None:
    _set_exclusive(machine, entry, exclusive=False)
    _enqueue(machine, head, entry)


@function(
    "void add_wait_queue_exclusive(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry)"
)
def add_wait_queue_exclusive(machine: Machine, head: int, entry: int) -> None:
    _set_exclusive(machine, entry, exclusive=True)
    _enqueue(machine, head, entry, last=True)


@function(
    "void remove_wait_queue(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry)"
)
def remove_wait_queue(machine: Machine, _head: int, entry: int) -> None:
    _dequeue(machine, entry)


def _entries(machine: Machine, head: int) -> Iterator[int]:
    """Yield the entries of a queue, which may go meanwhile."""
    try:
        queue = head + WAIT_QUEUE.entries
        link = machine.memory.number(queue + LIST_HEAD.next)
        for _ in range(_WAITERS_MAX):
            if link in (0, queue):
                return
            after = machine.memory.number(link + LIST_HEAD.next)
            yield link - WAIT_ENTRY.link
            link = after
    except BadAddress:
        # A head that is in nothing but zeros, in an object that is not modelled.
        return


@function(
    "int __wake_up(struct wait_queue_head *wq_head, unsigned int mode, int nr_exclusive, void *key)"
)
def wake_up(machine: Machine, head: int, mode: int, most: int, key: int) -> None:
    """Wake who waits, but of those that want to be alone only so many; 0 for all of them."""
    for entry in _entries(machine, head):
        is_exclusive = machine.memory.number(entry + WAIT_ENTRY.flags, 4) & _EXCLUSIVE
        woken = _wake_entry(machine, entry, mode, key)
        most -= bool(woken and is_exclusive)
        if woken < 0 or (woken and is_exclusive and not most):
            return


@function(
    "void __wake_up_locked(struct wait_queue_head *wq_head, unsigned int mode, int nr)",
)
def wake_up_locked(machine: Machine, head: int, mode: int, most: int) -> None:
    wake_up(machine, head, mode, most, 0)


@function(
    "void __wake_up_sync(struct wait_queue_head *wq_head, unsigned int mode)",
    "void __wake_up_sync_key(struct wait_queue_head *wq_head, unsigned int mode, void *key)",
    "void __wake_up_locked_key(struct wait_queue_head *wq_head, unsigned int mode, void *key)",
)
def wake_up_one(machine: Machine, head: int, mode: int, key: int = 0) -> None:
    wake_up(machine, head, mode, 1, key)


def _wake_entry(machine: Machine, entry: int, mode: int, key: int) -> int:
    code = machine.memory.number(entry + WAIT_ENTRY.function)
    name = machine.kernel_symbols.name(code)
    if not name and machine.images.at(code) is not None:
        return machine.call(code, entry, mode, 0, key)
    return _WAKERS.get(name, default_wake)(machine, entry, mode) or 0


@function(
    "int default_wake_function(wait_queue_entry_t *wq_entry, unsigned int mode, int flags, void *key)"
)
def default_wake(machine: Machine, entry: int, mode: int, *_rest: int) -> int:
    struct = machine.memory.number(entry + WAIT_ENTRY.task)
    return int(wake(machine, struct, mode)) if struct else 0


@function(
    "int autoremove_wake_function(struct wait_queue_entry *wq_entry, unsigned int mode, int sync, void *key)"
)
def autoremove_wake(machine: Machine, entry: int, mode: int, *_rest: int) -> int:
    """Who is woken waits no more."""
    woken = default_wake(machine, entry, mode) or 0
    if woken:
        _dequeue(machine, entry)
    return woken


@function(
    "int woken_wake_function(struct wait_queue_entry *wq_entry, unsigned int mode, int sync, void *key)"
)
def woken_wake(machine: Machine, entry: int, mode: int, *_rest: int) -> int:
    """What has happened is noted for who does not wait yet."""
    at = entry + WAIT_ENTRY.flags
    machine.memory.put(at, machine.memory.number(at, 4) | _WOKEN, 4)
    return default_wake(machine, entry, mode) or 0


_WAKERS = {"autoremove_wake_function": autoremove_wake, "woken_wake_function": woken_wake}


@function("long wait_woken(struct wait_queue_entry *wq_entry, unsigned int mode, long timeout)")
def wait_woken(machine: Machine, entry: int, mode: int, ticks: int) -> int:
    memory, at = machine.memory, entry + WAIT_ENTRY.flags
    if memory.number(at, 4) & _WOKEN:
        memory.put(at, memory.number(at, 4) & ~_WOKEN, 4)
        return ticks
    _set_state(machine, mode)

    def forget() -> None:
        memory.put(at, memory.number(at, 4) & ~_WOKEN, 4)

    return _time_out(machine, ticks, forget)


@function("void call_rcu(struct rcu_head *head, rcu_callback_t func)")
def call_rcu(machine: Machine, head: int, callback: int) -> None:
    machine.deferred.add(lambda: _run_callback(machine, callback, head))


@function("void call_srcu(struct srcu_struct *ssp, struct rcu_head *head, rcu_callback_t func)")
def call_srcu(machine: Machine, _srcu: int, head: int, callback: int) -> None:
    machine.deferred.add(lambda: _run_callback(machine, callback, head))


def _run_callback(machine: Machine, callback: int, head: int) -> None:
    machine.invoke(callback, head)


@function("void rcu_barrier(void)", "void srcu_barrier(struct srcu_struct *ssp)")
def rcu_barrier(machine: Machine, *_srcu: int) -> None:
    machine.deferred.run()


machine_code(
    RETURN_ZERO,
    """
    void wake_up_bit(void *word, int bit)
    void wake_up_var(void *var)
    """,
)
