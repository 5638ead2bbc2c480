# SPDX-License-Identifier: Apache-2.0
"""Where the fields of structures are: as the kernel says that is served, by its own names."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import EmulationReport, InitState, InsertFlags
from kmodd.kernel.emulated import CoreSymbol, IsolatedKernel, VmlinuxSource
from kmodd.kernel.emulated.abi import structures
from kmodd.kernel.emulated.abi.per_cpu import OF_6_1
from kmodd.kernel.emulated.abi.structures import (
    DENTRY,
    DENTRY_FLAGS,
    HOTPLUG_STATE,
    MODULE,
    QUESTIONS,
    TASK,
    WORK,
    MissingFieldError,
    adopt,
)
from kmodd.kernel.emulated.abi.structures.declaring import DeclaredField, Structure
from kmodd.kernelimage.questions import VALUE_MAX, Answers, LayoutQuestion
from kmodd.modulefile import ModuleFile
from tests.support.modules import module_tree
from tests.support.require import require_emulator

DECLARED: tuple[DeclaredField, ...] = tuple(
    field
    for each in vars(structures).values()
    if isinstance(each, Structure)
    for field in each.declared()
)


def answers_of_6_1(**changes: int | None) -> dict[LayoutQuestion, int]:
    """Return what Debian's 6.1 answers; ``changes`` are by the kernel's names of fields."""
    found = {each.question: each.number for each in DECLARED if each.number is not None}
    for name, number in changes.items():
        (question,) = (each for each in found if each.fields[:1] == (name,) and not each.is_size)
        del found[question]
        if number is not None:
            found[question] = number
    return found


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave this process with the structures of 6.1, which all other tests go by."""
    yield
    adopt(None)


def test_without_an_answer_the_numbers_are_those_of_6_1() -> None:
    assert (TASK.state, TASK.name_size, DENTRY.size, WORK.expires) == (24, 16, 192, 48)
    adopt(answers_of_6_1())
    assert (TASK.state, TASK.name_size, DENTRY.size, WORK.expires) == (24, 16, 192, 48)


def test_questions_have_the_kernels_names() -> None:
    assert set(QUESTIONS) == {each.question for each in DECLARED}
    assert LayoutQuestion(("task_struct",), ("__state", "state"), is_size=False) in QUESTIONS
    assert LayoutQuestion(("task_struct",), ("comm",), is_size=True) in QUESTIONS
    assert LayoutQuestion(("dentry",), (), is_size=True) in QUESTIONS
    assert LayoutQuestion(("dentry",), ("d_lockref.count",), is_size=False) in QUESTIONS
    assert LayoutQuestion(("delayed_work",), ("timer.expires",), is_size=False) in QUESTIONS
    assert LayoutQuestion(("device",), ("parent",), is_size=False) in QUESTIONS


def test_what_the_kernel_says_takes_the_place_of_what_is_typed_in() -> None:
    adopt(answers_of_6_1(__state=32, d_child=None))
    assert TASK.state == 32
    assert TASK.has("state", "pid")
    assert DENTRY.has("parent")
    assert not DENTRY.has("parent", "siblings")
    with pytest.raises(MissingFieldError, match=r"^struct dentry has no d_child here"):
        assert DENTRY.siblings
    adopt(None)
    assert (TASK.state, DENTRY.siblings) == (24, 144)


def test_a_name_of_an_enum_is_what_the_kernel_says_or_else_a_macro() -> None:
    online = LayoutQuestion(("cpuhp_state",), ("CPUHP_AP_ONLINE_DYN",), is_size=False)
    assert online in QUESTIONS
    assert (HOTPLUG_STATE.online, DENTRY_FLAGS.kinds) == (201, 0x700000)
    adopt({online: 192})
    assert (HOTPLUG_STATE.online, HOTPLUG_STATE.prepare, DENTRY_FLAGS.kinds) == (192, 70, 0x700000)
    assert not DENTRY.has("parent")
    adopt(None)
    assert HOTPLUG_STATE.online == 201


