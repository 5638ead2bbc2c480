# SPDX-License-Identifier: Apache-2.0
"""The emulated machine: a processor with its memory, and the kernel's part of what runs on it.

This is what the kernel functions that modules call get as their first argument.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock

from kmodd.kernel.emulated.abi.function_table import FUNCTIONS
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.memory import READ, WRITE
from kmodd.kernel.emulated.hardware.x86_64 import X86_64, stack_of
from kmodd.kernel.emulated.machine.calls import SystemCall, SystemCalls
from kmodd.kernel.emulated.machine.clock import Clock
from kmodd.kernel.emulated.machine.deferred_work import DeferredWork
from kmodd.kernel.emulated.machine.faults import Faults
from kmodd.kernel.emulated.machine.heap import Heap
from kmodd.kernel.emulated.machine.image import ModuleImage
from kmodd.kernel.emulated.machine.images import Images
from kmodd.kernel.emulated.machine.kernel_symbols import KernelSymbols
from kmodd.kernel.emulated.machine.log_lines import LogLines
from kmodd.kernel.emulated.machine.module_requests import ModuleRequests
from kmodd.kernel.emulated.machine.pseudo_filesystem import Mounts
from kmodd.kernel.emulated.machine.resource_ledger import ResourceLedger
from kmodd.kernel.emulated.machine.services import Services
from kmodd.kernel.emulated.machine.sleepers import Sleepers
from kmodd.kernel.emulated.machine.stacks import Stacks
from kmodd.kernel.emulated.machine.state import States, Value
from kmodd.kernel.emulated.machine.stubs import Stubs
from kmodd.kernel.emulated.machine.tasks import Tasks
from kmodd.kernel.emulated.machine.time_limit import TimeLimit
from kmodd.kernel.emulated.machine.trial import TRIAL_SECONDS, triable
from kmodd.kernel.emulated.machine.user_memory import UserMemory
from kmodd.kernel.emulated.modules.kallsyms import SymbolPlace


class Machine:
    """The parts of the machine; for one thread at a time (``lock``)."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.lock, self._stacks, self._states = Lock(), Stacks(), States()
        self.cpu = cpu = X86_64()
        self.memory = cpu.memory
        region = self.memory.add(addresses.DIRECT_MAP, addresses.DIRECT_MAP_SIZE, READ | WRITE)
        # The first page of all is nobody's.
        self.trial = trial = services.trial
        functions = FUNCTIONS if trial is None else triable(FUNCTIONS)
        self.heap = Heap(region, addresses.DIRECT_MAP + 4096, keeps_freed=trial is not None)
        first_free = addresses.PER_CPU + addresses.PER_CPU_OF_MODULES
        self.per_cpu = Heap(self.memory.region(addresses.PER_CPU), first_free)
        self.kernel_symbols = symbols = KernelSymbols(cpu, functions, self.heap.allocate)
        self.images = Images()
        self.mounts = Mounts()
        self.users = UserMemory()
        self.clock = Clock(lambda jiffies: self.memory.put(symbols.jiffies, jiffies))
        self.log = LogLines(services.printk)
        self.deferred = DeferredWork()
        self.stubs = Stubs(services.printk, self.heap)
        self.faults = Faults(cpu, self.images, services, self.log, self.symbol, self.place)
        self.calls = SystemCalls(
            self,
            cpu,
            functions=functions,
            symbols=symbols,
            images=self.images,
            clock=self.clock,
            faults=self.faults,
            stubs=self.stubs,
            trial=trial,
        )
        missed = None if trial is None else self.calls.note_missed
        self.ledger = ResourceLedger(self.calls.taker, missed)
        if trial is not None:
            trial.holding = partial(self._held_by, trial.module)
        self.requests = ModuleRequests(self.lock, self.calls, services, self.log)
        self._sleepers = Sleepers(self.lock, self.calls, self.log)
        self.tasks = Tasks(
            cpu,
            self.calls,
            clock=self.clock,
            stacks=self._stacks,
            deferred=self.deferred,
            faults=self.faults,
            log=self.log,
            sleepers=self._sleepers,
        )
        self.scheduler = self.tasks.scheduler

    @contextmanager
    def running(self, module: str, current: int = 0) -> Iterator[None]:
        """Have the machine to oneself for a system call about ``module``, with a new stack.

        The call is a task of its own: what a crash leaves disabled is so for nobody else. One that
        runs as the task ``current`` is a user's, and while it waits the machine is others'.
        """
        with self.lock:
            number = self._stacks.take()
            preempt_count = self.kernel_symbols.preempt_count
            disabled = self.memory.number(preempt_count, 4)
            self.memory.put(preempt_count, 0, 4)
            call = SystemCall(module, self._time_limit(), current=current, of_user=bool(current))
            before = self.calls.swap(call)
            try:
                self.calls.now.stack = stack_of(self.memory, number)
                self.cpu.reset()
                yield
            finally:
                self.log.flush()
                self._sleepers.wake()
                self.calls.swap(before)
                self.memory.put(preempt_count, disabled, 4)
                self._stacks.give(number)

    def _held_by(self, module: str) -> tuple[int, ...]:
        return tuple(each.taken_at for each in self.ledger.held(module))

    def _time_limit(self) -> TimeLimit:
        return TimeLimit() if self.trial is None else TimeLimit(TRIAL_SECONDS)

    def invoke(self, function: int, *arguments: int) -> int:
        """Call a function of a module and return what it returns, as the register has it.

        Raises Crash where it does not return.
        """
        return self.calls.invoke(function, arguments)

    def call(self, function: int, *arguments: int) -> int:
        """Like ``invoke``, for a function that returns an int."""
        value = self.calls.invoke(function, arguments) & 0xFFFFFFFF
        return value - (value >> 31 << 32)

    @property
    def taker(self) -> str:
        """The module whose code is running."""
        return self.calls.taker()[0]

    def state(self, kind: type[Value]) -> Value:
        """Return the only ``kind`` there is: what a family of functions knows of this machine."""
        return self._states.of(kind)

    def forget_memory(self, address: int, size: int) -> None:
        """Forget what is kept of structures in memory that is given back."""
        self._states.forget_memory(address, address + size)

    def add_image(self, image: ModuleImage) -> None:
        """Let the machine know of a module's code."""
        self.images.add(image)
        self.cpu.forget_code()

    def remove_image(self, image: ModuleImage, *, init_only: bool = False) -> None:
        """Forget a module's code, or what of it is for init alone."""
        for start, end in self.images.remove(image, init_only=init_only):
            self.forget_memory(start, end - start)
            self.memory.fill(start, end - start)

    def note_unmodelled(self, name: str) -> None:
        """Note that a function gives something without what is in it elsewhere."""
        if self.trial is not None:
            self.trial.stubbed[name] = None

    def blame(self, kind: str, what: str) -> None:
        """Note a mistake of the code that is calling, where it is tried."""
        module, address = self.calls.taker()
        if self.trial is not None and module == self.trial.module:
            self.trial.note(kind, what, self.place(address))

    def blame_use(self, address: int, size: int) -> None:
        """Note it where something is still in memory that is freed."""
        if self.trial is not None:
            entry = self.ledger.within(address, address + size)
            if entry is not None and entry.module == self.trial.module:
                self.blame("in use", f"memory is freed in which {entry.name or entry.kind} is")

    def place(self, address: int) -> SymbolPlace:
        """Return where in a module's code an address is, with no name for one in none."""
        image = self.images.at(address)
        return SymbolPlace("", "", 0, 0) if image is None else image.find(address)

    def symbol(self, address: int, *, offset: bool = True) -> str:
        """Name an address as the kernel's ``%pS`` does, or ``%ps`` without an offset."""
        image = self.images.at(address)
        if image is not None:
            place = image.find(address)
            if not offset:
                return f"{place.symbol} [{place.module}]"
            return str(place) if place.symbol else f"{address:#x} [{image.name}]"
        name, distance = self.kernel_symbols.nearest(address)
        if not name:
            return f"{address:#x}"
        return f"{name}+{distance:#x}/{addresses.SLOT_SIZE:#x}" if offset else name
