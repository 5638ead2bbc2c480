# SPDX-License-Identifier: Apache-2.0
"""How tasks run on the machine, and how code waits while others go on."""

from collections.abc import Callable

from kmodd.kernel.emulated.abi.structures import TASK
from kmodd.kernel.emulated.hardware.x86_64 import X86_64, stack_of
from kmodd.kernel.emulated.machine import crash
from kmodd.kernel.emulated.machine.calls import SystemCall, SystemCalls
from kmodd.kernel.emulated.machine.clock import HZ, Clock
from kmodd.kernel.emulated.machine.crash import Crash
from kmodd.kernel.emulated.machine.deferred_work import DeferredWork
from kmodd.kernel.emulated.machine.faults import Faults
from kmodd.kernel.emulated.machine.log_lines import LogLines
from kmodd.kernel.emulated.machine.scheduler import (
    TURNS_MAX,
    WAITING_TURNS_MAX,
    Exited,
    Ready,
    Scheduler,
    Suspended,
    Task,
)
from kmodd.kernel.emulated.machine.sleepers import Sleepers
from kmodd.kernel.emulated.machine.stacks import Stacks
from kmodd.kernel.emulated.reporting.log import Level

_INTERRUPT = object()
"""Who speaks where no task does (printk_caller_id)."""

HUNG_SECONDS = 120
"""Seconds of the machine's own time after which sleeping code is hung (hung_task_timeout_secs)."""

PATIENCE = 20.0
"""Seconds of the world's time that a call about a module waits for users of its files."""

UNINTERRUPTIBLE = 2
"""The state of a task that no signal wakes (TASK_UNINTERRUPTIBLE)."""


class Tasks:
    """The tasks beside the system call that is under way; for who holds the machine."""

    def __init__(
        self,
        cpu: X86_64,
        calls: SystemCalls,
        *,
        clock: Clock,
        stacks: Stacks,
        deferred: DeferredWork,
        faults: Faults,
        log: LogLines,
        sleepers: Sleepers,
    ) -> None:
        self.scheduler = Scheduler(clock, self)
        self._sleepers = sleepers
        self._cpu = cpu
        self._calls = calls
        self._clock = clock
        self._stacks = stacks
        self._deferred = deferred
        self._faults = faults
        self._log = log

    def sleep(self, seconds: float) -> int:
        """Let the code that is running wait some time; nobody really waits.

        Like ``wait`` it is the last that a kernel function does, which returns what this returns.
        """
        due = self._clock.ticks + (round(min(seconds, 2 * HUNG_SECONDS) * HZ) or 1)
        return self.wait(lambda: 0 if self._clock.ticks >= due else None, due)

    def wait(self, ready: Ready, due: int | None = None) -> int:
        """Have the code that is running wait until something is ``ready``, and return that.

        The others go on meanwhile, and so does the clock: ``due`` is when it is ready at last, in
        ticks. A kernel function returns what this returns and does nothing after it: where a task
        has called the function, it only comes to an end here when the task goes on.
        """
        self._deferred.run()
        result = ready()
        if result is not None:
            return result
        now = self._calls.now
        if now.task is not None and not now.depth:
            raise Suspended(ready, due)
        began = self._clock.ticks
        if now.of_user:
            return self._wait_as_user(ready, due)
        result = self.scheduler.wait(ready, due)
        if result is None and self._sleepers:
            result = self._sleepers.sleep(ready, PATIENCE)
        now.slept += (self._clock.ticks - began) / HZ
        if result is None or now.slept > HUNG_SECONDS:
            raise crash.hung_task(HUNG_SECONDS, self._faults.scene(self._calls.caller))
        return result

    def _wait_as_user(self, ready: Ready, due: int | None) -> int:
        """Wait as a user's process does: when nobody goes on by himself, until a call wakes it."""
        turns = TURNS_MAX if due is None else WAITING_TURNS_MAX
        result = self.scheduler.wait(ready, due, turns)
        if result is None:
            self._tell_hung()
            result = self._sleepers.sleep(ready)
        return result or 0

    def _tell_hung(self) -> None:
        """Log a user's process that nothing but what it waits for can wake (khungtaskd)."""
        task, memory = self._calls.now.current, self._cpu.memory
        if memory.number(task + TASK.state, 4) == UNINTERRUPTIBLE:
            name = memory.text(task + TASK.name, TASK.name_size)
            process = f"{name}:{memory.number(task + TASK.pid, 4)}"
            why = f"INFO: task {process} blocked for more than {HUNG_SECONDS} seconds.\n"
            self._log.write(Level.ERR, why)

    def go_on(self) -> None:
        """Let what code has begun go on as far as it does without any time that passes."""
        self._deferred.run()
        self.scheduler.go_on()
        self._deferred.run()

    def settle(self, module: str = "") -> None:
        """Let what code has begun go on, until all comes to rest, and some time pass.

        All of that time is for what ``module`` has begun, or what the call has; "" for all.
        """
        self._deferred.run()
        self.scheduler.settle(module)
        self._deferred.run()

    def run_task(self, task: Task, result: int) -> bool:
        """Let a task go on until it waits or ends, with what it has waited for.

        False where there is no stack for it to begin on.
        """
        if task.call is None and not self._begin(task):
            return False
        call: SystemCall = task.call
        call.time_limit, call.busy, call.traps = self._calls.now.time_limit, 0, 0
        before = self._calls.swap(call)
        task.is_running = True
        try:
            with self._log.spoken_by(task):
                self._go_on(task, call, result)
        finally:
            task.is_running = False
            self._calls.swap(before)
        return True

    def _go_on(self, task: Task, call: SystemCall, result: int) -> None:
        try:
            if call.trap is None:
                event = self._cpu.call(task.function, (task.argument, *task.more), call.stack)
            else:
                event = self._cpu.answer(call.trap, result)
            self._end(task, self._calls.finish(event))
        except Suspended as suspended:
            task.ready, task.due = suspended.ready, suspended.due
        except Exited as exited:
            self._end(task, exited.result)
        except Crash as error:
            self._faults.report(error)
            self._end(task, None)

    def _begin(self, task: Task) -> bool:
        """Give a task a stack; False where there is none left for it."""
        number = self._stacks.take_for_task()
        if number is None:
            return False
        limit, stack = self._calls.now.time_limit, stack_of(self._cpu.memory, number)
        task.call = SystemCall(
            task.module,
            limit,
            stack,
            task.function,
            task=task,
            number=number,
            current=task.current,
        )
        return True

    def _end(self, task: Task, result: int | None) -> None:
        """End a task, unless its module was taken from below it while it waited for another."""
        if self.scheduler.has(task):
            self.end_task(task)
            task.ended(result)

    def end_task(self, task: Task) -> None:
        """Let a task have no turn any more, whatever it waits for."""
        self.scheduler.remove(task)
        if task.call is not None:
            self._stacks.give_of_task(task.call.number)
            task.call = None

    def interrupt(self, module: str, work: Callable[[], None]) -> None:
        """Do what a timer has to do, which is no part of what is running."""
        now = self._calls.now
        stack = now.trap.stack if now.trap else now.stack
        before = self._calls.swap(SystemCall(module, now.time_limit, stack))
        try:
            with self._log.spoken_by(_INTERRUPT):
                work()
        except Crash as error:
            self._faults.report(error)
        finally:
            self._calls.swap(before)
