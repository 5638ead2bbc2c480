# SPDX-License-Identifier: Apache-2.0
"""The emulated machine by itself, with no module."""

import errno

from kmodd.kernel.base import Requested
from tests.support.machine import new_machine


def test_modules_that_ask_for_others_without_end_are_told_that_kmod_is_busy() -> None:
    lines, answers = list[str](), list[int]()

    def request(name: str, _wait: bool) -> Requested:
        with machine.running(name):
            answers.append(machine.request_module(f"{name}x", wait=True))
        return Requested(0, "")

    machine = new_machine(lines, request)
    with machine.running("x"):
        assert machine.request_module("x", wait=True) == 0
        assert machine.module == "x"
    assert answers == [-errno.ETIME] + [0] * 49
    (line,) = lines
    assert line.endswith("kmod busy with 50 threads for more than 5 seconds now")
