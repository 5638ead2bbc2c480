# SPDX-License-Identifier: Apache-2.0
"""What runs are made of a module, and what each of them is taken to show."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from kmodd.checking import Progress, Report, check
from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import Device
from kmodd.kernel.trials import Attempt, CodePlace, FailableCall, Misstep, Observation
from kmodd.modulefile.source_lines import SourceLine

HERE, THERE = CodePlace("one", "one_init", 0x10), CodePlace("one", "one_init", 0x20)
BUFFER = FailableCall("__kmalloc", "NULL", HERE, "init")
CLASS = FailableCall("class_create", "ERR_PTR(-ENOMEM)", THERE, "init")
LEAK = Misstep("leak", "64 bytes of memory", HERE, "init")
BASE = Observation(
    (BUFFER, CLASS), flow={"init": (1, 2, 3), "exit": (4, 5)}, kept=(1, 2, 3), result=0
)

Answer = Callable[[Attempt], Observation]


class PlayedKernel:
    """A kernel whose runs come to what a test says.

    ``asked`` are those that were made, but for those in which a way is followed.
    """

    why_not_run = ""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[Attempt] = []

    def attempt(self, _images: Sequence[bytes], _parameters: str, attempt: Attempt) -> Observation:
        if attempt.follow is None:
            self.asked.append(attempt)
            return self._answer(attempt)
        seen = self._answer(attempt)
        success = 0 if seen.calls[attempt.follow].how.startswith("-") else 1 << 40
        return replace(seen, path=seen.path or (success,))

    def source_lines(
        self, _image: bytes, places: Sequence[CodePlace]
    ) -> tuple[SourceLine | None, ...]:
        return tuple(SourceLine("one.c", each.offset) for each in places)

    def close(self) -> None:
        """Nothing is open."""


def checked(kernel: PlayedKernel, **options: object) -> Report:
    *_, report = check(kernel, "one", [b""], **options)  # type: ignore[arg-type]
    assert isinstance(report, Report)
    return report


def found(seen: Observation, base: Observation = BASE) -> list[tuple[str, str]]:
    """Return the flaws of a module of which each call's failure comes to ``seen``."""

    def answer(attempt: Attempt) -> Observation:
        if not attempt.fail:
            return base
        return (
            replace(seen, calls=base.calls, failed=attempt.fail) if attempt.fail == (1,) else fine
        )

    fine = replace(base, failed=(0,), flow={"init": (1,)}, kept=(), result=-12)
    return [(each.kind, each.phase) for each in checked(PlayedKernel(answer)).flaws]


def test_an_error_that_is_returned_with_nothing_left_is_right() -> None:
    assert found(Observation(flow={"init": (1, 2)}, failed_at={"init": 2}, result=-12)) == []


@pytest.mark.parametrize(
    ("seen", "flaws"),
    [
        (Observation(missteps=(LEAK,), result=-12), [("leak", "init")]),
        # A crash leaves behind whatever there was.
        (Observation(missteps=(LEAK, Misstep("oops", "BUG", HERE, "init"))), [("oops", "init")]),
        (Observation(result=-200), [("bad result", "init")]),
        (Observation(result=7), [("bad result", "init")]),
        (Observation(result=-512), []),
        # Nobody has looked.
        (replace(BASE, failed_at={"init": 2}, held=(1,)), [("ignored", "init")]),
        # A line in the log is not enough of what one cannot do without.
        (
            replace(BASE, failed_at={"init": 2}, flow={"init": (1, 2, 0, 3)}, held=(1,)),
            [("ignored", "init")],
        ),
        # All that comes after it is left out, and that is called a success.
        (
            replace(BASE, failed_at={"init": 2}, flow={"init": (1, 2)}, held=(1,), kept=(1,)),
            [("ignored", "init")],
        ),
        # Something else is tried instead.
        (replace(BASE, failed_at={"init": 2}, flow={"init": (1, 2, 9, 3)}, held=(1,)), []),
        # What was taken is given back, and that is called a success.
        (
            replace(BASE, failed_at={"init": 2}, flow={"init": (1, 2, 9)}, held=(1,), kept=()),
            [("undone", "init")],
        ),
    ],
)
def test_what_is_wrong_is_told(seen: Observation, flaws: list[tuple[str, str]]) -> None:
    assert found(seen) == flaws


