# SPDX-License-Identifier: Apache-2.0
"""System calls under way: functions of modules that they call, and the kernel's that those call."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.failing import Failing
from kmodd.kernel.emulated.abi.function_table import Function
from kmodd.kernel.emulated.abi.structures import MissingFieldError
from kmodd.kernel.emulated.hardware.events import Event, Faulted, Returned, Ticked, Trapped
from kmodd.kernel.emulated.hardware.memory import BadAddress
from kmodd.kernel.emulated.hardware.trampoline import TRAMPOLINE
from kmodd.kernel.emulated.hardware.x86_64 import X86_64
from kmodd.kernel.emulated.machine import crash
from kmodd.kernel.emulated.machine.clock import HZ, Clock
from kmodd.kernel.emulated.machine.crash import Crash
from kmodd.kernel.emulated.machine.faults import Faults
from kmodd.kernel.emulated.machine.images import Images
from kmodd.kernel.emulated.machine.kernel_symbols import KernelSymbols
from kmodd.kernel.emulated.machine.scheduler import Exited, Suspended, Task
from kmodd.kernel.emulated.machine.stubs import Stubs
from kmodd.kernel.emulated.machine.time_limit import TimeLimit
from kmodd.kernel.emulated.machine.trial import Trial
from kmodd.kernel.emulated.modules.kallsyms import SymbolPlace

LOCKUP_SECONDS = 22
"""Seconds of the machine's own time after which busy code is stuck (the kernel's watchdog)."""

TRAPS_MAX = 200_000
"""Calls of kernel functions that one call of the kernel's may make. Of Debian's modules whose init
ends well nandsim makes the most, 33,000; test_user_copy would make a million."""

DEPTH_MAX = 24
"""How deep modules and kernel may call each other."""


_MASK = (1 << 64) - 1


@dataclass(slots=True)
class SystemCall:
    """A system call under way.

    ``module`` is whom it is about, ``time_limit`` what time it has, ``stack`` where its stack
    ends. ``function`` is the one of a module's that the kernel has called, ``trap`` the kernel
    function that is being called. The others are counted: nested calls, calls of kernel functions,
    ticks of busy code, seconds slept. ``task`` is the one that runs, None for the system call's own
    code. ``number`` is that of its stack. ``current`` is the ``struct task_struct`` that it runs
    as, 0 for the one that all calls about modules have; one ``of_user`` is a user's, and may wait
    for as long as he does.
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
    current: int = 0
    of_user: bool = False
    stubbed: dict[str, None] = field(default_factory=dict)


