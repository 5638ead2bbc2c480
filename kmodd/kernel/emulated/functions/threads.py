# SPDX-License-Identifier: Apache-2.0
"""Kernel threads, and the workers that some of them are (kernel/kthread.c).

A thread is on its module's account until its function has returned.
"""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ZERO,
    function,
    machine_code,
    reclaims,
)
from kmodd.kernel.emulated.abi.printf import Arguments, format_text
from kmodd.kernel.emulated.abi.structures import (
    MODULE,
    TASK,
    THREAD_WORK,
    THREAD_WORKER,
)
from kmodd.kernel.emulated.functions.sync import complete, current, wake
from kmodd.kernel.emulated.functions.variadic import formatted
from kmodd.kernel.emulated.functions.workqueues import cancel, flush, queue_work
from kmodd.kernel.emulated.machine import crash
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.scheduler import Exited, Task

_THREAD = "thread"
_WORKER = "worker thread"
_FIRST_PID = 100


@dataclass(slots=True)
class Thread:
    """A thread. ``task`` is None before it was woken for the first time."""

    function: int
    data: int
    task: Task | None = None
    should_stop: bool = False
    is_over: bool = False
    result: int = 0


@dataclass(slots=True)
class Threads:
    """All threads by the address of their ``struct task_struct``."""

    known: dict[int, Thread] = field(default_factory=dict)
    last_pid: int = _FIRST_PID


def _threads(machine: Machine) -> Threads:
    return machine.state(Threads)


def new_task(machine: Machine, name: bytes) -> int:
    """Return a ``struct task_struct`` with a number of its own."""
    threads = _threads(machine)
    threads.last_pid += 1
    return machine.kernel_symbols.make_task(name, threads.last_pid)


def _make(machine: Machine, code: int, data: int, name: bytes) -> int:
    struct = new_task(machine, name)
    _threads(machine).known[struct] = Thread(code, data)
    machine.ledger.take(_THREAD, struct, f"thread '{name.decode('utf-8', 'replace')}'")
    return struct


@reclaims(_THREAD)
def forget_thread(machine: Machine, struct: int) -> None:
    """End a thread of a module that is gone."""
    thread = _threads(machine).known.pop(struct)
    if thread.task is not None:
        machine.tasks.end_task(thread.task)
    machine.heap.free(struct)


@function(
    "struct task_struct *kthread_create_on_node(int (*threadfn)(void *data), void *data, int node,"
    " const char *namefmt, ...)"
)
def kthread_create(machine: Machine, code: int, data: int, _node: int, template: int) -> int:
    return _make(machine, code, data, formatted(machine, template, 4))


@function(
    "struct task_struct *kthread_create_on_cpu(int (*threadfn)(void *data), void *data, unsigned"
    " int cpu, const char *namefmt)",
)
def kthread_create_on_cpu(machine: Machine, code: int, data: int, cpu: int, template: int) -> int:
    name = machine.memory.string(template, 64).replace(b"%u", b"%d" % cpu)
    return _make(machine, code, data, name)


@function("int wake_up_process(struct task_struct *tsk)")
def wake_up_process(machine: Machine, struct: int) -> int:
    """A thread that is woken for the first time begins."""
    thread = _threads(machine).known.get(struct)
    if thread is not None and thread.is_over:
        return 0
    if thread is None or thread.task is not None:
        return int(wake(machine, struct))
    entry = machine.ledger.find(_THREAD, struct)

    def end(result: int | None) -> None:
        thread.is_over, thread.result = True, (result or 0) & 0xFFFFFFFF
        machine.ledger.give(_THREAD, struct)
        machine.heap.free(struct)

    module = entry.module if entry else ""
    thread.task = Task(thread.function, thread.data, module, end, current=struct)
    machine.scheduler.add(thread.task)
    return 1


@function("void kthread_unpark(struct task_struct *k)")
def kthread_unpark(machine: Machine, struct: int) -> None:
    wake_up_process(machine, struct)


@function("int kthread_stop(struct task_struct *k)")
def kthread_stop(machine: Machine, struct: int) -> int:
    thread = _threads(machine).known.get(struct)
    if thread is None:
        # Nor is there a task where no memory is.
        machine.memory.number(struct + TASK.state, 4)
        return 0
    if thread.task is None:
        # Its function is never called at all.
        machine.ledger.give(_THREAD, struct)
        del _threads(machine).known[struct]
        machine.heap.free(struct)
        return -errno.EINTR
    thread.should_stop = True
    if not thread.is_over:
        wake(machine, struct)
    return machine.tasks.wait(lambda: thread.result if thread.is_over else None)


def _current(machine: Machine) -> Thread | None:
    return _threads(machine).known.get(current(machine))


@function("bool kthread_should_stop(void)", "bool kthread_freezable_should_stop(bool *was_frozen)")
def kthread_should_stop(machine: Machine, *_frozen: int) -> int:
    thread = _current(machine)
    return int(thread is not None and thread.should_stop)


