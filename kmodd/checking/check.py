# SPDX-License-Identifier: Apache-2.0
"""The runs of a check, one after the other, and what they come to."""

import errno
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kmodd.checking.flaws import FailedCall, Flaw, Report
from kmodd.checking.judging import judge, told_of
from kmodd.checking.runs import DEVICES_MAX, RUNS_MAX, SECONDS_MAX, seconds, singles
from kmodd.errors import KernelError, Reason
from kmodd.kernel.trials import Attempt, Observation, Trials
from kmodd.records import record, replace

FLAWS_MAX = 200
"""Flaws that are told."""


_ERRNOS_FROM = (1 << 64) - 4096
"""What is above is an errno in a pointer (include/linux/err.h)."""


@record
class Progress:
    """How many runs there were, and how many are known of by now."""

    done: int
    total: int


@dataclass(slots=True)
class _Check:
    """A check under way. ``bases`` are the runs without a failure, by the device."""

    trials: Trials
    images: Sequence[bytes]
    parameters: str
    bases: dict[str, Observation] = field(default_factory=dict)
    found: dict[object, Flaw] = field(default_factory=dict)
    failed: set[object] = field(default_factory=set)
    stubbed: dict[str, None] = field(default_factory=dict)
    runs: int = 0
    untold: int = 0
    why_untold: str = ""

    def run(self, attempt: Attempt) -> Observation | None:
        """Make a run and judge it; None where nothing can be concluded from it."""
        self.runs += 1
        try:
            seen = self.trials.attempt(self.images, self.parameters, attempt)
        except KernelError as error:
            if error.reason is not Reason.KERNEL_PANIC:
                raise
            seen = Observation(unchecked=error.message)
        self.stubbed.update(dict.fromkeys(seen.stubbed))
        why = _untold(seen, attempt)
        if why is not None:
            self.untold += 1
            self.why_untold = self.why_untold or why
            return None
        base = self.bases.get("".join(attempt.devices) if attempt.fail else "")
        self._note(seen, base, attempt)
        return seen

    def _note(self, seen: Observation, base: Observation | None, attempt: Attempt) -> None:
        self.failed.update((seen.calls[each].name, seen.calls[each].place) for each in seen.failed)
        for flaw in judge(seen, base, lambda: self._has_looked(attempt)):
            key: tuple[object, ...] = flaw.kind, flaw.place, flaw.what
            if flaw.kind == "leak":
                key = flaw.kind, flaw.place, flaw.phase
            known = self.found.get(key)
            if known is not None:
                self.found[key] = replace(known, runs=known.runs + 1)
            elif len(self.found) < FLAWS_MAX:
                self.found[key] = told_of(flaw, seen, attempt)

    def _has_looked(self, attempt: Attempt) -> bool:
        """Tell whether the code goes another way behind a call when that fails.

        The runs that are made for that count for none. Where it cannot be told, it is taken to
        have looked: so it is where the call fails in any case.
        """
        paths = []
        try:
            for fail in (attempt.fail, ()):
                wanted = Attempt(fail, attempt.devices, follow=attempt.fail[0])
                paths.append(self.trials.attempt(self.images, self.parameters, wanted).path)
            (_, *failing), (result, *usual) = paths
            if _is_failure(result, self.bases["".join(attempt.devices)].calls[attempt.fail[0]].how):
                return True
            return failing != usual or self._minds_all(attempt)
        except ValueError:  # the call was not made again
            return True
        except KernelError as error:
            if error.reason is not Reason.KERNEL_PANIC:
                raise
            return True

    def _minds_all(self, attempt: Attempt) -> bool:
        """Tell whether a loop does without some of what it asks for, but not without all of it."""
        base = self.bases["".join(attempt.devices)]
        call = base.calls[attempt.fail[0]]
        numbers = tuple(
            number
            for number, each in enumerate(base.calls)
            if (each.name, each.place) == (call.name, call.place)
        )
        if len(numbers) == 1:
            return False
        seen = self.trials.attempt(self.images, self.parameters, Attempt(numbers, attempt.devices))
        return seen.result != base.result

    def report(self, module: str, left_out: int) -> Report:
        """Return what has been found by now, with the lines of the source."""
        flaws = tuple(self.found.values())
        places = {each.place for each in flaws}
        places |= {failed.call.place for each in flaws for failed in each.failed}
        wanted = sorted(each for each in places if each.function)
        try:
            lines = self.trials.source_lines(self.images[-1], wanted)
        except KernelError:
            lines = (None,) * len(wanted)
        of = dict(zip(wanted, lines, strict=True))
        return Report(
            module,
            flaws=tuple(
                replace(
                    each,
                    line=of.get(each.place),
                    failed=tuple(
                        FailedCall(one.call, of.get(one.call.place)) for one in each.failed
                    ),
                )
                for each in flaws
            ),
            runs=self.runs,
            left_out=left_out,
            calls=len(self.failed),
            devices=tuple(each for each, seen in self.bases.items() if each and _took(seen)),
            not_modelled=tuple(self.stubbed),
            untold=self.untold,
            why_untold=self.why_untold,
        )


