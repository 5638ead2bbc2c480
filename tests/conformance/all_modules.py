# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.conformance.all_modules``: a distribution's modules in and out again.

Each module after what it needs, and out again, one after the other; and all of them together, and
out again, users first. Where the emulator is installed their code is run, and may end a load: a
driver whose hardware is missing says so. Nothing else may be refused, and nothing may be left: no
module, and no memory of the kernel's process.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmodd.database import Database, ModuleRecord
from kmodd.database.releases import newest_release
from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import IsolatedKernel, VmlinuxSource
from kmodd.trees import Trees, modules_directory
from tests.support.debian import unpacked_tree

PAGE_KIB = 4

ENDED_BY_CODE = (Reason.KERNEL_REFUSED, Reason.MODULE_CRASHED)
"""How a load fails that the module's own code has ended."""


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to. ``memory`` is that of the kernel's process after it, in KiB.

    ``ended`` counts the loads that a module's own code has ended, its own or that of another which
    it needs.
    """

    loads: int
    ended: int
    seconds: float
    refused: tuple[str, ...]
    left: int
    memory: int

    def __str__(self) -> str:
        refused = f", refused: {'; '.join(self.refused[:10])}" if self.refused else ""
        return (
            f"{self.loads} loads and unloads in {self.seconds:.1f} s, "
            f"{self.ended} ended by code, {self.left} left, "
            f"{self.memory} KiB{refused}"
        )


class Rounds:
    """A tree, and a kernel that its modules go into. For one thread."""

    def __init__(self, root: Path, release: str, *, run_code: bool = True) -> None:
        trees = Trees(root, release, publish=False)
        self.database: Database = trees.rebuild().database
        self._directory = trees.directory / release
        source = VmlinuxSource(root, release, trees.directory, lambda: self.database.modules)
        self.kernel = IsolatedKernel(release, source, run_code=run_code)

    def one_by_one(self, names: Iterable[str]) -> Round:
        """Load each module after what it needs, and unload all of that again."""
        loads, ended, refused, began = 0, 0, list[str](), time.monotonic()
        for name in names:
            loaded, without, problems = self._load(self._with_needs([name]))
            loads += len(loaded)
            ended += len(without)
            refused += problems
            self._unload(loaded)
        return self._round(loads, ended, refused, began)

    def together(self, names: Iterable[str]) -> Round:
        """Load the modules and what they need, each once, and then unload them all."""
        began = time.monotonic()
        loaded, ended, refused = self._load(self._with_needs(names))
        self._unload(loaded)
        return self._round(len(loaded), len(ended), refused, began)

    def load(self, names: Iterable[str]) -> int:
        """Load the modules and what they need, and leave them; returns how many are loaded."""
        loaded, _, _ = self._load(self._with_needs(names))
        return len(loaded)

    def close(self) -> None:
        """Halt the kernel."""
        self.kernel.close()

    def _with_needs(self, names: Iterable[str]) -> list[ModuleRecord]:
        """Return the modules and all that they need, each once and after what it needs."""
        order: dict[str, ModuleRecord] = {}
        for name in names:
            for record in (*self.database.dependencies(name), self.database.modules[name]):
                order.setdefault(record.name, record)
        return list(order.values())

    def _load(self, records: Iterable[ModuleRecord]) -> tuple[list[str], set[str], list[str]]:
        loaded, ended, refused = list[str](), set[str](), list[str]()
        for record in records:
            if any(each.name in ended for each in self.database.dependencies(record.name)):
                ended.add(record.name)
                continue
            try:
                with (self._directory / record.path).open("rb") as file:
                    self.kernel.finit_module(file.fileno(), "", InsertFlags.NONE)
                loaded.append(record.name)
            except KernelError as error:
                if error.reason in ENDED_BY_CODE:
                    ended.add(record.name)
                else:
                    refused.append(f"{record.name}: {error.message}")
        return loaded, ended, refused

    def _unload(self, names: Sequence[str]) -> None:
        """Unload in the reverse order, which is a valid one; by force what has no exit, or what
        code has taken a reference to. A module whose exit crashes is gone, too.
        """
        for name in reversed(names):
            try:
                self.kernel.delete_module(name, force=True)
            except KernelError as error:
                if error.reason is not Reason.MODULE_CRASHED:
                    raise

    def _round(self, loads: int, ended: int, refused: Iterable[str], began: float) -> Round:
        seconds = time.monotonic() - began
        memory = int(Path(f"/proc/{self.kernel.pid}/statm").read_text().split()[1]) * PAGE_KIB
        return Round(loads, ended, seconds, tuple(refused), len(self.kernel.modules()), memory)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what each round came to; returns 0 where nothing was refused or left."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.all_modules",
        description="Load and unload all modules of a release on the emulated kernel.",
    )
    parser.add_argument("--root", type=Path, help="default: Debian's current kernel package")
    parser.add_argument("--release", help="default: the newest under the root")
    options = parser.parse_args(arguments)
    root = options.root or unpacked_tree().root
    rounds = Rounds(root, options.release or newest_release(str(modules_directory(root))) or "")
    names = tuple(rounds.database.modules)
    results = []
    for title, run in (
        ("warming up, together", rounds.together),
        ("one after the other", rounds.one_by_one),
        ("together", rounds.together),
    ):
        results.append(run(names))
        print(f"{title}: {results[-1]}", flush=True)
    rounds.close()
    return 1 if any(each.refused or each.left for each in results) else 0


if __name__ == "__main__":
    sys.exit(main())