def test_what_may_be_ignored_or_done_without_is_no_flaw() -> None:
    ignored = replace(BASE, failed_at={"init": 2}, held=(1,))
    spared = replace(BASE, calls=(BUFFER, replace(CLASS, may_be_ignored=True)))
    assert found(ignored, spared) == []
    optional = replace(BASE, calls=(BUFFER, replace(CLASS, is_optional=True)))
    assert found(ignored, optional) == [("ignored", "init")]
    looked = replace(ignored, flow={"init": (1, 2, 0, 3), "exit": (4, 5)})
    assert found(looked, optional) == []


def test_a_flaw_is_told_once_with_the_calls_and_lines_of_its_first_run() -> None:
    leaking = Observation(missteps=(LEAK,), result=-12)

    def answer(attempt: Attempt) -> Observation:
        return replace(leaking, calls=BASE.calls, failed=attempt.fail) if attempt.fail else BASE

    (flaw,) = checked(PlayedKernel(answer)).flaws
    assert (flaw.runs, flaw.result, flaw.line) == (2, -12, SourceLine("one.c", 0x10))
    assert [(each.call, each.line) for each in flaw.failed] == [(BUFFER, SourceLine("one.c", 0x10))]


def test_what_is_so_without_a_failure_is_not_told_of_each_failure() -> None:
    always = replace(BASE, missteps=(replace(LEAK, phase="exit"),))
    kernel = PlayedKernel(lambda attempt: replace(always, failed=attempt.fail, result=0))
    assert [each.kind for each in checked(kernel).flaws].count("leak") == 1


def test_of_a_loop_the_first_calls_and_the_last_fail() -> None:
    loop = replace(BASE, calls=(BUFFER,) * 50)
    kernel = PlayedKernel(
        lambda attempt: replace(loop, failed=attempt.fail, result=-12 if attempt.fail else 0)
    )
    checked(kernel)
    assert [each.fail for each in kernel.asked] == [(), (0,), (1,), (49,)]


def test_a_loop_that_does_without_some_but_not_without_all_has_looked() -> None:
    loop = replace(BASE, calls=(BUFFER,) * 4)

    def answer(attempt: Attempt) -> Observation:
        minds = len(attempt.fail) == 4
        return replace(loop, failed=attempt.fail, result=-19 if minds else 0)

    assert checked(PlayedKernel(answer)).flaws == ()
    ignoring = PlayedKernel(lambda attempt: replace(loop, failed=attempt.fail))
    assert [each.kind for each in checked(ignoring).flaws] == ["ignored"]


def test_pairs_are_of_the_calls_that_come_after_a_failure() -> None:
    kernel = PlayedKernel(lambda attempt: replace(BASE, failed=attempt.fail))
    assert checked(kernel, pairs=True).runs == 4
    assert [each.fail for each in kernel.asked] == [(), (0,), (1,), (0, 1)]


def test_a_driver_is_tried_with_few_devices_and_the_calls_of_its_probe() -> None:
    probed = FailableCall("request_threaded_irq", "-EBUSY", HERE, "probe")
    bound = Device("one.0", "platform", "platform:one", driver="one", driver_module="one")

    def answer(attempt: Attempt) -> Observation:
        if not attempt.devices:
            return replace(BASE, failed=attempt.fail, result=-12 if attempt.fail else 0)
        flow = {"probe": (1, 2)}
        return Observation(
            (*BASE.calls, probed),
            attempt.fail,
            flow,
            {"probe": 1} if attempt.fail else {},
            result=0,
            devices=(bound,),
        )

    kernel = PlayedKernel(answer)
    devices = [f"platform:one{each}" for each in range(9)]
    report = checked(kernel, devices=devices)
    assert list(report.devices) == devices[:3]
    assert [each.fail for each in kernel.asked if each.devices] == [(), (), (), (2,), (2,), (2,)]
    (flaw,) = report.flaws
    assert (flaw.kind, flaw.device, flaw.runs) == ("ignored", devices[0], 3)


