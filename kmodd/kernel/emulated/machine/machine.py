# SPDX-License-Identifier: Apache-2.0
"""The emulated machine while it runs: calls into modules, and their calls of kernel functions.

This is what the kernel functions that modules call get as their first argument.
"""

import errno
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from kmodd.kernel.emulated.abi.function_table import FUNCTIONS
from kmodd.kernel.emulated.abi.printf import Arguments, format_text, va_list
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.events import Event, Faulted, Returned, Ticked, Trapped
from kmodd.kernel.emulated.hardware.memory import READ, WRITE, BadAddress
from kmodd.kernel.emulated.hardware.trampoline import TRAMPOLINE
from kmodd.kernel.emulated.hardware.x86_64 import ARGUMENTS, X86_64, stack_of
from kmodd.kernel.emulated.machine import crash
from kmodd.kernel.emulated.machine.crash import Crash
from kmodd.kernel.emulated.machine.faults import Faults
from kmodd.kernel.emulated.machine.heap import Heap
from kmodd.kernel.emulated.machine.image import ModuleImage
from kmodd.kernel.emulated.machine.images import Images
from kmodd.kernel.emulated.machine.kernel_symbols import INITIAL_JIFFIES, KernelSymbols
from kmodd.kernel.emulated.machine.pseudo_filesystem import PseudoFilesystem
from kmodd.kernel.emulated.machine.resource_ledger import ResourceLedger
from kmodd.kernel.emulated.machine.scheduler import HZ, Exited, Ready, Scheduler, Suspended, Task
from kmodd.kernel.emulated.machine.services import Services
from kmodd.kernel.emulated.machine.state import States, Value
from kmodd.kernel.emulated.machine.time_limit import TimeLimit
from kmodd.kernel.emulated.reporting.log import Level

LOCKUP_SECONDS = 22
"""Seconds of the machine's own time after which busy code is stuck (the kernel's watchdog)."""

HUNG_SECONDS = 120
"""Seconds of that time after which sleeping code is (hung_task_timeout_secs)."""

TRAPS_MAX = 200_000
"""Calls of kernel functions that one call of the kernel's may make. Of Debian's modules whose init
ends well nandsim makes the most, 33,000; test_user_copy would make a million."""

STACKS, STACKS_KEPT = 256, 128
"""How many stacks there are, and how many of them no task gets: system calls have them."""

DEPTH_MAX = 24
"""How deep modules and kernel may call each other."""

WORK_MAX = 1000
"""Pieces of work that are done in a row."""

REQUESTS_MAX = 50
"""Modules that may be asked for at once (max_modprobes, kernel/kmod.c)."""

_BUSY_SECONDS = 5
"""Seconds that a request waits while there are so many; here it is told at once."""


@dataclass(slots=True)
class _SystemCall:
    """A system call under way.

    ``module`` is whom it is about, ``time_limit`` what time it has, ``stack`` where its stack
    ends. ``function`` is the one of a module's that the kernel has called, ``trap`` the kernel
    function that is being called. The others are counted: nested calls, calls of kernel functions,
    ticks of busy code, seconds slept. ``task`` is the one that runs, None for the system call's own
    code. ``number`` is that of its stack.
    """

    module: str
    time_limit: TimeLimit
    stack: int = 0
    function: int = 0
    trap: Trapped | None = None
    depth: int = 0
    traps: int = 0
    busy: int = 0
    slept: float = 0.0
    task: Task | None = None
    number: int = 0