def check(
    trials: Trials,
    module: str,
    images: Sequence[bytes],
    parameters: str = "",
    *,
    devices: Sequence[str] = (),
    pairs: bool = False,
    runs_max: int = RUNS_MAX,
) -> Iterator[Progress | Report]:
    """Try a module, and yield how far that is and at last what was found.

    ``images`` are plain module files: what the module needs, in the order in which it is loaded,
    and the module itself. The first DEVICES_MAX of ``devices``, modaliases, are plugged in. With
    ``pairs`` each two calls fail besides each one. Not more than ``runs_max`` runs are made, and
    none is begun after SECONDS_MAX. Raises KernelError where the kernel does not load the
    module, or nothing can be told of it.
    """
    under_way = _Check(trials, images, parameters)
    yield Progress(0, 1)
    base = under_way.run(Attempt())
    if base is None:
        why = f"nothing can be told of {module}: {under_way.why_untold}"
        raise KernelError(Reason.KERNEL_REFUSED, why, errno=errno.EOPNOTSUPP, module=module)
    under_way.bases[""] = base
    waiting = deque[Attempt](singles(base))
    waiting.extend(Attempt(devices=(each,)) for each in devices[:DEVICES_MAX])
    deadline = time.monotonic() + SECONDS_MAX
    while waiting and under_way.runs < runs_max and time.monotonic() < deadline:
        yield Progress(under_way.runs, min(under_way.runs + len(waiting), runs_max))
        attempt = waiting.popleft()
        seen = under_way.run(attempt)
        if seen is None:
            continue
        if attempt.devices and not attempt.fail:
            under_way.bases["".join(attempt.devices)] = seen
            waiting.extend(singles(seen, "".join(attempt.devices)))
        elif pairs and len(attempt.fail) == 1 and not seen.has_crashed:
            waiting.extend(seconds(seen, attempt))
    yield Progress(under_way.runs, under_way.runs)
    yield under_way.report(module, len(waiting))


def _untold(seen: Observation, attempt: Attempt) -> str | None:
    """Return why nothing is to be concluded from a run, None where something is.

    Where nothing was made to fail, code may come to a bad end as what it asked of the kernel is not
    modelled, or as no device is behind the one that was plugged in.
    """
    if seen.unchecked or len(seen.failed) != len(attempt.fail):
        return seen.unchecked
    if seen.has_crashed and not attempt.fail and (seen.stubbed or attempt.devices):
        return next(each.what for each in seen.missteps if each.kind in ("oops", "stuck"))
    return None


def _is_failure(result: int, how: str) -> bool:
    """Tell whether what a call returned, in 64 bits, is a failure of the kind of ``how``."""
    if not how.startswith("-"):
        return not result or result > _ERRNOS_FROM
    return bool(result >> 31 & 1)


def _took(seen: Observation) -> bool:
    """Tell whether a driver took the device, or had a look at it."""
    return any(each.driver or each.probe_errno for each in seen.devices)
