# SPDX-License-Identifier: Apache-2.0
"""What a kernel tells of one run of a module that it is to try, some of its calls failing."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from kmodd.kernel.base import Device
from kmodd.modulefile.source_lines import SourceLine
from kmodd.records import field, record

PHASES = ("init", "running", "probe", "remove", "exit")
"""What a module is at: its init, what it has begun, a driver's probe and remove, its exit."""

MISSTEPS = ("oops", "stuck", "leak", "unowned", "in use")
"""What can go wrong in code: a crash, a wait or a loop without end, something never given back,
something given back that nobody had, memory freed in which something is still in use."""


@record
class CodePlace:
    """Where in a module's code something is: in a function, so many bytes from its start."""

    module: str = ""
    function: str = ""
    offset: int = 0

    def __lt__(self, other: "CodePlace") -> bool:
        mine, others = ((each.module, each.function, each.offset) for each in (self, other))
        return mine < others

    def __str__(self) -> str:
        return f"{self.function}+{self.offset:#x}" if self.function else "?"


@record
class FailableCall:
    """A call of a kernel function that can fail: with what it does (``how``, as C has it), from
    where it was made, in which of the PHASES. The failure of one ``may_be_ignored``; of one that
    ``is_optional`` a module may do without the thing, but has to look whether it has it. One that
    ``is_nested`` was made in a function that the kernel has called for something else that the
    module has asked for, as a driver's probe is while the driver is registered.
    """

    name: str
    how: str
    place: CodePlace
    phase: str
    may_be_ignored: bool = False
    is_optional: bool = False
    is_nested: bool = False


@record
class Misstep:
    """What went wrong: its kind (MISSTEPS), in words, where, and in which of the PHASES."""

    kind: str
    what: str
    place: CodePlace
    phase: str


@record
class Attempt:
    """What to try: the numbers of the calls that are to ``fail``, and the ``devices`` to plug in,
    by their modaliases, and to unplug again. ``follow`` is the number of a call of which it is to
    be told which way the code goes behind it.
    """

    fail: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()
    follow: int | None = None


@record
class Observation:
    """What one run has shown.

    ``calls`` are those that can fail, in order; their numbers are their places, and those in
    ``failed`` did fail. ``flow`` has, for each phase, a number for each call of a kernel function
    and the place that it was made from; ``failed_at`` how many of them there were up to the first
    that failed. A line of the log is 0 there. ``path`` is what the call to ``follow`` returned, in
    64 bits, and the addresses of the code that was run behind it, up to the next call. ``held`` are
    numbers for the places where was taken what the module had when the first call failed, ``kept``
    for those of what it had when its init ended. ``result`` is what the init returned, None where
    it did not. ``devices`` are as they were once they were plugged in. ``unchecked`` says why
    nothing is to be concluded. ``stubbed`` are the functions that were called and are not modelled.
    ``log`` has the last lines of the kernel's log.
    """

    calls: tuple[FailableCall, ...] = ()
    failed: tuple[int, ...] = ()
    flow: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    failed_at: Mapping[str, int] = field(default_factory=dict)
    path: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    result: int | None = None
    missteps: tuple[Misstep, ...] = ()
    devices: tuple[Device, ...] = ()
    unchecked: str = ""
    stubbed: tuple[str, ...] = ()
    log: tuple[str, ...] = ()

    @property
    def has_crashed(self) -> bool:
        """Tell whether code came to no end of its own."""
        return any(each.kind in ("oops", "stuck") for each in self.missteps)


class Trials(Protocol):
    """A kernel in which modules are tried, each run from a fresh boot."""

    why_not_run: str
    """Why it runs no code; empty where it does."""

    def attempt(self, images: Sequence[bytes], parameters: str, attempt: Attempt) -> Observation:
        """Load ``images``, plain module files, one after the other, and try the last of them.

        Raises KernelError for a run that ends the kernel (KERNEL_PANIC), or that is not begun as
        the module, or one before it, is not loaded.
        """

    def source_lines(
        self, image: bytes, places: Sequence[CodePlace]
    ) -> tuple[SourceLine | None, ...]:
        """Return the source line of each place in the module ``image``, None where that is not
        known.
        """

    def close(self) -> None:
        """End the kernel; a run that is under way fails."""
