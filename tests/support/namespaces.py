# SPDX-License-Identifier: Apache-2.0
"""Namespaces in this process, on a kernel of the test's choice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kmodd.database import ModuleRecord
from kmodd.kernel.emulated import EmulatedKernel, IsolatedKernel, VmlinuxSource
from kmodd.namespace import Commands, Namespace
from kmodd.trees import Trees
from tests.support.modules import module_tree
from tests.support.tree import ModuleTree

AnyKernel = EmulatedKernel | IsolatedKernel


def namespace_of(root: Path, kind: type[AnyKernel], **settings: Any) -> Namespace:
    """Return a namespace on a root with the modules of tests/modules."""
    namespace, _ = namespace_on(module_tree(root), kind, **settings)
    return namespace


def namespace_on(
    tree: ModuleTree, kind: type[AnyKernel] = EmulatedKernel, **settings: Any
) -> tuple[Namespace, AnyKernel]:
    """Return a namespace on ``tree``, and its kernel, which others may use behind its back."""
    trees = Trees(tree.root, tree.release, publish=False)
    trees.rebuild()

    def modules() -> Mapping[str, ModuleRecord]:
        generation = trees.in_force()
        return generation.database.modules if generation else {}

    kernel = kind(tree.release, VmlinuxSource(tree.root, tree.release, trees.directory, modules))
    commands = Commands(tree.root / "socket", allowed=False, limit=1.0)
    return Namespace(kernel, trees, commands, **settings), kernel
