# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is on the emulated machine, and when time passes."""

from collections.abc import Callable
from functools import partial

from kmodd.kernel.emulated.machine.clock import HZ, Clock
from kmodd.kernel.emulated.machine.scheduler import SETTLE_SECONDS, TURNS_MAX, Scheduler, Task


class Host:
    """A machine whose tasks are functions of this file, by the number of the task's function."""

    def __init__(self, *steps: Callable[[], int | None]) -> None:
        self.clock = Clock(lambda _jiffies: None)
        self.ran = list[int]()
        self.scheduler = Scheduler(self.clock, self)
        self._steps = steps

    @property
    def ticks(self) -> int:
        return self.clock.ticks

    def run_task(self, task: Task, result: int) -> bool:
        """Run a step: it returns the tick until which the task waits, or None where it ends."""
        self.ran.append(task.function)
        due = self._steps[task.function]()
        if due is None:
            self.scheduler.remove(task)
            task.ended(result)
        else:
            task.due = due
            task.ready = lambda: 0 if self.ticks >= due else None
        return True

    def interrupt(self, _module: str, work: Callable[[], None]) -> None:
        work()

    def start(self, number: int) -> Task:
        task = Task(number, 0, "module", lambda _result: None)
        self.scheduler.add(task)
        return task


def test_tasks_have_their_turns_in_the_order_in_which_they_came() -> None:
    host = Host(lambda: None, lambda: None)
    second, first = host.start(1), host.start(0)
    host.scheduler.settle()
    assert host.ran == [1, 0]
    assert not host.scheduler.has(first)
    assert not host.scheduler.has(second)
    assert host.ticks == 0


def test_time_passes_to_what_is_due_next_and_no_further_than_is_waited_for() -> None:
    fired = list[int]()
    host = Host()
    for due in (30, 10, 20):
        host.scheduler.arm(due, due, "module", partial(fired.append, due))
    assert host.scheduler.wait(lambda: 7 if host.ticks >= 25 else None, 25) == 7
    assert (host.ticks, fired) == (25, [10, 20])
    assert host.scheduler.disarm(30)
    assert not host.scheduler.disarm(30)


def test_what_never_comes_is_not_waited_for() -> None:
    host = Host(lambda: 1 << 40)
    assert host.scheduler.wait(lambda: None, None) is None
    assert host.scheduler.wait(lambda: 1 if host.ticks else None, 5) == 1


def test_a_timer_that_is_armed_again_fires_once_at_the_later_time() -> None:
    fired = list[int]()
    host = Host()
    assert not host.scheduler.arm(1, 10, "module", lambda: fired.append(10))
    assert host.scheduler.arm(1, 20, "module", lambda: fired.append(20))
    host.scheduler.settle()
    assert (fired, host.ticks) == ([20], 20)
    assert not host.scheduler.is_armed(1)


def test_what_never_rests_is_left_for_the_next_time() -> None:
    host = Host(lambda: host.ticks)
    host.start(0)
    host.scheduler.settle()
    assert len(host.ran) == TURNS_MAX


def test_no_more_time_passes_than_a_call_is_followed_by() -> None:
    fired = list[int]()
    host = Host()
    end = SETTLE_SECONDS * HZ
    for due in (end - 1, end + 1):
        host.scheduler.arm(due, due, "module", partial(fired.append, due))
    host.scheduler.settle()
    assert (fired, host.ticks) == ([end - 1], end)
    host.scheduler.settle()
    assert fired == [end - 1, end + 1]


def test_a_task_that_runs_has_no_second_turn_within_its_own() -> None:
    def nested() -> int | None:
        host.scheduler.yield_()
        return None

    host = Host(nested, lambda: None)
    outer = host.start(0)
    host.start(1)
    outer.is_running = True
    host.scheduler.yield_()
    assert host.ran == [1]


def periodic(host: Host, key: int, ticks: int, module: str, fired: list[str]) -> None:
    """Arm a timer that arms itself again whenever it fires."""

    def fire() -> None:
        fired.append(module)
        periodic(host, key, ticks, module, fired)

    host.scheduler.arm(key, host.ticks + ticks, module, fire)


def test_what_others_have_begun_before_a_call_has_one_turn_behind_it() -> None:
    fired = list[str]()
    host = Host()
    for key in range(50):
        periodic(host, key, 10, "other", fired)
    host.scheduler.settle("other")
    fired.clear()
    periodic(host, 99, SETTLE_SECONDS * HZ // 5, "mine", fired)
    before = host.ticks
    host.scheduler.settle("mine")
    assert (fired.count("mine"), fired.count("other")) == (5, 50)
    assert host.ticks == before + SETTLE_SECONDS * HZ
    fired.clear()
    host.scheduler.settle("third")
    assert (fired.count("mine"), fired.count("other")) == (1, 50)


def test_what_a_call_has_begun_for_others_has_all_of_the_time_behind_it() -> None:
    fired = list[str]()
    host = Host()
    periodic(host, 1, 1, "other", fired)
    host.scheduler.settle("other")
    fired.clear()
    periodic(host, 2, SETTLE_SECONDS * HZ // 4, "other", fired)
    host.scheduler.settle("mine")
    assert len(fired) == 1 + 4


def test_a_call_about_no_module_gives_all_the_same_time() -> None:
    fired = list[str]()
    host = Host()
    periodic(host, 1, SETTLE_SECONDS * HZ // 4, "other", fired)
    host.scheduler.settle("other")
    host.scheduler.settle()
    assert len(fired) == 8


def test_who_sleeps_again_and_again_is_woken_once_behind_the_calls_of_others() -> None:
    host = Host(lambda: host.ticks + 10)
    host.start(0)
    host.scheduler.settle("module")
    before = len(host.ran)
    assert before > 100
    host.scheduler.settle("other")
    # Once as it was left, once as it is woken, and once as the time behind the call is over.
    assert len(host.ran) == before + 3


def test_a_timer_that_is_late_can_be_forgotten_by_one_that_fires() -> None:
    fired = list[str]()
    host = Host()
    periodic(host, 1, 5, "other", fired)
    host.scheduler.settle("other")
    fired.clear()
    host.scheduler.arm(2, host.ticks + 100, "mine", lambda: fired.append(str(forget())))

    def forget() -> bool:
        return host.scheduler.disarm(1)

    host.scheduler.settle("mine")
    assert fired == ["other", "True"]
    assert not host.scheduler.is_armed(1)
