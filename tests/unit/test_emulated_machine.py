# SPDX-License-Identifier: Apache-2.0
"""The emulated machine by itself, with no module."""

import errno

from kmodd.kernel.base import Requested
from tests.support.machine import call, new_machine


def test_modules_that_ask_for_others_without_end_are_told_that_kmod_is_busy() -> None:
    lines, answers = list[str](), list[int]()

    def request(name: str, _wait: bool) -> Requested:
        with machine.running(name):
            answers.append(machine.requests.request(f"{name}x", wait=True))
        return Requested(0, "")

    machine = new_machine(lines, request)
    with machine.running("x"):
        assert machine.requests.request("x", wait=True) == 0
        assert machine.calls.now.module == "x"
    assert answers == [-errno.ETIME] + [0] * 49
    (line,) = lines
    assert line.endswith("kmod busy with 50 threads for more than 5 seconds now")


class Known:
    """What a family of functions may know."""


def test_a_machine_has_one_state_of_each_type_and_shares_none() -> None:
    machine, other = new_machine(), new_machine()
    assert machine.state(Known) is machine.state(Known)
    assert machine.state(Known) is not other.state(Known)


def test_what_is_kept_of_a_structure_is_forgotten_with_its_memory() -> None:
    machine = new_machine()
    idr = call(machine, "__kmalloc", 64, 0)
    assert [call(machine, "idr_alloc", idr, 1, 0, 0, 0) for _ in range(2)] == [0, 1]
    call(machine, "kfree", idr)
    assert call(machine, "__kmalloc", 64, 0) == idr
    assert call(machine, "idr_alloc", idr, 1, 0, 0, 0) == 0
