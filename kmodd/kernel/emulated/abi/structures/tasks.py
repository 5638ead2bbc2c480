# SPDX-License-Identifier: Apache-2.0
"""Tasks, and what they wait for: wait queues, work, timers."""

from typing import Final

from kmodd.kernel.emulated.abi.structures.declaring import (
    Structure,
    at,
    bytes_of,
    enumerator,
    since_6_1,
    whole,
)


class _Task(Structure, of="task_struct"):
    """``struct task_struct``; ``name`` has ``name_size`` bytes with its NUL (TASK_COMM_LEN)"""

    flags: int = at(0, "thread_info.flags")
    state: int = at(24, "__state", "state")
    pid: int = at(2416)
    real_credentials: int = at(2952, "real_cred")
    credentials: int = at(2960, "cred")
    name: int = at(2976, "comm")
    name_spaces: int = at(3064, "nsproxy")
    pending_signals: int = at(3128, "pending.signal")
    name_size: int = bytes_of(16, "comm")


class _HotplugState(Structure, of="cpuhp_state"):
    """``enum cpuhp_state``: which states there are for those who ask for any"""

    prepare: int = enumerator(70, "CPUHP_BP_PREPARE_DYN")
    prepare_end: int = enumerator(90, "CPUHP_BP_PREPARE_DYN_END")
    online: int = enumerator(201, "CPUHP_AP_ONLINE_DYN")
    online_end: int = enumerator(231, "CPUHP_AP_ONLINE_DYN_END")


class _HotVariables(Structure, of="pcpu_hot"):
    """``struct pcpu_hot``, which 6.1 does not have: variables per processor that go together"""

    current_task: int = since_6_1()
    preempt_count: int = since_6_1()


class _NameSpaces(Structure, of="nsproxy"):
    """``struct nsproxy``"""

    uts: int = at(8, "uts_ns")
    net: int = at(40, "net_ns")


class _UtsName(Structure, of="uts_namespace"):
    """``struct uts_namespace``; its strings come first"""

    string_size: int = bytes_of(65, "name.sysname")


class _Credentials(Structure, of="cred"):
    """``struct cred``"""

    usage: int = at(0)
    thread_keyring: int = at(104)


class _WaitQueue(Structure, of="wait_queue_head"):
    """``struct wait_queue_head``"""

    entries: int = at(8, "head")


class _WaitEntry(Structure, of="wait_queue_entry"):
    """``struct wait_queue_entry``"""

    flags: int = at(0)
    task: int = at(8, "private")
    function: int = at(16, "func")
    link: int = at(24, "entry")


class _Completion(Structure, of="completion"):
    """``struct completion``"""

    done: int = at(0)


class _Mutex(Structure, of="mutex"):
    """``struct mutex``"""

    owner: int = at(0)


class _ReadWriteSemaphore(Structure, of="rw_semaphore"):
    """``struct rw_semaphore``"""

    count: int = at(0)


class _Semaphore(Structure, of="semaphore"):
    """``struct semaphore``"""

    count: int = at(4)


class _Work(Structure, of="work_struct"):
    """``struct work_struct``, and ``struct delayed_work``, which has a timer behind it"""

    data: int = at(0)
    function: int = at(24, "func")
    expires: int = at(48, "timer.expires", of="delayed_work")


class _Tasklet(Structure, of="tasklet_struct"):
    """``struct tasklet_struct``; with ``takes_itself`` its function gets it, else its data"""

    state: int = at(8)
    count: int = at(16)
    takes_itself: int = at(20, "use_callback")
    function: int = at(24, "func")
    data: int = at(32)
    size: int = whole(40)


class _ThreadWorker(Structure, of="kthread_worker"):
    """``struct kthread_worker``"""

    task: int = at(40)


class _ThreadWork(Structure, of="kthread_work"):
    """``struct kthread_work``"""

    function: int = at(16, "func")


class _Timer(Structure, of="timer_list"):
    """``struct timer_list``; ``pending`` is not 0 while it is armed"""

    pending: int = at(8, "entry.pprev")
    expires: int = at(16)
    function: int = at(24)
    flags: int = at(32)


class _Hrtimer(Structure, of="hrtimer"):
    """``struct hrtimer``"""

    expires: int = at(24, "node.expires")
    soft_expires: int = at(32, "_softexpires")
    function: int = at(40)
    state: int = at(56, "state", "is_queued")
    is_soft: int = at(58)
    size: int = whole(64)


class _TimeSpec(Structure, of="timespec64"):
    """``struct timespec64``"""

    seconds: int = at(0, "tv_sec")
    nanoseconds: int = at(8, "tv_nsec")


class _CycleCounter(Structure, of="cyclecounter"):
    """``struct cyclecounter``; ``shift`` is that of its fractions"""

    read: int = at(0)
    shift: int = at(20)


TASK: Final = _Task()
HOTPLUG_STATE: Final = _HotplugState()
HOT_VARIABLES: Final = _HotVariables()
NAME_SPACES: Final = _NameSpaces()
UTS_NAME: Final = _UtsName()
CREDENTIALS: Final = _Credentials()
WAIT_QUEUE: Final = _WaitQueue()
WAIT_ENTRY: Final = _WaitEntry()
COMPLETION: Final = _Completion()
MUTEX: Final = _Mutex()
READ_WRITE_SEMAPHORE: Final = _ReadWriteSemaphore()
SEMAPHORE: Final = _Semaphore()
WORK: Final = _Work()
TASKLET: Final = _Tasklet()
THREAD_WORKER: Final = _ThreadWorker()
THREAD_WORK: Final = _ThreadWork()
TIMER: Final = _Timer()
HRTIMER: Final = _Hrtimer()
TIME_SPEC: Final = _TimeSpec()
CYCLE_COUNTER: Final = _CycleCounter()