class SystemCalls:
    """The system call that has the processor (``now``); for who holds the machine.

    ``kernel`` is what each of the kernel's ``functions`` gets as its first argument.
    """

    def __init__(
        self,
        kernel: object,
        cpu: X86_64,
        *,
        functions: Mapping[str, Function],
        symbols: KernelSymbols,
        images: Images,
        clock: Clock,
        faults: Faults,
        stubs: Stubs,
        trial: Trial | None = None,
    ) -> None:
        self.now = SystemCall("", TimeLimit())
        self._kernel = kernel
        self._cpu = cpu
        self._functions = functions
        self._symbols = symbols
        self._images = images
        self._clock = clock
        self._faults = faults
        self._stubs = stubs
        self._trial = trial
        self._serving = ""

    def swap(self, call: SystemCall) -> SystemCall:
        """Have another system call go on, and return the one that did."""
        before, self.now = self.now, call
        if call.current != before.current:
            self._symbols.run_as(call.current)
        return before

    def invoke(self, function: int, arguments: tuple[int, ...]) -> int:
        """Call a function of a module and return what it returns, as the register has it.

        Raises Crash where it does not return.
        """
        now = self.now
        outer, outer_function = now.trap, now.function
        now.function = function
        now.depth += 1
        try:
            if now.depth > DEPTH_MAX:
                why = "BUG: kernel stack overflow"
                raise crash.out_of_place(why, self._faults.scene(function))
            stack = outer.stack if outer else now.stack
            return self.finish(self._cpu.call(function, arguments, stack))
        finally:
            now.depth -= 1
            now.trap, now.function = outer, outer_function

    def finish(self, event: Event) -> int:
        """Do what code asks for from this event on, until it returns; return what it returns."""
        while not isinstance(event, Returned):
            if isinstance(event, Trapped):
                self.now.trap = event
                event = self._answer(event, self._serve(event))
            elif isinstance(event, Ticked):
                self._tick(event.at)
                event = self._cpu.run(event.at)
            else:
                event = self._cpu.run(self._faults.past(event))
        return event.value

    def _answer(self, trapped: Trapped, result: int) -> Event:
        """Return from a kernel function; where that is tried, note which way the code goes on."""
        if self._trial is None or not self._trial.take_follows():
            return self._cpu.answer(trapped, result)
        self._trial.path.append(result & _MASK)
        with self._cpu.following(self._trial.path):
            return self._cpu.answer(trapped, result)

    def _serve(self, trapped: Trapped) -> int:
        """Do the work of the kernel function that was called."""
        now = self.now
        now.traps += 1
        if now.traps > TRAPS_MAX or (not now.traps & 0x3FF and now.time_limit.is_spent()):
            raise crash.soft_lockup(LOCKUP_SECONDS, self._faults.scene(self.caller))
        name = self._symbols.name(trapped.slot)
        if not name:
            fault = Faulted(trapped.slot, "execute", trapped.slot)
            raise crash.page_fault(fault, self._faults.scene(trapped.slot))
        function = self._functions.get(name)
        if function is None:
            return self._stub(name)
        failing = None if self._trial is None else self._try(self._trial, name, trapped.arguments)
        try:
            if failing is not None:
                return self._fail(failing, function, trapped.arguments)
            return function(self._kernel, trapped.arguments)
        except (Crash, Suspended, Exited):
            raise
        except MissingFieldError as missing:
            return self._stub(name, str(missing))
        except Exception as error:
            raise self._faults.blame(error, name, trapped.slot) from error

    def _try(self, trial: Trial, name: str, arguments: tuple[int, ...]) -> Failing | None:
        """Note a call for the trial, and return how it fails where it is to."""
        self._serving = name
        module, address = self.taker()
        if module != trial.module:
            return None
        place, is_nested = self.place_of(address), self.now.depth > 1
        return trial.called(name, address, place, arguments, is_nested=is_nested)

    def _fail(self, failing: Failing, function: Function, arguments: tuple[int, ...]) -> int:
        if failing.before is not None:
            failing.before(self._kernel, *function.taken(arguments))
        return failing.result

    def note_missed(self, kind: str, key: int) -> None:
        """Note for the trial that something which is not there was given back."""
        if self._trial is None or not key or self.now.trap is None:
            return
        module, address = self.taker()
        if module == self._trial.module:
            self._trial.missed(self._serving, kind, self.place_of(address))

    def place_of(self, address: int) -> SymbolPlace:
        """Return where in a module's code an address is."""
        image = self._images.at(address)
        return SymbolPlace("", "", 0, 0) if image is None else image.find(address)

    def _stub(self, name: str, why: str = "") -> int:
        if self._trial is not None:
            self._trial.stubbed[name] = None
        self.now.stubbed[name] = None
        return self._stubs.answer(self.taker()[0], name, why)

    def _tick(self, at: int) -> None:
        self.now.busy += 1
        self._clock.advance(1)
        if self.now.busy >= LOCKUP_SECONDS * HZ or self.now.time_limit.is_spent():
            raise crash.soft_lockup(LOCKUP_SECONDS, self._faults.scene(at))

    @property
    def caller(self) -> int:
        """The address that the kernel function which is running returns to, 0 for none.

        Where a module's function has ended in a jump to it, that is the module's function.
        """
        if self.now.trap is None:
            return 0
        try:
            address = self._cpu.memory.number(self.now.trap.stack)
        except BadAddress:
            # The module had its stack end right there.
            return 0
        return self.now.function if address == TRAMPOLINE.returned else address

    def taker(self) -> tuple[str, int]:
        """Return the module whose code is running, and the address that it has called from."""
        address = self.caller
        image = self._images.at(address) if address else None
        return (image.name if image else self.now.module), address
