# SPDX-License-Identifier: Apache-2.0
"""Machines in this process that are kept as they are wished to be."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmodd.desired.condition import MachineFacts
from kmodd.desired.findings import Finding
from kmodd.kernel.emulated import EmulatedKernel
from kmodd.namespace import Namespace
from kmodd.namespace.state_keeper import FIRST, StateKeeper
from kmodd.namespace.wish_memory import WishMemory
from kmodd.namespace.wish_sources import WishSources
from kmodd.state import AppliedStore
from kmodd.trees import Trees
from tests.support.namespaces import namespace_on
from tests.support.tree import ModuleTree

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class KeptMachine:
    """A namespace with wishes; ``directory`` has their files."""

    namespace: Namespace
    kernel: EmulatedKernel
    trees: Trees
    keeper: StateKeeper
    directory: Path

    def wish(self, text: str, file: str = "a.toml") -> None:
        """Have a file say ``text``, in force."""
        self.directory.mkdir(exist_ok=True)
        (self.directory / file).write_text(text)
        self.keeper.reread()
        self.settle()

    def settle(self) -> None:
        """Wait until what can be done at once is done."""
        assert self.keeper.settle(PATIENCE)

    def loaded(self) -> set[str]:
        """Return the modules in the kernel."""
        return {module.name for module in self.namespace.listing().modules}

    def finding(self, name: str) -> Finding:
        """Return how one module fares, after a fresh look."""
        return next(each for each in self.keeper.refreshed().findings if each.name == name)

    def told(self) -> dict[str, str]:
        """Return how each module fares: its standing, and why where there is something to say."""
        return {
            each.name: f"{each.standing.value}: {each.why}".removesuffix(": ")
            for each in self.keeper.refreshed().findings
        }


@contextmanager
def kept_machine(
    tree: ModuleTree,
    directory: Path,
    *,
    store: AppliedStore | None = None,
    memory: WishMemory | None = None,
    machine: MachineFacts | None = None,
    first: float = FIRST,
    **settings: Any,
) -> Iterator[KeptMachine]:
    """Yield a machine on ``tree`` whose wishes are in ``directory``."""
    namespace, kernel = namespace_on(tree, **settings)
    assert isinstance(kernel, EmulatedKernel)
    trees = namespace._trees
    keeper = StateKeeper(
        namespace,
        trees,
        WishSources(directory, store),
        lambda: machine or MachineFacts(tree.release, "here"),
        memory,
        first,
    )
    keeper.start()
    try:
        yield KeptMachine(namespace, kernel, trees, keeper, directory)
    finally:
        keeper.stop(PATIENCE)


def wishes(*lines: str) -> str:
    """Return a text with a wish a line: "NAME STATE [PARAMETER=VALUE] [reload|enforce]"."""
    found = []
    for line in lines:
        name, state, *more = line.split()
        found += ["[[module]]", f"name = '{name}'", f"state = '{state}'"]
        found += ["reload = 'when-unused'"] if "reload" in more else []
        found += ["enforce = true"] if "enforce" in more else []
        given = [each.partition("=") for each in more if "=" in each]
        found += [f"parameters.{key} = '{value}'" for key, _, value in given]
    return "\n".join(found)
