# SPDX-License-Identifier: Apache-2.0
"""Work, completions, waiting, threads (kernel/workqueue.c, kernel/sched, kernel/kthread.c).

Work is done when the function that has queued it has returned, or when somebody waits for it.
Threads are made and never run: the machine has one flow of control.
"""

from kmodd.kernel.emulated.api.structures import WORK
from kmodd.kernel.emulated.api.table import (
    RETURN,
    RETURN_ONE,
    RETURN_ZERO,
    function,
    machine_code,
    reclaims,
)
from kmodd.kernel.emulated.cpu.machine import Machine

_QUEUE = "workqueue"
_WORK = "delayed work"
_THREAD = "thread"
_WORKER = "worker thread"
_TASK_SIZE, _WORKER_TASK = 16 << 10, 40


@function(
    "struct workqueue_struct *alloc_workqueue(const char *fmt, unsigned int flags, int max_active, ...)"
)
def alloc_workqueue(machine: Machine, template: int, _flags: int, _active: int) -> int:
    name = machine.format(template, 3).decode("utf-8", "surrogateescape")
    queue = machine.heap.allocate(512)
    machine.ledger.take(_QUEUE, queue, f"workqueue '{name}'")
    return queue


@function("void destroy_workqueue(struct workqueue_struct *wq)")
def destroy_workqueue(machine: Machine, queue: int) -> None:
    machine.run_pending()
    if machine.ledger.give(_QUEUE, queue) is not None:
        machine.heap.free(queue)


@reclaims(_WORK)
def forget_work(machine: Machine, work: int) -> None:
    """Forget work of a module that is gone."""
    machine.state.get(_WORK, {}).pop(work, None)


@function("bool queue_work_on(int cpu, struct workqueue_struct *wq, struct work_struct *work)")
def queue_work_on(machine: Machine, _cpu: int, _queue: int, work: int) -> int:
    queued = machine.state.setdefault(_WORK, {})
    if work in queued:
        return 0
    queued[work] = 1

    def run() -> None:
        if queued.pop(work, None):
            machine.invoke(machine.memory.number(work + WORK.function), work)

    machine.later(run)
    return 1


@function(
    "bool queue_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork,"
    " unsigned long delay)",
    "bool mod_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork,"
    " unsigned long delay)",
)
def queue_delayed_work_on(machine: Machine, cpu: int, queue: int, work: int, delay: int) -> int:
    if not delay:
        return queue_work_on(machine, cpu, queue, work) or 0
    if machine.ledger.find(_WORK, work) is None:
        machine.ledger.take(_WORK, work, "delayed work that is still due")
    return 1


@function(
    "bool cancel_work_sync(struct work_struct *work)",
    "bool cancel_work(struct work_struct *work)",
    "bool cancel_delayed_work(struct delayed_work *dwork)",
    "bool cancel_delayed_work_sync(struct delayed_work *dwork)",
)
def cancel_work(machine: Machine, work: int) -> int:
    due = machine.ledger.give(_WORK, work) is not None
    queued = machine.state.get(_WORK, {}).pop(work, None) is not None
    return int(due or queued)


@function("bool flush_delayed_work(struct delayed_work *dwork)")
def flush_delayed_work(machine: Machine, work: int) -> int:
    if machine.ledger.give(_WORK, work) is None:
        machine.run_pending()
        return 0
    machine.invoke(machine.memory.number(work + WORK.function), work)
    return 1


@function(
    "bool flush_work(struct work_struct *work)",
    "void __flush_workqueue(struct workqueue_struct *wq)",
    "void flush_workqueue(struct workqueue_struct *wq)",
    "void drain_workqueue(struct workqueue_struct *wq)",
    "void flush_scheduled_work(void)",
)
def flush_work(machine: Machine, *_work: int) -> int:
    machine.run_pending()
    return 0


@function("void call_rcu(struct rcu_head *head, rcu_callback_t func)")
def call_rcu(machine: Machine, head: int, callback: int) -> None:
    machine.later(lambda: _run_callback(machine, callback, head))


@function("void call_srcu(struct srcu_struct *ssp, struct rcu_head *head, rcu_callback_t func)")
def call_srcu(machine: Machine, _srcu: int, head: int, callback: int) -> None:
    machine.later(lambda: _run_callback(machine, callback, head))


def _run_callback(machine: Machine, callback: int, head: int) -> None:
    machine.invoke(callback, head)


@function("void complete(struct completion *x)")
def complete(machine: Machine, completion: int) -> None:
    machine.memory.put(completion, machine.memory.number(completion, 4) + 1, 4)


@function("void complete_all(struct completion *x)")
def complete_all(machine: Machine, completion: int) -> None:
    machine.memory.put(completion, 0x7FFFFFFF, 4)


