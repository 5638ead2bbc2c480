# SPDX-License-Identifier: Apache-2.0
"""Runs plans on a kernel: load, unload, insert, remove, list.

A load walks its plan, the leaves of the dependency graph first. Each step is a flight of its own
(see flights.py), so that a hundred callers who want the same module cost one load, and nobody
holds one module while waiting for another.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kmodd.errors import KmoddError, ModuleFileError, NotFoundError, Reason, StateError
from kmodd.kernel.base import InsertFlags, Kernel, LoadedModule
from kmodd.modulefile import Compression, ModuleFile, decompress, detect_compression
from kmodd.names import check_query, module_name
from kmodd.namespace.flights import Flights, Operation
from kmodd.namespace.runner import Runner, StaleError, StepOutcome, planned
from kmodd.plan import LoadRequest, Plan, UnloadRequest, plan_load, plan_unload
from kmodd.trees import Generation, Trees

REPLANS = 4
"""How often a load plans anew when the tree changes under it, before it gives up."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """The loaded modules at one moment; ``revision`` counts the changes within an ``epoch``."""

    epoch: str
    revision: int
    modules: tuple[LoadedModule, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one name: the modules it stands for, the steps, and the failure if any."""

    name: str
    targets: tuple[str, ...]
    steps: tuple[StepOutcome, ...]
    error: KmoddError | None = None


class Namespace:
    """One kernel's modules. ``_lock`` guards the revision; everything else is in Flights."""

    def __init__(self, kernel: Kernel, trees: Trees) -> None:
        self._kernel = kernel
        self._trees = trees
        self._flights = Flights()
        self._lock = threading.Lock()
        self._epoch = uuid.uuid4().hex
        self._revision = 1
        self._seen: tuple[LoadedModule, ...] = ()

    def listing(self) -> Listing:
        """Return the kernel's modules now, the newest first."""
        with self._lock:
            modules = self._kernel.modules()
            if modules != self._seen:
                self._seen = modules
                self._revision += 1
            return Listing(self._epoch, self._revision, modules)

    def module(self, name: str) -> LoadedModule:
        """Return one loaded module; raises StateError (MODULE_NOT_LOADED)."""
        found = self._kernel.module(module_name(check_query(name)))
        if found is None:
            raise _not_loaded(name)
        return found

    def load(self, request: LoadRequest, *, dry_run: bool = False) -> Outcome:
        """Load what ``request`` names with what it needs, or only plan it (``dry_run``)."""
        check_query(request.name)
        with self._operation(f"load {request.name}") as operation:
            return self._outcome(
                request.name,
                lambda generation: plan_load(
                    request, generation.database, generation.config, self._loaded()
                ),
                None if dry_run else Runner(self._kernel, self._flights, operation),
            )

    def unload(self, request: UnloadRequest, *, dry_run: bool = False) -> Outcome:
        """Unload what ``request`` names, then what is unused without it; or only plan it."""
        check_query(request.name)
        with self._operation(f"unload {request.name}") as operation:
            return self._outcome(
                request.name,
                lambda generation: plan_unload(
                    request, generation.database, generation.config, self._loaded()
                ),
                None if dry_run else Runner(self._kernel, self._flights, operation),
            )

    def insert(
        self, image: bytes, file_name: str, parameters: str, flags: InsertFlags
    ) -> LoadedModule:
        """Load ``image`` as it is; nothing is searched, no dependency loaded (insmod).

        ``file_name`` is only for messages. Raises ModuleFileError for what is no module at all,
        and KernelError for what the kernel refuses.
        """
        if detect_compression(image[:8]) is not Compression.NONE:
            image = decompress(image, path=file_name)
        name = _name_of(image, file_name)

        def call() -> bool:
            self._kernel.init_module(image, parameters, flags)
            return True

        with self._operation(f"insert {name}"):
            self._flights.load(name, object(), call)
        return self.module(name)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Unload one module and nothing else (rmmod)."""
        name = module_name(check_query(name))
        with self._operation(f"remove {name}") as operation:
            found = self._kernel.module(name)
            if found is None:
                raise self._builtin(name) or _not_loaded(name)
            if found.holders or (found.refcount and not force):
                raise _in_use(found)
            Runner(self._kernel, self._flights, operation).remove(name, force=force)

    def idle(self) -> bool:
        """Tell whether no operation is under way and nothing of one is left."""
        return self._flights.idle()

    @contextmanager
    def _operation(self, title: str) -> Iterator[Operation]:
        started = time.monotonic()
        with self._flights.operation(title) as operation:
            result = "done"
            try:
                yield operation
            except KmoddError as error:
                result = f"failed: {error.message}"
                raise
            finally:
                milliseconds = (time.monotonic() - started) * 1000
                log.debug("%s %s in %.1f ms", operation, result, milliseconds)

    def _loaded(self) -> dict[str, LoadedModule]:
        return {module.name: module for module in self._kernel.modules()}

    def _outcome(
        self,
        name: str,
        make_plans: Callable[[Generation], tuple[Plan, ...]],
        runner: Runner | None,
    ) -> Outcome:
        """Plan and run; where the tree has changed since its last scan, scan and plan anew."""
        generation = self._trees.current()
        steps: list[StepOutcome] = []
        for _ in range(REPLANS):
            try:
                plans = make_plans(generation)
            except NotFoundError:
                fresh = self._trees.confirm(generation)
                if fresh.number == generation.number:
                    raise
                generation = fresh
                continue
            targets = tuple(plan.target for plan in plans)
            if runner is None:
                steps.extend(self._planned(plans, generation))
                failure = plans[-1].failure if plans else None
                return Outcome(name, targets, tuple(steps), failure)
            try:
                failure = runner.run(plans, generation, steps)
                return Outcome(name, targets, tuple(steps), failure)
            except StaleError:
                generation = self._trees.rebuild()
        raise StateError(Reason.MODULE_CHANGED, f"the files of {name} keep changing", module=name)

    def _planned(self, plans: Iterable[Plan], generation: Generation) -> Iterator[StepOutcome]:
        for plan in plans:
            for step in plan.steps:
                yield planned(step, generation, self._kernel)

    def _builtin(self, name: str) -> StateError | None:
        if not self._trees.current().database.is_builtin(name):
            return None
        return StateError(Reason.MODULE_BUILTIN, f"module {name} is builtin", module=name)


def _name_of(image: bytes, file_name: str) -> str:
    """The name that the kernel will know ``image`` by; what cannot be read, the kernel refuses."""
    try:
        return ModuleFile.parse(image, path=file_name).this_module_name() or ""
    except ModuleFileError:
        return ""


def _not_loaded(name: str) -> StateError:
    return StateError(Reason.MODULE_NOT_LOADED, f"module {name} is not loaded", module=name)


def _in_use(module: LoadedModule) -> StateError:
    holders = " ".join(module.holders)
    by = f" by: {holders}" if holders else ""
    return StateError(
        Reason.MODULE_IN_USE,
        f"module {module.name} is in use{by}",
        module=module.name,
        detail=holders,
    )
