# SPDX-License-Identifier: Apache-2.0
"""What a run shows to be wrong, beside one in which nothing fails."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from kmodd.checking.flaws import FailedCall, Flaw
from kmodd.checking.rules import rule_broken, rule_of
from kmodd.kernel.trials import Attempt, CodePlace, FailableCall, Observation

ERRNO_LAST, KERNEL_FIRST, KERNEL_LAST = 133, 512, 531
"""The last errno of programs, and the first and the last that the kernel has for itself
(include/linux/errno.h)."""


def judge(
    seen: Observation, base: Observation | None, has_looked: Callable[[], bool]
) -> Iterator[Flaw]:
    """Yield what a run shows; ``base`` is the same without a failure, None for that itself.

    ``has_looked`` tells whether the code went another way when the call failed.
    """
    before = frozenset() if base is None else frozenset(base.missteps)
    failed = tuple(FailedCall(seen.calls[number]) for number in seen.failed)
    for misstep in seen.missteps:
        if misstep in before or (misstep.kind == "leak" and seen.has_crashed):
            continue
        yield Flaw(
            misstep.kind,
            misstep.what,
            misstep.place,
            misstep.phase,
            rule_broken(misstep),
            log=seen.log if misstep.kind in ("oops", "stuck") else (),
        )
    if seen.result is not None and not _is_result(seen.result):
        if base is None or base.result != seen.result:
            what = f"init returns {seen.result}, which is no errno"
            if seen.result > 0:
                what = f"init returns {seen.result}, which is neither 0 nor below zero"
            yield Flaw("bad result", what, CodePlace(), "init", rule_of("bad result"))
    elif base is not None and len(failed) == 1 and not seen.has_crashed:
        yield from _judge_result(seen, base, failed[0].call, has_looked)


def told_of(flaw: Flaw, seen: Observation, attempt: Attempt) -> Flaw:
    """Return a flaw with what it was found by."""
    return replace(
        flaw,
        failed=tuple(FailedCall(seen.calls[number]) for number in seen.failed),
        device="".join(attempt.devices),
        result=seen.result,
    )


def _is_result(result: int) -> bool:
    """Tell whether an init may return that."""
    return -ERRNO_LAST <= result <= 0 or -KERNEL_LAST <= result <= -KERNEL_FIRST


def _judge_result(
    seen: Observation, base: Observation, call: FailableCall, has_looked: Callable[[], bool]
) -> Iterator[Flaw]:
    """Yield what is wrong with a success where a call has failed."""
    if call.may_be_ignored or call.is_nested or not _has_succeeded(seen, call.phase):
        return
    if call.phase == "init" and _is_undone(seen, base):
        what = "init gives back what it has taken, and returns 0"
        yield Flaw("undone", what, call.place, call.phase, rule_of("undone"))
    elif _is_ignored(seen, base, call, has_looked):
        what = f"{call.phase} returns 0, though {call.name} has failed"
        yield Flaw("ignored", what, call.place, call.phase, rule_of("ignored"))


def _has_succeeded(seen: Observation, phase: str) -> bool:
    if phase == "init":
        return seen.result == 0
    return phase == "probe" and bool(seen.devices) and bool(seen.devices[-1].driver)


def _is_undone(seen: Observation, base: Observation) -> bool:
    """Tell whether what had been taken was given back, and nothing was taken any more.

    Who goes on has only done without a part.
    """
    had, has = set(seen.held), set(seen.kept)
    return bool(had & set(base.kept) - has) and not has - had


def _is_ignored(
    seen: Observation, base: Observation, call: FailableCall, has_looked: Callable[[], bool]
) -> bool:
    """Tell whether nobody has looked, or who has looked gave up and said nothing of it.

    Who then does something else than without a failure, as a line in the log or another try, has
    seen to it; but of what a module cannot do without, a line in the log is not enough.
    """
    at = seen.failed_at.get(call.phase, 0)
    after, usual = (each.flow.get(call.phase, ())[at:] for each in (seen, base))
    if not call.is_optional:
        after, usual = (tuple(filter(None, each)) for each in (after, usual))
    if after == usual:
        return not has_looked()
    # What was taken in the last of these calls, which has failed, is missed in any case.
    misses = len(base.kept) - len(seen.kept) > 1
    return not call.is_optional and misses and after == usual[: len(after)]
