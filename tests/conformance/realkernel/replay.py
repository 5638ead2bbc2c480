# SPDX-License-Identifier: Apache-2.0
"""The loads of a table, done on the emulated kernel the way that modprobe does them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kmodd.database import Database, ModuleRecord
from kmodd.database.releases import newest_release
from kmodd.errors import KernelError, KmoddError, Reason
from kmodd.kernel.base import InitState, Kernel, LoadedModule, Requested, Requester
from kmodd.kernel.emulated import IsolatedKernel, VmlinuxSource
from kmodd.plan import InsertStep, LoadRequest, Plan, plan_load
from kmodd.trees import Trees, modules_directory
from tests.conformance.realkernel.table import PERMANENT, Row, Seen

PRELOADED = (
    "virtio_ring",
    "virtio",
    "virtio_pci",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "9p",
    "9pnet",
    "9pnet_virtio",
    "netfs",
    "fscache",
    "overlay",
)
"""The modules that the real kernel's root file system stood on: they were there all the time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the emulated kernel did with one row.

    ``came`` are the modules of the row's family that are loaded now, as the table would list them;
    ``error`` is why the load failed. ``ran`` tells whether the module is there, and its own init
    has run if it has one.
    """

    row: Row
    came: Mapping[str, Seen]
    error: KmoddError | None
    ran: bool = False

    @property
    def refused_by_code(self) -> bool:
        """Whether it was some module's own code that ended the load."""
        code = (Reason.KERNEL_REFUSED, Reason.MODULE_CRASHED)
        return self.error is not None and self.error.reason in code


class Replay:
    """A module tree and a kernel, an emulated one, for the loads of a table. For one thread."""

    def __init__(
        self,
        root: Path,
        release: str = "",
        kernel: Callable[[str, Database], Kernel] | None = None,
    ) -> None:
        """Raises KmoddError or ValueError where ``root`` holds no module tree.

        ``kernel`` gives another kernel for the release and its database; it needs no module that is
        not there when it has booted.
        """
        found = release or newest_release(str(modules_directory(root)))
        if found is None:
            raise ValueError(f"{modules_directory(root)} has no module tree")
        trees = Trees(root, found, publish=False)
        self._generation = trees.rebuild()
        self._database = self._generation.database
        self.kernel: Kernel
        if kernel is None:
            source = VmlinuxSource(root, found, trees.directory, lambda: self._database.modules)
            self.kernel = IsolatedKernel(found, source)
        else:
            self.kernel = kernel(found, self._database)
        if isinstance(self.kernel, Requester):
            self.kernel.answer_requests(self._requested)
        for name in PRELOADED if kernel is None else ():
            if self._database.module(name) is not None:
                self.load(name)
        self._resident = frozenset(module.name for module in self.kernel.modules())

    def knows(self, name: str) -> bool:
        """Tell whether the tree has a module of that name."""
        return self._database.module(name.replace("-", "_")) is not None

    def run(self, rows: Iterable[Row]) -> Iterator[Outcome]:
        """Load each row's module with modprobe's plan, look, and unload it with all it brought."""
        for row in rows:
            error = self.load(row.module)
            # What was there before belongs to a family only where the table says so.
            family = self.family(row.module) - self._resident | row.family.keys()
            came = {
                module.name: seen(module)
                for module in self.kernel.modules()
                if module.name in family
            }
            module = self.kernel.module(row.module.replace("-", "_"))
            report = module.report if module else None
            ran = report is not None and report.init is not InitState.NOT_RUN
            yield Outcome(row, came, error, ran)
            self._sweep()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all modules of the tree."""
        return tuple(self._database.modules)

    def close(self) -> None:
        """Halt the kernel."""
        self.kernel.close()

    def load(self, name: str) -> KmoddError | None:
        """Run the plans of ``modprobe NAME``, and return the failure if one ends them."""
        loaded = {module.name: module for module in self.kernel.modules()}
        config = self._generation.config
        try:
            plans = plan_load(LoadRequest(name=name), self._database, config, loaded)
        except KmoddError as error:
            return error
        return next(filter(None, map(self._run, plans)), None)

    def _requested(self, name: str, waits: bool) -> Requested:
        """Load what a module's code asks for; but what it does not wait for came to the real
        kernel after its modules were listed.
        """
        return Requested(256 if waits and self.load(name) is not None else 0)

    def _run(self, plan: Plan) -> KmoddError | None:
        for step in plan.steps:
            if isinstance(step, InsertStep) and self.kernel.module(step.record.name) is None:
                try:
                    self._insert(step)
                except KmoddError as error:
                    if step.required:
                        return error
        return plan.failure

    def _insert(self, step: InsertStep) -> None:
        with (self._generation.directory / step.record.path).open("rb") as file:
            self.kernel.finit_module(file.fileno(), step.parameters, step.flags)

    def family(self, name: str) -> set[str]:
        """What the table can list beside ``name``: what it needs and its soft dependencies, and so
        on; but those soft dependencies alone that are given by a module's name, not by an alias.
        """
        family: set[str] = set()
        left = [name]
        while left:
            each = left.pop().replace("-", "_")
            record = self._database.module(each)
            if record is None or each in family:
                continue
            family.add(each)
            left += [dependency.name for dependency in self._database.dependencies(each)]
            left += self._soft_dependencies(record)
        return family

    def _soft_dependencies(self, record: ModuleRecord) -> list[str]:
        """The names in the first soft dependency of a module, which is the one that kmod minds."""
        words = " ".join(record.softdeps[:1]).split()
        return [word for word in words if word not in ("pre:", "post:")]

    def _sweep(self) -> None:
        """Leave what was there before the first row, and nothing else."""
        while extra := [m for m in self.kernel.modules() if m.name not in self._resident]:
            unused = [module for module in extra if not module.refcount]
            # A reference that code took, and only other code would give back, is no obstacle here.
            for module in unused or [module for module in extra if not module.holders]:
                # Code that crashes in its exit is gone with it.
                with suppress(KernelError):
                    self.kernel.delete_module(module.name, force=True)
            if len(self.kernel.modules()) == len(self._resident) + len(extra):
                raise RuntimeError(f"cannot unload any of {[module.name for module in extra]}")


def seen(module: LoadedModule) -> Seen:
    """Return what a table has of a loaded module."""
    holders = (*module.holders, PERMANENT) if module.permanent else module.holders
    return Seen(module.size, module.refcount, holders)
