# SPDX-License-Identifier: Apache-2.0
"""One run of a module's code that is watched, and in which some of its calls fail."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.failing import FAILING, GIVES_BACK, Failing
from kmodd.kernel.emulated.abi.function_table import RETURN_ZERO, Function
from kmodd.kernel.emulated.machine.crash import Crash
from kmodd.kernel.emulated.modules.kallsyms import SymbolPlace
from kmodd.kernel.trials import CodePlace, FailableCall, Misstep

CALLS_MAX = 20_000
"""Calls that can fail which are noted of one run; those behind them do not fail."""

FLOW_MAX = 4000
"""Calls of kernel functions of which it is known that they were made, of each phase."""

MISSTEPS_MAX = 50
"""Mistakes that are noted of one run."""

TRIAL_SECONDS = 2.0
"""Seconds of the machine's processor that one system call may take in a run."""

NO_PRESSURE = 1 << 15
"""__GFP_NOFAIL: who asks for memory with it gets some (include/linux/gfp_types.h)."""

PANICS = 1 << 18
"""SLAB_PANIC: without such a cache the kernel does not go on (include/linux/slab.h)."""

NOWHERE = SymbolPlace("", "", 0, 0)
"""No place in a module."""

_PRINTS = frozenset(
    (
        *("_printk", "printk", "_dev_alert", "_dev_crit", "_dev_emerg", "_dev_err"),
        *("_dev_info", "_dev_notice", "_dev_printk", "_dev_warn", "dev_printk", "netdev_alert"),
        *("netdev_crit", "netdev_emerg", "netdev_err", "netdev_info", "netdev_notice"),
        *("netdev_warn", "__warn_printk"),
    )
)
"""What writes a line to the log."""

_UNTOLD = frozenset({"__might_resched", "__cond_resched", "__might_sleep", "___ratelimit"})
"""Calls from which nobody can tell what a module has in mind."""


@dataclass(slots=True, eq=False)
class Trial:
    """What is tried with ``module``: of its calls that can fail the ones with numbers in ``fail``.

    For who holds the machine, who says where the module took what it is ``holding``. It ``follows``
    the code behind the call with the number ``follow``, which it was told of last. What it comes to
    know is that of an Observation (kernel/trials.py).
    """

    module: str
    fail: frozenset[int] = frozenset()
    follow: int | None = None
    phase: str = ""
    calls: list[FailableCall] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    flow: dict[str, list[int]] = field(default_factory=dict)
    failed_at: dict[str, int] = field(default_factory=dict)
    path: list[int] = field(default_factory=list)
    follows: bool = False
    held: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    holding: Callable[[], tuple[int, ...]] = tuple
    result: int | None = None
    missteps: list[Misstep] = field(default_factory=list)
    stubbed: dict[str, None] = field(default_factory=dict)
    unchecked: str = ""

    @property
    def has_crashed(self) -> bool:
        """Tell whether code came to no end of its own."""
        return any(each.kind in ("oops", "stuck") for each in self.missteps)

    def enter(self, phase: str) -> None:
        """Note that another phase begins."""
        self.phase = phase

    def called(
        self,
        name: str,
        address: int,
        place: SymbolPlace,
        arguments: tuple[int, ...],
        *,
        is_nested: bool = False,
    ) -> Failing | None:
        """Note a call of the module's; return how it fails where it is to."""
        flow = self.flow.setdefault(self.phase, [])
        failing = FAILING.get(name)
        if len(flow) < FLOW_MAX and name not in _UNTOLD:
            flow.append(0 if name in _PRINTS else zlib.crc32(f"{name} {address}".encode()))
        if failing is None or self.phase not in ("init", "running", "probe"):
            return None
        if len(self.calls) >= CALLS_MAX or _must_succeed(name, arguments):
            return None
        number = len(self.calls)
        self.calls.append(
            FailableCall(
                name,
                failing.shown,
                _code_place(place),
                self.phase,
                failing.may_be_ignored,
                failing.is_optional,
                is_nested,
            )
        )
        self.follows = number == self.follow
        if number not in self.fail:
            return None
        if not self.failed:
            self.held = self.holding()
        self.failed.append(number)
        self.failed_at.setdefault(self.phase, len(flow))
        return failing

    def missed(self, name: str, kind: str, place: SymbolPlace) -> None:
        """Note that a function found nothing to take back."""
        if kind in GIVES_BACK.get(name, ()):
            self.note("unowned", f"{name} is given a {kind} that nobody has taken", place)

    def crashed(self, crash: Crash, places: Iterable[SymbolPlace]) -> None:
        """Note a crash, and who had called what crashed."""
        named = [each for each in places if each.symbol]
        place = next((each for each in named if each.module == self.module), NOWHERE)
        if crash.own or (named and named[0].module != self.module):
            self.unchecked = self.unchecked or crash.why
        elif crash.stuck:
            self.note("stuck", crash.why, place)
        else:
            self.note("oops", crash.why, place)

    def take_follows(self) -> bool:
        """Tell whether the way behind the last call is to be followed, and that is over then."""
        follows, self.follows = self.follows, False
        return follows

    def left(self, what: str, place: SymbolPlace) -> None:
        """Note something that was never given back, and where it was taken."""
        self.note("leak", what, place)

    def note(self, kind: str, what: str, place: SymbolPlace) -> None:
        """Note a mistake; ``kind`` is one of MISSTEPS."""
        misstep = Misstep(kind, what, _code_place(place), self.phase)
        if len(self.missteps) < MISSTEPS_MAX and misstep not in self.missteps:
            self.missteps.append(misstep)


def _code_place(place: SymbolPlace) -> CodePlace:
    return CodePlace(place.module, place.symbol, place.offset)


def triable(functions: Mapping[str, Function]) -> Mapping[str, Function]:
    """Return the functions of a kernel in which modules are tried: what can fail is no machine
    code, which nobody can keep from succeeding.
    """
    return {
        name: Function(function.prototype, _succeed)
        if name in FAILING and function.code == RETURN_ZERO
        else function
        for name, function in functions.items()
    }


def _succeed(_kernel: object, *_arguments: int) -> int:
    return 0


def _must_succeed(name: str, arguments: tuple[int, ...]) -> bool:
    position = _FLAGS.get(name)
    if position is not None:
        return bool(arguments[position] & NO_PRESSURE)
    return name in _CACHES and bool(arguments[3] & PANICS)


_FLAGS = {
    "__kmalloc": 1,
    "kmalloc_trace": 1,
    "kmalloc_large": 1,
    "kvmalloc_node": 1,
    "kmem_cache_alloc": 1,
    "__kmalloc_noprof": 1,
    "__kmalloc_cache_noprof": 1,
    "kmem_cache_alloc_noprof": 1,
    "__get_free_pages": 0,
}
"""Which argument has the flags of an allocation, of those that may be told not to fail."""

_CACHES = frozenset({"kmem_cache_create", "__kmem_cache_create_args", "kmem_cache_create_usercopy"})