def test_runs_are_bounded_and_those_left_out_are_counted() -> None:
    calls = tuple(replace(BUFFER, place=replace(HERE, offset=each)) for each in range(30))
    kernel = PlayedKernel(lambda attempt: replace(BASE, calls=calls, failed=attempt.fail))
    report = checked(kernel, runs_max=11)
    assert (report.runs, report.left_out) == (11, 20)


def test_runs_that_end_the_kernel_or_tell_nothing_are_counted() -> None:
    def answer(attempt: Attempt) -> Observation:
        if attempt.fail == (0,):
            raise KernelError(Reason.KERNEL_PANIC, "the kernel's process ended")
        return replace(BASE, failed=()) if attempt.fail else BASE

    report = checked(PlayedKernel(answer))
    assert (report.untold, report.why_untold) == (2, "the kernel's process ended")
    assert report.flaws == ()


def test_a_crash_may_be_for_what_there_is_not_here() -> None:
    crashed = Observation(missteps=(Misstep("oops", "BUG", HERE, "probe"),))

    def answer(attempt: Attempt) -> Observation:
        return crashed if attempt.devices else replace(BASE, failed=attempt.fail, result=-12)

    report = checked(PlayedKernel(answer), devices=["pci:one"])
    assert (report.untold, report.why_untold, report.devices) == (1, "BUG", ())
    stubbed = replace(crashed, stubbed=("do_it",))
    with pytest.raises(KernelError):
        checked(PlayedKernel(lambda _attempt: stubbed))
    (flaw,) = checked(PlayedKernel(lambda _attempt: crashed)).flaws
    assert flaw.kind == "oops"


def test_who_goes_another_way_has_looked() -> None:
    """Also where it calls nothing then that it would not have called."""

    def answer(attempt: Attempt) -> Observation:
        seen = replace(BASE, failed=attempt.fail, held=(1,), failed_at={"init": 2})
        if attempt.follow is not None:
            seen = replace(seen, path=(1, 32) if attempt.fail == (1,) else (1, 48))
        return seen

    (flaw,) = checked(PlayedKernel(answer)).flaws
    assert [each.call for each in flaw.failed] == [BUFFER]


@pytest.mark.parametrize("result", [0, (1 << 64) - 12])
def test_a_call_that_fails_in_any_case_is_not_ignored(result: int) -> None:
    def answer(attempt: Attempt) -> Observation:
        seen = replace(BASE, failed=attempt.fail, held=(1,), failed_at={"init": 2})
        return seen if attempt.follow is None else replace(seen, path=(result, 16))

    assert checked(PlayedKernel(answer)).flaws == ()


def test_who_gives_up_a_part_and_goes_on_is_right() -> None:
    seen = replace(BASE, failed_at={"init": 2}, flow={"init": (1, 2, 9, 3)}, held=(1,), kept=(3,))
    assert found(seen) == []


def test_a_module_that_nothing_can_be_told_of_is_refused() -> None:
    kernel = PlayedKernel(lambda _attempt: Observation(unchecked="an AVX instruction"))
    with pytest.raises(KernelError) as refused:
        checked(kernel)
    assert "an AVX instruction" in refused.value.message


def test_progress_is_told_before_each_run() -> None:
    kernel = PlayedKernel(lambda attempt: replace(BASE, failed=attempt.fail))
    told = [each for each in check(kernel, "one", [b""]) if isinstance(each, Progress)]
    assert told == [Progress(0, 1), Progress(1, 3), Progress(2, 3), Progress(3, 3)]
