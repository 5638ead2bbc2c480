# SPDX-License-Identifier: Apache-2.0
"""The threads that serve calls: as many as there are calls at a time, and few once there are none.

The library's pool keeps every thread that it ever had, and takes a lock of the whole process, a
condition and a semaphore for each call. Here what has just become idle is the next to be used, so
that the rest stays idle and ends.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

IDLE = 10.0
"""Seconds after which a thread ends that has had no call."""

KEPT = 2
"""Threads that stay, without waking up, so that a call need not wait until one has been started."""

log = logging.getLogger(__name__)


class ServedTask:
    """What a thread is to do, or has done; what grpc needs of a concurrent.futures.Future."""

    __slots__ = ("_callbacks", "_is_done", "_what", "_words")

    def __init__(self, what: Callable[..., object], words: tuple[Any, ...]) -> None:
        self._what = what
        self._words = words
        self._is_done = False
        self._callbacks: deque[Callable[[ServedTask], object]] = deque()

    def add_done_callback(self, callback: "Callable[[ServedTask], object]") -> None:
        """Call ``callback`` once it is done, at once if it is; by either thread."""
        self._callbacks.append(callback)
        if self._is_done:
            self._call_back()

    def run(self) -> None:
        """Do it; what it raises is logged."""
        what, words = self._what, self._words
        self._what, self._words = _done, ()  # a call that is over keeps no server in memory
        try:
            what(*words)
        except BaseException:
            log.exception("a call")
        del what, words
        self._is_done = True
        self._call_back()

    def _call_back(self) -> None:
        while self._callbacks:
            try:
                callback = self._callbacks.popleft()
            except IndexError:  # the other thread was quicker
                return
            callback(self)


def _done() -> None:
    """Stand for what has been done."""


class _CallThread(threading.Thread):
    """One of the threads. ``ready`` is released when it has been given a ``task``, or is to end."""

    def __init__(self, serve: "Callable[[_CallThread], None]", name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.ready = threading.Lock()
        self.ready.acquire()
        self.task: ServedTask | None = None
        self._serve = serve

    def run(self) -> None:
        """Serve until there is nothing to be served."""
        self._serve(self)


class CallThreads:
    """Takes the place of a ThreadPoolExecutor. ``_lock`` guards every field."""

    def __init__(self, most: int, name: str, idle: float = IDLE) -> None:
        """There are at most ``most`` threads, which end after ``idle`` seconds without a call."""
        self._most = most
        self._name = name
        self._patience = idle
        self._lock = threading.Lock()
        self._idle: list[_CallThread] = []
        self._waiting: deque[ServedTask] = deque()
        self._count = 0
        self._started = 0
        self._is_closed = False

    def submit(self, what: Callable[..., object], *words: Any) -> ServedTask:
        """Have a thread call ``what`` with ``words``, as soon as one is free.

        Raises RuntimeError once it is closed.
        """
        task = ServedTask(what, words)
        with self._lock:
            if self._is_closed:
                raise RuntimeError("no more calls are served")
            if self._idle:
                thread = self._idle.pop()
            elif self._count < self._most:
                self._count += 1
                self._started += 1
                thread = _CallThread(self._serve, f"{self._name}_{self._started}")
            else:
                self._waiting.append(task)
                return task
        thread.task = task
        if thread.ident is None:
            self._start(thread)
        else:
            thread.ready.release()
        return task

    def shutdown(self) -> None:
        """Take no more, and have the threads end once they are idle; waits for none."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for thread in idle:
            thread.ready.release()

    def count(self) -> int:
        """Return how many threads there are."""
        with self._lock:
            return self._count

    def _start(self, thread: _CallThread) -> None:
        try:
            thread.start()
        except RuntimeError:  # the machine has no more
            with self._lock:
                self._count -= 1
                if self._count == 0 or thread.task is None:
                    raise
                self._waiting.append(thread.task)

    def _serve(self, thread: _CallThread) -> None:
        task = thread.task
        while task is not None:
            thread.task = None
            task.run()
            task = None
            task = self._next(thread)

    def _next(self, thread: _CallThread) -> ServedTask | None:
        """Wait for what the thread is to do; None where it is to end."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._is_closed:
                self._count -= 1
                return None
            self._idle.append(thread)
        while not thread.ready.acquire(timeout=self._patience):
            with self._lock:
                if self._count > KEPT and thread in self._idle:
                    self._idle.remove(thread)
                    self._count -= 1
                    return None
            if self._count <= KEPT:
                thread.ready.acquire()
                break
        return thread.task