@function(
    "void wait_for_completion(struct completion *x)",
    "int wait_for_completion_interruptible(struct completion *x)",
    "int wait_for_completion_killable(struct completion *x)",
    "unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout)",
    "long wait_for_completion_interruptible_timeout(struct completion *x, unsigned long timeout)",
    "long wait_for_completion_killable_timeout(struct completion *x, unsigned long timeout)",
)
def wait_for_completion(machine: Machine, completion: int, *timeout: int) -> int:
    machine.run_pending()
    done = machine.memory.number(completion, 4)
    if done and done != 0x7FFFFFFF:
        machine.memory.put(completion, done - 1, 4)
    if timeout:
        return max(timeout[0], 1) if done else 0
    return 0


@function("bool try_wait_for_completion(struct completion *x)")
def try_wait_for_completion(machine: Machine, completion: int) -> int:
    done = machine.memory.number(completion, 4)
    if done and done != 0x7FFFFFFF:
        machine.memory.put(completion, done - 1, 4)
    return int(done > 0)


@function(
    "struct task_struct *kthread_create_on_node(int (*threadfn)(void *data), void *data, int node,"
    " const char *namefmt, ...)"
)
def kthread_create(machine: Machine, _work: int, _data: int, _node: int, template: int) -> int:
    return _thread(machine, machine.format(template, 4))


@function(
    "struct task_struct *kthread_create_on_cpu(int (*threadfn)(void *data), void *data, unsigned"
    " int cpu, const char *namefmt)",
)
def kthread_create_on_cpu(
    machine: Machine, _work: int, _data: int, _cpu: int, template: int
) -> int:
    return _thread(machine, machine.memory.string(template, 64))


@function(
    "struct kthread_worker *kthread_create_worker(unsigned int flags, const char namefmt[], ...)"
)
def kthread_create_worker(machine: Machine, _flags: int, template: int) -> int:
    worker = machine.heap.allocate(64)
    task = machine.heap.allocate(_TASK_SIZE)
    machine.memory.put(worker + _WORKER_TASK, task)
    name = machine.format(template, 2).decode("utf-8", "replace")
    machine.ledger.take(_WORKER, worker, f"thread '{name}'")
    return worker


@function("void kthread_destroy_worker(struct kthread_worker *worker)")
def kthread_destroy_worker(machine: Machine, worker: int) -> None:
    if machine.ledger.give(_WORKER, worker) is not None:
        machine.heap.free(machine.memory.number(worker + _WORKER_TASK))
        machine.heap.free(worker)


def _thread(machine: Machine, name: bytes) -> int:
    task = machine.heap.allocate(_TASK_SIZE)
    machine.ledger.take(_THREAD, task, f"thread '{name.decode('utf-8', 'replace')}'")
    return task


@function("int kthread_stop(struct task_struct *k)")
def kthread_stop(machine: Machine, task: int) -> int:
    if machine.ledger.give(_THREAD, task) is not None:
        machine.heap.free(task)
    return 0


machine_code(
    RETURN_ZERO,
    """
    bool kthread_should_park(void)
    int kthread_park(struct task_struct *k)
    int default_wake_function(wait_queue_entry_t *wq_entry, unsigned int mode, int flags, void *key)
    int autoremove_wake_function(struct wait_queue_entry *wq_entry, unsigned int mode, int sync, void *key)
    int __wake_up(struct wait_queue_head *wq_head, unsigned int mode, int nr_exclusive, void *key)
    bool queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *rwork)
    bool work_busy(struct work_struct *work)
    int set_cpus_allowed_ptr(struct task_struct *p, const struct cpumask *new_mask)
    long prepare_to_wait_event(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry, int state)
    """,
)

machine_code(
    RETURN_ONE,
    """
    bool kthread_should_stop(void)
    int wake_up_process(struct task_struct *tsk)
    """,
)

machine_code(
    RETURN,
    """
    void kthread_bind(struct task_struct *k, unsigned int cpu)
    void kthread_unpark(struct task_struct *k)
    void set_user_nice(struct task_struct *p, long nice)
    void sched_set_fifo(struct task_struct *p)
    void sched_set_fifo_low(struct task_struct *p)
    void sched_set_normal(struct task_struct *p, int nice)
    void init_wait_entry(struct wait_queue_entry *wq_entry, int flags)
    void delayed_work_timer_fn(struct timer_list *t)
    void kthread_delayed_work_timer_fn(struct timer_list *t)
    void __kthread_init_worker(struct kthread_worker *worker, const char *name, struct lock_class_key *key)
    void kthread_flush_worker(struct kthread_worker *worker)
    void workqueue_set_max_active(struct workqueue_struct *wq, int max_active)
    """,
)
