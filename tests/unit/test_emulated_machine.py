# SPDX-License-Identifier: Apache-2.0
"""The emulated machine by itself, with no module."""

import errno

from kmodd.kernel.base import Requested
from kmodd.kernel.emulated.cpu.services import Services
from kmodd.kernel.emulated.log import Level
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.cpu.machine import REQUESTS_MAX, Machine  # noqa: E402


def services(lines: list[str], request: object) -> Services:
    """Return what a machine without a kernel around it is given."""
    assert callable(request)

    def printk(_level: Level, text: str) -> None:
        lines.append(text.rstrip("\n"))

    return Services(
        printk=printk,
        taint=lambda _letter: None,
        taints=lambda: "",
        hold=lambda _name: True,
        release=lambda _name: None,
        modules=lambda: "",
        kernel_release="6.1.0",
        request=request,
    )


def test_modules_that_ask_for_others_without_end_are_told_that_kmod_is_busy() -> None:
    lines, answers = list[str](), list[int]()

    def request(name: str, _wait: bool) -> Requested:
        with machine.running(name):
            answers.append(machine.request_module(f"{name}x", wait=True))
        return Requested(0, "")

    machine = Machine(services(lines, request))
    with machine.running("x"):
        assert machine.request_module("x", wait=True) == 0
        assert machine.module == "x"
    assert answers == [-errno.ETIME] + [0] * (REQUESTS_MAX - 1)
    (line,) = lines
    assert line.endswith("kmod busy with 50 threads for more than 5 seconds now")
