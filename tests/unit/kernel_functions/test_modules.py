# SPDX-License-Identifier: Apache-2.0
"""Modules and their references, kallsyms, request_module (kernel/module, kernel/kmod.c)."""

import errno
from dataclasses import replace

import pytest

from kmodd.kernel.base import Requested
from tests.support.kernel_calls import CODE, Crash, add_module, held, put_text, run, unload
from tests.support.machine import ROOM, Machine, new_machine

MODULE, TEXT, BUFFER, BLOCK = (ROOM + at for at in (0, 256, 512, 1024))
NAME = 24
"""Offset in ``struct module``."""


class References:
    """What was held and released, in order; for one thread. A module that goes is not held."""

    def __init__(self, machine: Machine, *, is_going: bool = False) -> None:
        self.done = list[str]()
        self.is_going = is_going
        machine.services = replace(machine.services, hold=self._hold, release=self._release)

    def _hold(self, name: str) -> bool:
        if not self.is_going:
            self.done.append(f"+{name}")
        return not self.is_going

    def _release(self, name: str) -> None:
        self.done.append(f"-{name}")


def test_a_module_is_held_and_released_by_its_struct() -> None:
    machine = new_machine()
    references = References(machine)
    put_text(machine, b"other", MODULE + NAME)
    assert run(machine, "try_module_get", MODULE) == 1
    run(machine, "__module_get", MODULE)
    for _ in range(2):
        run(machine, "module_put", MODULE)
    assert references.done == ["+other", "+other", "-other", "-other"]


def test_a_module_that_is_going_is_not_held() -> None:
    machine = new_machine()
    references = References(machine, is_going=True)
    put_text(machine, b"other", MODULE + NAME)
    assert run(machine, "try_module_get", MODULE) == 0
    assert references.done == []


def test_what_is_built_in_is_always_there() -> None:
    machine = new_machine()
    references = References(machine)
    assert run(machine, "try_module_get", 0) == 1
    run(machine, "__module_get", 0)
    run(machine, "module_put", 0)
    assert references.done == []


def test_a_module_that_is_nowhere_is_an_oops() -> None:
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(new_machine(), "module_put", 8)


@pytest.mark.parametrize("status", [0, 256, -errno.ENOENT])
@pytest.mark.parametrize("wait", [0, 1])
def test_a_module_is_asked_for_by_a_name_that_is_printed(status: int, wait: int) -> None:
    asked = list[tuple[str, bool]]()

    def request(name: str, is_waiting: bool) -> Requested:
        asked.append((name, is_waiting))
        return Requested(status=status)

    machine = new_machine(request=request)
    template = put_text(machine, b"char-major-%d-%d", TEXT)
    assert run(machine, "__request_module", wait, template, 10, 200) == status
    assert asked == [("char-major-10-200", bool(wait))]


def test_a_name_that_is_no_modules_is_not_asked_for() -> None:
    machine = new_machine(request=lambda _name, _wait: Requested(status=1))
    template = put_text(machine, b"%055d", TEXT)
    assert run(machine, "__request_module", 1, template, 1) == 1
    template = put_text(machine, b"%056d", TEXT)
    assert run(machine, "__request_module", 1, template, 1) == -errno.ENAMETOOLONG


@pytest.mark.parametrize("name", ["__symbol_get", "__symbol_get_gpl"])
def test_a_symbol_is_found_and_its_module_held(name: str) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    references = References(machine)
    image = add_module(machine, {"shared": CODE + 16, "plain": CODE + 32})
    image.gpl_only = frozenset({"shared"})
    assert run(machine, name, put_text(machine, b"shared", TEXT)) == CODE + 16
    assert references.done == ["+sample"]
    run(machine, "__symbol_put", TEXT)
    assert references.done == ["+sample", "-sample"]
    assert (run(machine, name, put_text(machine, b"plain", TEXT)), lines) == (
        0,
        ["failing symbol_get of non-GPLONLY symbol plain."],
    )
    references.is_going = True
    assert run(machine, name, put_text(machine, b"shared", TEXT)) == 0


@pytest.mark.parametrize("name", ["__symbol_get", "__symbol_get_gpl"])
def test_a_symbol_of_the_kernels_own_is_held_by_nobody(name: str) -> None:
    machine = new_machine()
    references = References(machine)
    text = put_text(machine, b"_printk", TEXT)
    assert run(machine, name, text) == machine.kernel_symbols.address("_printk")
    run(machine, "__symbol_put", text)
    assert run(machine, name, put_text(machine, b"nosuch", TEXT)) == 0
    assert references.done == []


def test_an_address_is_printed_by_its_symbol() -> None:
    machine = new_machine()
    function = machine.kernel_symbols.address("_printk")
    assert run(machine, "sprint_symbol", BUFFER, function + 4) == len("_printk+0x4/0x10")
    assert machine.memory.string(BUFFER) == b"_printk+0x4/0x10"
    assert run(machine, "sprint_symbol", BUFFER, 0x1234) == 6
    assert machine.memory.string(BUFFER) == b"0x1234"


def test_an_address_belongs_to_the_module_that_is_there() -> None:
    machine = new_machine()
    add_module(machine).this_module = MODULE
    assert run(machine, "__module_address", CODE + 100) == MODULE
    assert run(machine, "__module_address", CODE + 4096) == 0


def test_symbols_are_not_looked_up_by_name_and_nobody_counts_references() -> None:
    machine = new_machine()
    assert run(machine, "kallsyms_lookup_name", put_text(machine, b"_printk", TEXT)) == 0
    assert run(machine, "module_refcount", MODULE) == 0


@pytest.mark.parametrize(
    ("flag", "taints"), [(0, ["P"]), (9, ["W"]), (12, ["O"]), (18, ["N"]), (500, [])]
)
def test_a_flag_taints_the_kernel(flag: int, taints: list[str]) -> None:
    noted = list[str]()
    machine = new_machine()
    machine.services = replace(machine.services, taint=noted.append)
    run(machine, "add_taint", flag, 0)
    assert noted == taints


def test_a_notifier_is_registered_once_and_taken_back_once() -> None:
    machine = new_machine()
    register, unregister = "register_module_notifier", "unregister_module_notifier"
    assert run(machine, unregister, BLOCK) == -errno.ENOENT
    assert [run(machine, register, BLOCK) for _ in range(2)] == [0, -errno.EEXIST]
    assert held(machine) == [("module notifier", "module notifier")]
    assert [run(machine, unregister, BLOCK) for _ in range(2)] == [0, -errno.ENOENT]
    run(machine, register, BLOCK)
    assert unload(machine) == [("module notifier", "module notifier")]
    assert run(machine, register, BLOCK) == 0
