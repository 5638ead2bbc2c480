# SPDX-License-Identifier: Apache-2.0
"""Tasks, and what they wait for: wait queues, work, timers."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class _Task:
    """``struct task_struct``; ``name`` has ``name_size`` bytes with its NUL (TASK_COMM_LEN)"""

    state: int = 24
    pid: int = 2416
    real_credentials: int = 2952
    credentials: int = 2960
    name: int = 2976
    name_spaces: int = 3064
    name_size: int = 16


@dataclass(frozen=True, slots=True)
class _NameSpaces:
    """``struct nsproxy``"""

    uts: int = 8
    net: int = 40


@dataclass(frozen=True, slots=True)
class _UtsName:
    """``struct uts_namespace``; its strings come first"""

    string_size: int = 65


@dataclass(frozen=True, slots=True)
class _Credentials:
    """``struct cred``"""

    usage: int = 0
    thread_keyring: int = 104


@dataclass(frozen=True, slots=True)
class _WaitQueue:
    """``struct wait_queue_head``"""

    entries: int = 8


@dataclass(frozen=True, slots=True)
class _WaitEntry:
    """``struct wait_queue_entry``"""

    flags: int = 0
    task: int = 8
    function: int = 16
    link: int = 24


@dataclass(frozen=True, slots=True)
class _Completion:
    """``struct completion``"""

    done: int = 0


@dataclass(frozen=True, slots=True)
class _Work:
    """``struct work_struct``, and ``struct delayed_work``, which has a timer behind it"""

    data: int = 0
    function: int = 24
    expires: int = 48


@dataclass(frozen=True, slots=True)
class _Tasklet:
    """``struct tasklet_struct``; with ``takes_itself`` its function gets it, else its data"""

    state: int = 8
    count: int = 16
    takes_itself: int = 20
    function: int = 24
    data: int = 32
    size: int = 40


@dataclass(frozen=True, slots=True)
class _ThreadWorker:
    """``struct kthread_worker``"""

    task: int = 40


@dataclass(frozen=True, slots=True)
class _ThreadWork:
    """``struct kthread_work``"""

    function: int = 16


@dataclass(frozen=True, slots=True)
class _Timer:
    """``struct timer_list``; ``pending`` is not 0 while it is armed"""

    pending: int = 8
    expires: int = 16
    function: int = 24
    flags: int = 32


@dataclass(frozen=True, slots=True)
class _Hrtimer:
    """``struct hrtimer``"""

    expires: int = 24
    soft_expires: int = 32
    function: int = 40
    state: int = 56
    size: int = 64


@dataclass(frozen=True, slots=True)
class _TimeSpec:
    """``struct timespec64``"""

    seconds: int = 0
    nanoseconds: int = 8


@dataclass(frozen=True, slots=True)
class _CycleCounter:
    """``struct cyclecounter``; ``shift`` is that of its fractions"""

    read: int = 0
    shift: int = 20


TASK: Final = _Task()
NAME_SPACES: Final = _NameSpaces()
UTS_NAME: Final = _UtsName()
CREDENTIALS: Final = _Credentials()
WAIT_QUEUE: Final = _WaitQueue()
WAIT_ENTRY: Final = _WaitEntry()
COMPLETION: Final = _Completion()
WORK: Final = _Work()
TASKLET: Final = _Tasklet()
THREAD_WORKER: Final = _ThreadWorker()
THREAD_WORK: Final = _ThreadWork()
TIMER: Final = _Timer()
HRTIMER: Final = _Hrtimer()
TIME_SPEC: Final = _TimeSpec()
CYCLE_COUNTER: Final = _CycleCounter()
