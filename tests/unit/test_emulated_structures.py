# SPDX-License-Identifier: Apache-2.0
"""Where the fields of structures are: as the kernel says that is served, by its own names."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol, IsolatedKernel, VmlinuxSource
from kmodd.kernel.emulated.abi import structures
from kmodd.kernel.emulated.abi.structures import (
    DENTRY,
    MODULE,
    QUESTIONS,
    TASK,
    WORK,
    MissingFieldError,
    adopt,
)
from kmodd.kernel.emulated.abi.structures.declaring import DeclaredField, Structure
from kmodd.kernelimage.questions import Answers, LayoutQuestion
from kmodd.modulefile import ModuleFile
from tests.support.modules import module_tree
from tests.support.require import require_emulator
from tests.support.tree import ModuleTree

DECLARED: tuple[DeclaredField, ...] = tuple(
    field
    for each in vars(structures).values()
    if isinstance(each, Structure)
    for field in each.declared()
)


def answers_of_6_1(**changes: int | None) -> dict[LayoutQuestion, int]:
    """Return what Debian's 6.1 answers; ``changes`` are by the kernel's names of fields."""
    found = {each.question: each.number for each in DECLARED}
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
    assert len(QUESTIONS) == len(DECLARED)
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


def load_gadget(tree: ModuleTree, layouts: Answers) -> tuple[tuple[str, ...], list[str]]:
    """Load a driver into a kernel with these structures; return what was stubbed, and the log."""
    source = VmlinuxSource(tree.root, tree.release, tree.directory.parent, dict)
    with ModuleFile.open(str(tree.directory / "extra/gadget.ko")) as file:
        needs = {each.name: CoreSymbol() for each in file.undefined()}
        vmlinux = replace(source(), symbols=needs, layouts=layouts)
        kernel = IsolatedKernel(tree.release, lambda: vmlinux)
        try:
            kernel.init_module(file.image, "", InsertFlags.NONE)
            report = kernel.modules()[0].report
            assert report is not None
            return report.stubbed, [record.text for record in kernel.read_log()]
        finally:
            kernel.close()


def test_a_function_that_needs_what_is_not_there_is_told_as_stubbed(tmp_path: Path) -> None:
    require_emulator()
    tree = module_tree(tmp_path)
    layouts = answers_of_6_1()
    assert load_gadget(tree, layouts)[0] == ()
    del layouts[LayoutQuestion(("platform_driver",), ("driver",), is_size=False)]
    stubbed, lines = load_gadget(tree, layouts)
    assert stubbed == ("__platform_driver_register",)
    why = "(struct platform_driver has no driver here)"
    assert f"kmodd: gadget: stubbed: __platform_driver_register {why}" in lines
