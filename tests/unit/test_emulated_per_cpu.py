# SPDX-License-Identifier: Apache-2.0
"""The kernel's variables of which each processor has its own, on kernels that have other ones."""

from collections.abc import Iterator

import pytest

from kmodd.kernel.emulated.abi import per_cpu, structures
from kmodd.kernel.emulated.abi.structures import HOT_VARIABLES, QUESTIONS
from kmodd.kernel.emulated.abi.structures.declaring import Structure
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.memory import BadAddress
from kmodd.kernelimage.questions import LayoutQuestion
from tests.support.machine import Machine, new_machine

CANARY = 0x5EED5EED5EED5E00
USED = {"this_cpu_off": 8, "cpu_info": 512}
"""What a machine sets up itself on any kernel."""

OF_6_12 = USED | {"pcpu_hot": 64}
OF_7_2 = USED | {"current_task": 8, "__preempt_count": 4, "__stack_chk_guard": 8}


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave this process with the variables of 6.1, which all other tests go by."""
    yield
    structures.adopt(None)
    per_cpu.adopt(None)


def adopt(sizes: dict[str, int] | None, **hot: int) -> None:
    """Take over these variables, and where the hot ones are in their structure."""
    of_6_1 = {
        field.question: field.number
        for each in vars(structures).values()
        if isinstance(each, Structure)
        for field in each.declared()
        if field.number is not None
    }
    questions = {name: LayoutQuestion(("pcpu_hot",), (name,), is_size=False) for name in hot}
    assert set(questions.values()) <= set(QUESTIONS)
    structures.adopt(of_6_1 | {questions[name]: offset for name, offset in hot.items()})
    per_cpu.adopt(sizes)


def at(machine: Machine, name: str) -> int:
    """Return where the processor's own ``name`` is."""
    offset = machine.kernel_symbols.address(name)
    assert offset < addresses.PER_CPU_OF_MODULES
    return addresses.PER_CPU + offset


def test_the_task_is_in_a_variable_of_its_own() -> None:
    for sizes in (None, OF_7_2):
        adopt(sizes)
        assert not HOT_VARIABLES.has("current_task")
        machine = new_machine()
        symbols = machine.kernel_symbols
        assert machine.memory.number(at(machine, "current_task")) == symbols.main_task
        assert symbols.preempt_count == at(machine, "__preempt_count")


def test_the_task_is_in_a_structure_where_the_kernel_has_that() -> None:
    adopt(OF_6_12, current_task=16, preempt_count=24)
    machine = new_machine()
    symbols, hot = machine.kernel_symbols, at(machine, "pcpu_hot")
    assert machine.memory.number(hot + 16) == symbols.main_task
    assert symbols.preempt_count == hot + 24
    assert symbols.address("const_pcpu_hot") == symbols.address("pcpu_hot")
    other = symbols.make_task(b"other", 7)
    symbols.run_as(other)
    assert machine.memory.number(hot + 16) == other


def test_constant_names_are_of_the_same_variables() -> None:
    adopt(OF_7_2)
    machine = new_machine()
    symbols = machine.kernel_symbols
    assert symbols.address("const_current_task") == symbols.address("current_task")
    assert machine.memory.number(at(machine, "__ref_stack_chk_guard")) == CANARY


def test_what_a_kernel_does_not_list_there_is_one_of() -> None:
    assert per_cpu.size_of("softnet_data") == 4096
    adopt(OF_6_12 | {"mine": 100}, current_task=0, preempt_count=8)
    assert (per_cpu.size_of("mine"), per_cpu.size_of("softnet_data")) == (100, None)
    symbols = new_machine().kernel_symbols
    assert symbols.address("mine") < addresses.PER_CPU_OF_MODULES
    assert symbols.address("softnet_data") >= addresses.DATA
    per_cpu.adopt(None)
    assert (per_cpu.size_of("mine"), per_cpu.size_of("softnet_data")) == (None, 4096)


def test_variables_of_the_kernel_stay_in_its_part_of_the_area() -> None:
    sizes = {f"large{number}": 64 << 10 for number in range(16)}
    adopt(OF_6_12 | sizes, current_task=0, preempt_count=8)
    symbols = new_machine().kernel_symbols
    for name in list(sizes)[:-1]:
        assert symbols.address(name) + sizes[name] <= addresses.PER_CPU_OF_MODULES
    with pytest.raises(BadAddress):
        symbols.address("large15")