def test_a_kernel_without_any_of_a_structure_lacks_its_size_too() -> None:
    adopt({})
    with pytest.raises(MissingFieldError, match=r"^struct dentry has no such structure here"):
        assert DENTRY.size
    with pytest.raises(
        MissingFieldError, match=r"^struct task_struct has no __state or state here"
    ):
        assert TASK.state
    with pytest.raises(MissingFieldError, match=r"^struct delayed_work has no timer"):
        assert WORK.expires
    with pytest.raises(MissingFieldError):
        assert MODULE.name


def booted(root: Path, layouts: Answers, *names: str) -> tuple[IsolatedKernel, list[bytes]]:
    """Boot a kernel with these structures, and return it with modules that it is to load."""
    require_emulator()
    tree = module_tree(root)
    source = VmlinuxSource(tree.root, tree.release, tree.directory.parent, dict)
    symbols: dict[str, CoreSymbol] = {}
    images = []
    for name in names:
        with ModuleFile.open(str(tree.directory / f"extra/{name}.ko")) as file:
            symbols |= {each.name: CoreSymbol() for each in file.undefined()}
            images.append(file.image)
    vmlinux = replace(source(), symbols=symbols, layouts=layouts, per_cpu=OF_6_1)
    return IsolatedKernel(tree.release, lambda: vmlinux), images


def load(root: Path, name: str, layouts: Answers) -> tuple[EmulationReport, list[str]]:
    """Load a module into a kernel with these structures; return what is told, and the log."""
    kernel, images = booted(root, layouts, name)
    try:
        kernel.init_module(images[0], "", InsertFlags.NONE)
        report = kernel.modules()[0].report
        assert report is not None
        return report, [record.text for record in kernel.read_log()]
    finally:
        kernel.close()


def test_a_driver_is_registered_where_its_structure_is_known(tmp_path: Path) -> None:
    report, _ = load(tmp_path, "gadget", answers_of_6_1())
    assert (report.init, report.stubbed) == (InitState.RAN, ())


def test_a_function_that_needs_what_is_not_there_is_told_as_stubbed(tmp_path: Path) -> None:
    layouts = answers_of_6_1()
    del layouts[LayoutQuestion(("platform_driver",), ("driver",), is_size=False)]
    report, lines = load(tmp_path, "gadget", layouts)
    assert report.stubbed == ("__platform_driver_register",)
    why = "(struct platform_driver has no driver here)"
    assert f"kmodd: gadget: stubbed: __platform_driver_register {why}" in lines


@pytest.mark.parametrize(
    "damage", [{}, answers_of_6_1(comm=1 << 40), answers_of_6_1(x86_model_id=1 << 20)]
)
def test_no_code_is_run_on_structures_of_which_no_machine_can_be_made(
    tmp_path: Path, damage: Answers
) -> None:
    report, lines = load(tmp_path, "hello", damage)
    assert report.init is InitState.NOT_RUN
    assert report.why_not_run.startswith("the structures that the kernel's image tells of are not")
    assert not any("panic" in line for line in lines)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_an_image_tells_of_structures_the_kernel_answers(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    layouts = {
        question: number if dice.randrange(10) else dice.randrange(dice.choice((256, VALUE_MAX)))
        for question, number in answers_of_6_1().items()
        if dice.randrange(100)
    }
    kernel, images = booted(tmp_path, layouts, "hello", "gadget", "shelf", "leaky")
    ends: list[Reason | None] = []
    try:
        for image in images:
            try:
                kernel.init_module(image, "", InsertFlags.NONE)
            except KernelError as error:
                ends.append(error.reason)
            else:
                ends.append(None)
    finally:
        kernel.close()
    expected = {None, Reason.MODULE_CRASHED, Reason.KERNEL_PANIC, Reason.KERNEL_REFUSED}
    assert len(ends) == len(images)
    assert set(ends) <= expected
