# SPDX-License-Identifier: Apache-2.0
"""Namespaces in this process, on a kernel of the test's choice."""

from pathlib import Path

from kmodd.kernel.emulated import EmulatedKernel, IsolatedKernel, VmlinuxSource
from kmodd.namespace import Commands, Namespace
from kmodd.trees import Trees
from tests.support.modules import module_tree


def namespace_of(root: Path, kind: type[EmulatedKernel] | type[IsolatedKernel]) -> Namespace:
    """Return a namespace on a root with the modules of tests/modules."""
    tree = module_tree(root)
    trees = Trees(tree.root, tree.release, publish=False)
    trees.rebuild()

    def modules() -> dict[str, object]:
        generation = trees.in_force()
        return dict(generation.database.modules) if generation else {}

    source = VmlinuxSource(tree.root, tree.release, trees.directory, modules)  # type: ignore[arg-type]
    kernel = kind(tree.release, source)
    return Namespace(kernel, trees, Commands(root / "socket", allowed=False, limit=1.0))
