# SPDX-License-Identifier: Apache-2.0
"""Plans on a kernel that other programs load modules into, too."""

import os
from pathlib import Path

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import EmulatedKernel, VmlinuxSource
from kmodd.namespace import Commands, Namespace
from kmodd.plan import LoadRequest
from kmodd.trees import Trees
from tests.support.modules import module_tree


class ContestedKernel(EmulatedKernel):
    """A kernel where somebody else always loads a module just before us."""

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        super().finit_module(os.dup(fd), parameters, flags)
        super().finit_module(fd, parameters, flags)


def contested_namespace(root: Path) -> Namespace:
    tree = module_tree(root)
    trees = Trees(tree.root, tree.release, publish=False)
    trees.rebuild()

    def modules() -> dict[str, object]:
        generation = trees.in_force()
        return dict(generation.database.modules) if generation else {}

    source = VmlinuxSource(tree.root, tree.release, trees.directory, modules)  # type: ignore[arg-type]
    kernel = ContestedKernel(tree.release, source)
    return Namespace(kernel, trees, Commands(root / "socket", allowed=False, limit=1.0))


def test_a_module_that_another_program_loads_meanwhile_is_loaded(tmp_path: Path) -> None:
    namespace = contested_namespace(tmp_path / "root")
    outcome = namespace.load(LoadRequest(name="world"))
    assert outcome.error is None
    assert [(step.done, step.needless) for step in outcome.steps] == [(False, True)] * 2
    assert [module.name for module in namespace.listing().modules] == ["world", "greet"]


def test_first_time_minds_who_was_first(tmp_path: Path) -> None:
    namespace = contested_namespace(tmp_path / "root")
    outcome = namespace.load(LoadRequest(name="world", first_time=True))
    assert isinstance(outcome.error, KernelError)
    assert outcome.error.reason is Reason.MODULE_ALREADY_LOADED
    with pytest.raises(KernelError, match="in use"):
        namespace._kernel.delete_module("greet")