def _exit(machine: Machine, code: int) -> None:
    if machine.calls.now.task is None:
        why = "kmodd: a thread's end outside of any thread"
        raise crash.out_of_place(why, machine.faults.scene(machine.calls.caller))
    raise Exited(code)


@function("void kthread_exit(long result)")
def kthread_exit(machine: Machine, code: int) -> None:
    _exit(machine, code)


@function("void kthread_complete_and_exit(struct completion *comp, long code)")
def kthread_complete_and_exit(machine: Machine, completion: int, code: int) -> None:
    if completion:
        complete(machine, completion)
    _exit(machine, code)


@function("void __module_put_and_kthread_exit(struct module *mod, long code)")
def module_put_and_kthread_exit(machine: Machine, module: int, code: int) -> None:
    machine.services.release(machine.memory.text(module + MODULE.name, MODULE.name_size))
    _exit(machine, code)


@function(
    "struct kthread_worker *kthread_create_worker(unsigned int flags, const char namefmt[], ...)"
    " until 6.13"
)
def kthread_create_worker(machine: Machine, _flags: int, template: int) -> int:
    return _make_worker(machine, formatted(machine, template, 2))


@function(
    "struct kthread_worker *kthread_create_worker_on_cpu(int cpu, unsigned int flags, const char"
    " namefmt[], ...)"
)
def kthread_create_worker_on_cpu(machine: Machine, _cpu: int, _flags: int, template: int) -> int:
    return _make_worker(machine, formatted(machine, template, 3))


@function(
    "struct kthread_worker *kthread_create_worker_on_cpu(int cpu, unsigned int flags, const char"
    " namefmt[])"
)
def kthread_create_named_worker(machine: Machine, cpu: int, _flags: int, template: int) -> int:
    """The only thing that the name is made of is the processor."""
    named = Arguments(iter((cpu,)))
    return _make_worker(machine, format_text(machine, machine.memory.string(template), named))


@function(
    "struct kthread_worker *kthread_create_worker_on_node(unsigned int flags, int node, const char"
    " namefmt[], ...)"
)
def kthread_create_worker_on_node(machine: Machine, _flags: int, _node: int, template: int) -> int:
    return _make_worker(machine, formatted(machine, template, 3))


def _make_worker(machine: Machine, name: bytes) -> int:
    worker = machine.heap.allocate(64)
    task = new_task(machine, name)
    machine.memory.put(worker + THREAD_WORKER.task, task)
    shown = name.decode("utf-8", "replace")
    machine.ledger.take(_WORKER, worker, f"thread '{shown}'")
    return worker


@function("void kthread_destroy_worker(struct kthread_worker *worker)")
def kthread_destroy_worker(machine: Machine, worker: int) -> int:
    done = flush(machine, lambda each: each.queue == worker)

    def ready() -> int | None:
        if done() is not None and machine.ledger.give(_WORKER, worker) is not None:
            machine.heap.free(machine.memory.number(worker + THREAD_WORKER.task))
            machine.heap.free(worker)
        return done()

    return machine.tasks.wait(ready)


@reclaims(_WORKER)
def forget_worker(machine: Machine, worker: int) -> None:
    """End a worker of a module that is gone."""
    machine.heap.free(machine.memory.number(worker + THREAD_WORKER.task))
    machine.heap.free(worker)


@function("bool kthread_queue_work(struct kthread_worker *worker, struct kthread_work *work)")
def kthread_queue_work(machine: Machine, worker: int, work: int) -> int:
    return queue_work(machine, worker, work, function_at=THREAD_WORK.function, is_marked=False)


@function("void kthread_flush_work(struct kthread_work *work)")
def kthread_flush_work(machine: Machine, work: int) -> int:
    return machine.tasks.wait(flush(machine, lambda each: each.address == work))


@function("void kthread_flush_worker(struct kthread_worker *worker)")
def kthread_flush_worker(machine: Machine, worker: int) -> int:
    return machine.tasks.wait(flush(machine, lambda each: each.queue == worker))


@function("bool kthread_cancel_work_sync(struct kthread_work *work)")
def kthread_cancel_work_sync(machine: Machine, work: int) -> int:
    was_pending = int(cancel(machine, work, is_marked=False))
    return machine.tasks.wait(flush(machine, lambda each: each.address == work, was_pending))


machine_code(
    RETURN_ZERO,
    """
    bool kthread_should_park(void)
    int kthread_park(struct task_struct *k)
    int set_cpus_allowed_ptr(struct task_struct *p, const struct cpumask *new_mask)
    """,
)
machine_code(
    RETURN,
    """
    void kthread_bind(struct task_struct *k, unsigned int cpu)
    void kthread_parkme(void)
    void kthread_delayed_work_timer_fn(struct timer_list *t)
    void __kthread_init_worker(struct kthread_worker *worker, const char *name, struct lock_class_key *key)
    void set_user_nice(struct task_struct *p, long nice)
    void sched_set_fifo(struct task_struct *p)
    void sched_set_fifo_low(struct task_struct *p)
    void sched_set_normal(struct task_struct *p, int nice)
    """,
)
