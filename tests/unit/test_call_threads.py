# SPDX-License-Identifier: Apache-2.0
"""The threads that serve calls: how many there are, and when they end."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kmodd.service.threads import KEPT, CallThreads

PATIENCE = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def threads() -> Iterator[CallThreads]:
    found = CallThreads(4, "test-call", idle=0.05)
    yield found
    found.shutdown()
    wait_until(lambda: found.count() == 0)


def test_no_more_run_together_than_there_may_be_and_none_is_lost(threads: CallThreads) -> None:
    together, most, lock = 0, 0, threading.Lock()
    done = threading.Semaphore(0)

    def work() -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.001)
        with lock:
            together -= 1

    for _ in range(100):
        threads.submit(work).add_done_callback(lambda _: done.release())
    for _ in range(100):
        assert done.acquire(timeout=PATIENCE)
    assert most == 4
    assert threads.count() <= 4


def test_those_without_work_end_but_for_a_few(threads: CallThreads) -> None:
    barrier = threading.Barrier(5)
    for _ in range(4):
        threads.submit(barrier.wait, PATIENCE)
    barrier.wait(PATIENCE)
    wait_until(lambda: threads.count() == KEPT)
    wait_until(lambda: sum(each.name[:9] == "test-call" for each in threading.enumerate()) == KEPT)
    done = threading.Event()
    threads.submit(done.set)
    assert done.wait(PATIENCE)


def test_one_after_the_other_is_the_work_of_one_thread() -> None:
    threads = CallThreads(4, "test-call", idle=PATIENCE)
    for _ in range(20):
        done = threading.Event()
        threads.submit(done.set)
        assert done.wait(PATIENCE)
        wait_until(lambda: len(threads._idle) == threads.count())
    assert threads.count() == 1
    threads.shutdown()


def test_who_asks_when_it_is_done_is_told_at_once(threads: CallThreads) -> None:
    done = threading.Event()
    task = threads.submit(done.set)
    assert done.wait(PATIENCE)
    wait_until(lambda: task._is_done)
    told: list[object] = []
    task.add_done_callback(told.append)
    assert told == [task]


def test_a_failure_is_logged_and_ends_no_thread(
    threads: CallThreads, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Event()
    with caplog.at_level(logging.ERROR):
        threads.submit(lambda: 1 // 0).add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE)
    assert "ZeroDivisionError" in caplog.text
    again = threading.Event()
    threads.submit(again.set)
    assert again.wait(PATIENCE)


def test_a_closed_one_does_what_it_has_and_takes_no_more() -> None:
    threads = CallThreads(1, "test-call")
    go, done = threading.Event(), threading.Event()
    threads.submit(go.wait, PATIENCE)
    threads.submit(done.set)
    threads.shutdown()
    with pytest.raises(RuntimeError):
        threads.submit(done.set)
    go.set()
    assert done.wait(PATIENCE)
    wait_until(lambda: threads.count() == 0)
