# SPDX-License-Identifier: Apache-2.0
"""The emulated machine by itself, with no module."""

import errno

import pytest

from kmodd.kernel.base import Requested
from kmodd.kernel.emulated.abi.structures import PARAVIRTUAL
from kmodd.kernel.emulated.machine.log_lines import LogLines
from kmodd.kernel.emulated.reporting.log import Level
from tests.support.kernel_calls import Crash, oops, put_code
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


def test_a_line_in_pieces_is_its_tasks() -> None:
    lines = list[str]()
    log = LogLines(lambda _level, text: lines.append(text))
    one, other = object(), object()
    with log.spoken_by(one):
        log.write(Level.INFO, "begun, ")
    with log.spoken_by(other):
        pass
    with log.spoken_by(one):
        log.write(Level.WARNING, "", is_continuation=True)
        log.write(Level.WARNING, "ended\n", is_continuation=True)
        log.write(Level.INFO, "begun, ")
        with log.spoken_by(other):
            log.write(Level.INFO, "another's\n", is_continuation=True)
        log.write(Level.INFO, "too late\n", is_continuation=True)
        log.write(Level.INFO, "the last")
    assert lines == ["begun, ended\n", "begun, ", "another's\n", "too late\n"]
    log.flush()
    log.flush()
    assert lines[4:] == ["the last"]


def test_code_finds_interrupts_on_and_can_have_them_off() -> None:
    machine = new_machine()
    operations = machine.kernel_symbols.address("pv_ops")
    with machine.running("sample"):

        def flag() -> int:
            save = machine.memory.number(operations + PARAVIRTUAL.save_flags)
            return machine.invoke(save) & 0x200

        assert flag() == 0x200
        machine.invoke(machine.memory.number(operations + PARAVIRTUAL.disable_interrupts))
        assert (flag(), machine.cpu.interrupts_on) == (0, False)
        machine.invoke(machine.memory.number(operations + PARAVIRTUAL.enable_interrupts))
        assert (flag(), machine.cpu.interrupts_on) == (0x200, True)
        machine.invoke(machine.memory.number(operations + PARAVIRTUAL.disable_interrupts))
    with machine.running("sample"):
        assert flag() == 0x200


def test_the_kernels_code_is_not_written_to_whatever_the_processor_is_told() -> None:
    machine = new_machine()
    target = machine.kernel_symbols.address("_printk").to_bytes(8, "little").hex()
    # mov %cr0, %rax; and $~0x10000, %rax; mov %rax, %cr0; movabs $_printk, %rax; movb $0xc3, (%rax)
    code = put_code(machine, f"0f20c04825fffffeff0f22c048b8{target}c600c3c3")
    with machine.running("sample"), pytest.raises(Crash) as crashed:
        machine.call(code)
    assert crashed.value.why.startswith("BUG: unable to handle page fault")
    assert oops(machine, "_printk", 0).startswith("BUG: kernel NULL pointer dereference")