class Machine:
    """A processor, its memory and what goes on there; for one thread at a time (``lock``)."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.lock = Lock()
        self.cpu = X86_64()
        self.memory = self.cpu.memory
        region = self.memory.add(addresses.DIRECT_MAP, addresses.DIRECT_MAP_SIZE, READ | WRITE)
        # The first page of all is nobody's.
        self.heap = Heap(region, addresses.DIRECT_MAP + 4096)
        chunk = self.memory.region(addresses.PER_CPU)
        self.per_cpu = Heap(chunk, addresses.PER_CPU + addresses.PER_CPU_OF_MODULES)
        self.core = KernelSymbols(self.cpu, FUNCTIONS, self.heap.allocate)
        self.ledger = ResourceLedger(self._taker)
        self.ticks = 0
        self.stubbed: dict[str, dict[str, None]] = {}
        self.pending: deque[Callable[[], None]] = deque()
        self._states = States()
        self.proc = PseudoFilesystem("proc entry", "/proc")
        self.debugfs = PseudoFilesystem("debugfs entry", "/sys/kernel/debug")
        self.dev = PseudoFilesystem("device node", "/dev")
        self.sysfs = PseudoFilesystem("sysfs entry", "/sys")
        self.images = Images()
        self.faults = Faults(self.cpu, self.images, services, self.symbol)
        self._stacks: list[int] = list(range(STACKS))
        self.scheduler = Scheduler(self)
        self.now = _SystemCall("", TimeLimit())
        self._partial: tuple[Level, str] | None = None
        self._requests = 0

    def add_image(self, image: ModuleImage) -> None:
        """Let the machine know of a module's code."""
        self.images.add(image)
        self.cpu.forget_code()

    def state(self, kind: type[Value]) -> Value:
        """Return the only ``kind`` there is: what a family of functions knows of this machine."""
        return self._states.of(kind)

    def forget_memory(self, address: int, size: int) -> None:
        """Forget what is kept of structures in memory that is given back."""
        self._states.forget_memory(address, address + size)

    def remove_image(self, image: ModuleImage, *, init_only: bool = False) -> None:
        """Forget a module's code, or what of it is for init alone."""
        for start, end in self.images.remove(image, init_only=init_only):
            self.forget_memory(start, end - start)
            self.memory.fill(start, end - start)

    def symbol(self, address: int, *, offset: bool = True) -> str:
        """Name an address as the kernel's ``%pS`` does, or ``%ps`` without an offset."""
        image = self.images.at(address)
        if image is not None:
            place = image.find(address)
            if not offset:
                return f"{place.symbol} [{place.module}]"
            return str(place) if place.symbol else f"{address:#x} [{image.name}]"
        name, distance = self.core.nearest(address)
        if not name:
            return f"{address:#x}"
        return f"{name}+{distance:#x}/{addresses.SLOT_SIZE:#x}" if offset else name

    @contextmanager
    def running(self, module: str) -> Iterator[None]:
        """Have the machine to oneself for a system call about ``module``, with a new stack.

        The call is a task of its own: what a crash leaves disabled is so for nobody else.
        """
        with self.lock:
            number = self._stacks.pop(0)
            disabled = self.memory.number(self.core.preempt_count, 4)
            self.memory.put(self.core.preempt_count, 0, 4)
            before = self._swap(_SystemCall(module, TimeLimit()))
            try:
                self.now.stack = stack_of(self.memory, number)
                self.cpu.reset()
                yield
            finally:
                self.flush_log()
                self._swap(before)
                self.memory.put(self.core.preempt_count, disabled, 4)
                self._stacks.insert(0, number)

    def _swap(self, call: "_SystemCall") -> "_SystemCall":
        before, self.now = self.now, call
        if call.task is not before.task:
            self.core.run_as(call.task.current if call.task else 0)
        return before

    def invoke(self, function: int, *arguments: int) -> int:
        """Call a function of a module and return what it returns, as the register has it.

        Raises Crash where it does not return.
        """
        outer, outer_function = self.now.trap, self.now.function
        stack = outer.stack if outer else self.now.stack
        self.now.function = function
        self.now.depth += 1
        try:
            if self.now.depth > DEPTH_MAX:
                raise crash.out_of_place("BUG: kernel stack overflow", self.faults.scene(function))
            event = self.cpu.call(function, arguments, stack)
            while not isinstance(event, Returned):
                event = self._go_on(event)
            return event.value
        finally:
            self.now.depth -= 1
            self.now.trap, self.now.function = outer, outer_function

    def call(self, function: int, *arguments: int) -> int:
        """Like ``invoke``, for a function that returns an int."""
        value = self.invoke(function, *arguments) & 0xFFFFFFFF
        return value - (value >> 31 << 32)

    def _go_on(self, event: Event) -> Event:
        """Do what an event asks for, and run to the next."""
        if isinstance(event, Trapped):
            self.now.trap = event
            return self.cpu.answer(event, self._serve(event))
        if isinstance(event, Ticked):
            self._tick(event.at)
            return self.cpu.run(event.at)
        assert isinstance(event, Faulted)
        return self.cpu.run(self.faults.past(event))

    def _serve(self, trapped: Trapped) -> int:
        """Do the work of the kernel function that was called."""
        self.now.traps += 1
        if self.now.traps > TRAPS_MAX or (
            not self.now.traps & 0x3FF and self.now.time_limit.is_spent()
        ):
            raise crash.soft_lockup(LOCKUP_SECONDS, self.faults.scene(self.caller))
        name = self.core.name(trapped.slot)
        if not name:
            raise crash.page_fault(
                Faulted(trapped.slot, "execute", trapped.slot), self.faults.scene(trapped.slot)
            )
        function = FUNCTIONS.get(name)
        if function is None:
            self.note_stub(name)
            return 0
        try:
            return function(self, trapped.arguments)
        except (Crash, Suspended, Exited):
            raise
        except Exception as error:
            raise self.faults.blame(error, name, trapped.slot) from error

    def note_stub(self, name: str) -> None:
        """Say, once for each module, that a function is not modelled."""
        image = self.images.at(self.caller)
        module = image.name if image else self.now.module
        known = self.stubbed.setdefault(module, {})
        if name not in known:
            known[name] = None
            self.services.printk(Level.DEBUG, f"kmodd: {module}: stubbed: {name}")

    @property
    def caller(self) -> int:
        """The address that the kernel function which is running returns to, 0 for none.

        Where a module's function has ended in a jump to it, that is the module's function.
        """
        if self.now.trap is None:
            return 0
        try:
            address = self.memory.number(self.now.trap.stack)
        except BadAddress:
            # The module had its stack end right there.
            return 0
        return self.now.function if address == TRAMPOLINE.returned else address

    @property
    def module(self) -> str:
        """The module that the system call under way is about."""
        return self.now.module

    @property
    def taker(self) -> str:
        """The module whose code is running."""
        return self._taker()[0]

    def _taker(self) -> tuple[str, int]:
        address = self.caller
        image = self.images.at(address) if address else None
        return (image.name if image else self.now.module), address

    def arguments(self, fixed: int) -> Iterator[int]:
        """Yield the arguments of a variadic function behind the first ``fixed`` ones."""
        assert self.now.trap is not None
        yield from self.now.trap.arguments[fixed:]
        at = self.now.trap.stack + 8 + 8 * max(0, fixed - ARGUMENTS)
        while True:
            yield self.memory.number(at)
            at += 8

    def format(self, template: int, fixed: int) -> bytes:
        """Return the text of a variadic function's format; ``fixed`` counts what comes before."""
        text = self.memory.string(template)
        return format_text(self, text, Arguments(self.arguments(fixed)))

    def format_list(self, template: int, arguments: int) -> bytes:
        """Return the text of a format whose arguments are a ``va_list``."""
        text = self.memory.string(template)
        return format_text(self, text, Arguments(va_list(self.memory, arguments)))

    def _tick(self, at: int) -> None:
        self.now.busy += 1
        self.advance(1)
        if self.now.busy >= LOCKUP_SECONDS * HZ or self.now.time_limit.is_spent():
            raise crash.soft_lockup(LOCKUP_SECONDS, self.faults.scene(at))

    def advance(self, ticks: int) -> None:
        """Let the clock go on."""
        self.ticks += ticks
        self.memory.put(self.core.jiffies, INITIAL_JIFFIES + self.ticks)

    def sleep(self, seconds: float) -> int:
        """Let the code that is running wait some time; nobody really waits.

        Like ``wait`` it is the last that a kernel function does, which returns what this returns.
        """
        due = self.ticks + (round(min(seconds, 2 * HUNG_SECONDS) * HZ) or 1)
        return self.wait(lambda: 0 if self.ticks >= due else None, due)

    def wait(self, ready: Ready, due: int | None = None) -> int:
        """Have the code that is running wait until something is ``ready``, and return that.

        The others go on meanwhile, and so does the clock: ``due`` is when it is ready at last, in
        ticks. A kernel function returns what this returns and does nothing after it: where a task
        has called the function, it only comes to an end here when the task goes on.
        """
        self.run_pending()
        result = ready()
        if result is not None:
            return result
        if self.now.task is not None and not self.now.depth:
            raise Suspended(ready, due)
        began = self.ticks
        result = self.scheduler.wait(ready, due)
        self.now.slept += (self.ticks - began) / HZ
        if result is None or self.now.slept > HUNG_SECONDS:
            raise crash.hung_task(HUNG_SECONDS, self.faults.scene(self.caller))
        return result

    def run_task(self, task: Task, result: int) -> bool:
        """Let a task go on until it waits or ends."""
        if task.call is None and not self._begin(task):
            return False
        call: _SystemCall = task.call
        call.time_limit, call.busy, call.traps = self.now.time_limit, 0, 0
        self.flush_log()
        before = self._swap(call)
        task.is_running = True
        try:
            if call.trap is None:
                event = self.cpu.call(task.function, (task.argument,), call.stack)
            else:
                event = self.cpu.answer(call.trap, result)
            while not isinstance(event, Returned):
                event = self._go_on(event)
            self._end(task, event.value)
        except Suspended as suspended:
            task.ready, task.due = suspended.ready, suspended.due
        except Exited as exited:
            self._end(task, exited.result)
        except Crash as error:
            self.report(error)
            self._end(task, None)
        finally:
            task.is_running = False
            self.flush_log()
            self._swap(before)
        return True

    def _begin(self, task: Task) -> bool:
        """Give a task a stack; False where there is none left for it."""
        if len(self._stacks) <= STACKS_KEPT:
            return False
        number = self._stacks.pop()
        stack = stack_of(self.memory, number)
        task.call = _SystemCall(
            task.module, self.now.time_limit, stack, task.function, task=task, number=number
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
            self._stacks.append(task.call.number)
            task.call = None

    def interrupt(self, module: str, work: Callable[[], None]) -> None:
        """Do what a timer has to do, which is no part of what is running."""
        trap = self.now.trap
        stack = trap.stack if trap else self.now.stack
        before = self._swap(_SystemCall(module, self.now.time_limit, stack))
        try:
            work()
        except Crash as error:
            self.report(error)
        finally:
            self.flush_log()
            self._swap(before)

    def report(self, error: Crash) -> None:
        """Log a crash."""
        self.flush_log()
        for line in error.lines:
            self.services.printk(Level.ALERT, line)
        if error.taint:
            self.services.taint(error.taint)

    def settle(self) -> None:
        """Let what code has begun go on, until all comes to rest."""
        self.run_pending()
        self.scheduler.settle()
        self.run_pending()

    @property
    def nanoseconds(self) -> int:
        """The machine's own time since it booted; it goes on with every look at it."""
        self.now.traps += 1
        return self.ticks * (1_000_000_000 // HZ) + self.now.traps * 1000

    def request_module(self, name: str, *, wait: bool) -> int:
        """Have a module loaded; return what the kernel's function of that name does.

        The machine is others' meanwhile: the module that is asked for has an init, too.
        """
        if self._requests >= REQUESTS_MAX:
            why = (
                f"request_module: modprobe {name} cannot be processed, kmod busy with "
                f"{REQUESTS_MAX} threads for more than {_BUSY_SECONDS} seconds now"
            )
            self.log(Level.WARNING, why + "\n")
            return -errno.ETIME
        self.flush_log()
        mine, began = self._swap(_SystemCall("", TimeLimit())), time.monotonic()
        self._requests += 1
        self.lock.release()
        try:
            requested = self.services.request(name, wait)
        finally:
            self.lock.acquire()
            self._requests -= 1
            self._swap(mine)
            mine.time_limit.pause(time.monotonic() - began)
        if requested.why:
            self.log(Level.WARNING, f"request_module: modprobe {name}: {requested.why}\n")
        return requested.status

    def later(self, work: Callable[[], None]) -> None:
        """Have something done when the function that is running has returned."""
        self.pending.append(work)

    def run_pending(self) -> None:
        """Do what was put off."""
        for _ in range(WORK_MAX):
            if not self.pending:
                return
            self.pending.popleft()()
        self.pending.clear()

    def log(self, level: Level, text: str, *, is_continuation: bool = False) -> None:
        """Log text; what does not end in a line feed waits for its continuation."""
        if is_continuation and self._partial is not None:
            level, before = self._partial
            text = before + text
            self._partial = None
        else:
            self.flush_log()
        if text.endswith("\n"):
            self.services.printk(level, text)
        elif text:
            self._partial = level, text[:1024]

    def flush_log(self) -> None:
        """Log what waits for a continuation."""
        if self._partial is not None:
            (level, text), self._partial = self._partial, None
            self.services.printk(level, text)

    def panic(self, text: str) -> None:
        """End the code that has called panic(): here it only takes its module with it."""
        why = f"Kernel panic - not syncing: {text}"
        raise crash.out_of_place(why, self.faults.scene(self.caller))
