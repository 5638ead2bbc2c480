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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kmodd.access import check_target
from kmodd.caller import DAEMON, Caller
from kmodd.errors import KmoddError, ModuleFileError, NotFoundError, Reason, StateError
from kmodd.kernel.base import InsertFlags, Kernel, LoadedModule, ModuleDetails
from kmodd.modulefile import Compression, ModuleFile, decompress, detect_compression
from kmodd.names import check_query, module_name, module_name_of_path
from kmodd.namespace.commands import Commands
from kmodd.namespace.flights import Flights, Operation
from kmodd.namespace.parameters import (
    DescribedParameter,
    IgnoredParameter,
    check_parameters,
    described_parameters,
    ignored_parameters,
    store_parameter,
)
from kmodd.namespace.permits import permitted
from kmodd.namespace.runner import Manner, Means, Runner, StaleError, StepOutcome, planned
from kmodd.namespace.uploaded import with_uploaded
from kmodd.plan import (
    BuiltinStep,
    DenyList,
    LoadRequest,
    Plan,
    UnloadRequest,
    module_of,
    plan_load,
    plan_unload,
)
from kmodd.trees import Generation, Trees

TITLE_MAX = 64
"""Characters of a parameter's name in the title of an operation."""

REPLANS = 4
"""How often a load plans anew when the tree changes under it, before it gives up."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """The loaded modules at one moment; ``revision`` counts the changes within an ``epoch``, which
    is one life of the daemon and of its kernel.
    """

    epoch: str
    revision: int
    modules: tuple[LoadedModule, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one name: the modules it stands for, the steps, and the failure if any.

    Of several modules the last one decides; ``others`` are the failures of those before it, by
    module. ``problems`` are those of the configuration, ``ignored`` the parameters given in vain.
    """

    name: str
    targets: tuple[str, ...]
    steps: tuple[StepOutcome, ...]
    error: KmoddError | None = None
    others: tuple[tuple[str, KmoddError], ...] = ()
    problems: tuple[str, ...] = ()
    ignored: tuple[IgnoredParameter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a request says beside what it is for.

    ``release`` names the tree, "" for the kernel's own. ``dry_run`` plans and does nothing, and an
    unload is planned as if ``assumed`` were loaded where that is not None.
    ``token`` is that of the operation whose command makes the request, and counts for more than
    the ``caller``. The rest is as in Manner.
    """

    release: str = ""
    dry_run: bool = False
    assumed: tuple[LoadedModule, ...] | None = None
    token: str = ""
    caller: Caller = DAEMON
    wait: float = 0.0
    nested_options: str = ""


USUAL = Call()
"""A request that says nothing special."""


class Namespace:
    """One kernel's modules. ``_lock`` guards the revision; everything else is in Flights."""

    def __init__(
        self,
        kernel: Kernel,
        trees: Trees,
        commands: Commands,
        *,
        deny: DenyList | None = None,
        exact: bool = False,
    ) -> None:
        """``deny`` are never loaded; with ``exact``, which is kmod's way, there are none."""
        self._kernel = kernel
        self._trees = trees
        self._flights = Flights()
        self._stopping = threading.Event()
        self._means = Means(
            kernel=kernel, flights=self._flights, commands=commands, stopping=self._stopping
        )
        self.set_policy(deny or DenyList(), exact=exact)
        self._lock = threading.Lock()
        self._epoch = uuid.uuid4().hex
        self._revision = 1
        self._seen: tuple[LoadedModule, ...] = ()

    def set_policy(self, deny: DenyList, *, exact: bool) -> None:
        """From now on load nothing that ``deny`` holds; with ``exact``, do as kmod does."""
        self._deny = DenyList() if exact else deny
        self._exact = exact

    def stop(self) -> None:
        """End the waiting of all who wait for a module that is in use."""
        self._stopping.set()

    def listing(self) -> Listing:
        """Return the kernel's modules now, the newest first."""
        with self._lock:
            modules = self._kernel.modules()
            if modules != self._seen:
                self._seen = modules
                self._revision += 1
            return Listing(f"{self._epoch}.{self._kernel.boot_id}", self._revision, modules)

    def module(self, name: str) -> LoadedModule:
        """Return one loaded module; raises StateError (MODULE_NOT_LOADED)."""
        found = self._kernel.module(module_name(check_query(name)))
        if found is None:
            raise _not_loaded(name)
        return found

    def details(self, name: str) -> tuple[ModuleDetails, tuple[DescribedParameter, ...]]:
        """Return what the kernel has of a loaded module, and its parameters with descriptions.

        Raises StateError (MODULE_NOT_LOADED, MODULE_BUILTIN).
        """
        details = self._details(module_name(check_query(name)))
        generation = self._trees.in_force()
        database = generation.database if generation else None
        return details, described_parameters(details, database)

    def set_parameter(
        self, name: str, parameter: str, value: str, call: Call = USUAL
    ) -> DescribedParameter:
        """Set a parameter of a loaded module, while nobody loads or unloads it.

        Returns what the kernel then shows. Raises as ``details`` and ``store_parameter`` do.
        """
        name = module_name(check_query(name))
        shown: list[DescribedParameter] = []

        def store() -> bool:
            stored = store_parameter(self._kernel, self._details(name), parameter, value)
            shown.extend(each for each in self.details(name)[1] if each.shown.name == stored)
            return True

        with self._operation(f"set {parameter[:TITLE_MAX]} of {name}", call) as operation:
            check_target(operation.caller, name)
            self._flights.load(name, object(), store)
        return shown[0]

    def load(self, request: LoadRequest, call: Call = USUAL) -> Outcome:
        """Load what ``request`` names with what it needs, or only plan it."""
        with self._operation(f"load {request.name}", call) as operation:
            return self._load(request, call, self._runner(operation, call))

    def load_together(
        self, requests: Sequence[LoadRequest], call: Call = USUAL
    ) -> tuple[Outcome, ...]:
        """Load what all of ``requests`` name, or nothing: a failure takes back what was loaded.

        The outcomes end with the one that failed. What another program has come to use stays.
        """
        names = " ".join(request.name for request in requests)
        outcomes: list[Outcome] = []
        with self._operation(f"load {names}", call) as operation:
            runner = self._runner(operation, call)
            for request in requests:
                outcomes.append(self._load(request, call, runner))
                if outcomes[-1].error is not None:
                    break
            else:
                return tuple(outcomes)
            if not call.dry_run:
                for at in reversed(range(len(outcomes))):
                    steps = list(outcomes[at].steps)
                    runner.take_back(steps)
                    outcomes[at] = replace(outcomes[at], steps=tuple(steps))
        return tuple(outcomes)

    def load_file(
        self, image: bytes, file_name: str, request: LoadRequest, call: Call = USUAL
    ) -> Outcome:
        """Load ``image`` with what it needs of the tree (``modprobe ./x.ko``), or only plan it.

        ``file_name`` is the path that the client read it from; it names the module.
        """
        image = _plain(image, file_name)
        request = replace(request, name=module_name_of_path(file_name), is_module=True)
        with self._operation(f"load {file_name}", call) as operation:
            runner = self._runner(operation, call, {file_name: image})
            return self._load(request, call, runner, uploaded=(file_name, image))

    def unload(self, request: UnloadRequest, call: Call = USUAL) -> Outcome:
        """Unload what ``request`` names, then what is unused without it; or only plan it."""
        request = replace(request, exact=request.exact or self._exact, waits=call.wait > 0)

        def make_plans(generation: Generation) -> tuple[Plan, ...]:
            loaded = self._loaded(call.assumed if call.dry_run else None)
            plans = plan_unload(request, generation.database, generation.config, loaded)
            return permitted(operation.caller, plans)

        with self._operation(f"unload {request.name}", call) as operation:
            return self._outcome(request.name, make_plans, call, self._runner(operation, call))

    def insert(
        self,
        image: bytes,
        file_name: str,
        parameters: str,
        flags: InsertFlags,
        call: Call = USUAL,
    ) -> LoadedModule:
        """Load ``image`` as it is; nothing is searched, no dependency loaded (insmod).

        ``file_name`` is only for messages. Raises ModuleFileError for what is no module at all,
        StateError (MODULE_DENIED), and KernelError for what the kernel refuses.
        """
        image = _plain(image, file_name)
        check_parameters(parameters)
        name = _name_of(image, file_name)
        denial = self._deny.denial(name)
        if denial is not None:
            raise denial

        def load() -> bool:
            self._kernel.init_module(image, parameters, flags)
            return True

        with self._operation(f"insert {name}", call):
            self._flights.load(name, object(), load)
        return self.module(name)

    def remove(self, name: str, call: Call = USUAL, *, force: bool = False) -> None:
        """Unload one module and nothing else (rmmod)."""
        name = module_name(check_query(name))
        with self._operation(f"remove {name}", call) as operation:
            check_target(operation.caller, name)
            found = self._kernel.module(name)
            if found is None:
                raise self._builtin(name) or _not_loaded(name)
            if found.holders or (found.refcount and not force):
                raise _in_use(found)
            Runner(self._means, operation).remove(name, force=force)

    def origin(self, token: str) -> Caller:
        """Return who started the operation with this token; StateError where there is none."""
        return self._flights.origin(token)

    def idle(self) -> bool:
        """Tell whether no operation is under way and nothing of one is left."""
        return self._flights.idle()

    @contextmanager
    def _operation(self, title: str, call: Call) -> Iterator[Operation]:
        started = time.monotonic()
        with self._flights.operation(title, call.token, call.caller) as operation:
            result = "done"
            try:
                yield operation
            except KmoddError as error:
                result = f"failed: {error.message}"
                raise
            finally:
                milliseconds = (time.monotonic() - started) * 1000
                log.debug("%s %s in %.1f ms", operation, result, milliseconds)

    def _loaded(self, assumed: tuple[LoadedModule, ...] | None = None) -> dict[str, LoadedModule]:
        modules = self._kernel.modules() if assumed is None else assumed
        return {module.name: module for module in modules}

    def _runner(
        self, operation: Operation, call: Call, images: dict[str, bytes] | None = None
    ) -> Runner:
        manner = Manner(wait=call.wait, nested_options=call.nested_options, images=images or {})
        return Runner(self._means, operation, manner)

    def _load(
        self,
        request: LoadRequest,
        call: Call,
        runner: Runner,
        uploaded: tuple[str, bytes] | None = None,
    ) -> Outcome:
        """Load within an operation; ``uploaded`` is a module file and its path."""
        request = replace(request, exact=request.exact or self._exact)

        def make_plans(generation: Generation) -> tuple[Plan, ...]:
            check_parameters(request.parameters)
            database = generation.database
            if uploaded is not None:
                database = with_uploaded(database, *uploaded)
            plans = plan_load(request, database, generation.config, self._loaded(), self._deny)
            return permitted(runner.operation.caller, plans)

        outcome = self._outcome(request.name, make_plans, call, runner)
        if outcome.error or not request.parameters or request.exact:
            return outcome
        steps = (each.step for each in outcome.steps if not each.needless)
        given = {module_of(step) for step in steps if not isinstance(step, BuiltinStep)}
        ignored = (
            one
            for target in outcome.targets
            if target not in given
            for one in ignored_parameters(self._kernel, target, request.parameters)
        )
        return replace(outcome, ignored=tuple(ignored))

    def _outcome(
        self,
        name: str,
        make_plans: Callable[[Generation], tuple[Plan, ...]],
        call: Call,
        runner: Runner,
    ) -> Outcome:
        """Plan and run; where the tree has changed since its last scan, scan and plan anew."""
        steps: list[StepOutcome] = []
        targets: tuple[str, ...] = ()
        problems: tuple[str, ...] = ()
        try:
            generation = self._trees.current(call.release)
            for _ in range(REPLANS):
                problems = generation.config.problems
                try:
                    plans = make_plans(generation)
                except NotFoundError:
                    fresh = self._trees.confirm(generation)
                    if fresh.number == generation.number:
                        raise
                    generation = fresh
                    continue
                targets = tuple(plan.target for plan in plans)
                if call.dry_run:
                    steps.extend(self._planned(plans, generation))
                    return _result(name, plans, steps, [each.failure for each in plans], problems)
                try:
                    failures = runner.run(plans, generation, steps)
                    return _result(name, plans, steps, failures, problems)
                except StaleError:
                    generation = self._trees.rebuild(call.release)
            what = f"the files of {name} keep changing"
            raise StateError(Reason.MODULE_CHANGED, what, module=name)
        except KmoddError as error:
            return Outcome(name, targets, tuple(steps), error, problems=problems)

    def _planned(self, plans: Iterable[Plan], generation: Generation) -> Iterator[StepOutcome]:
        for plan in plans:
            for step in plan.steps:
                yield planned(step, generation, self._kernel)

    def _details(self, name: str) -> ModuleDetails:
        details = self._kernel.details(name)
        if details is None:
            raise self._builtin(name) or _not_loaded(name)
        return details

    def _builtin(self, name: str) -> StateError | None:
        generation = self._trees.in_force()
        if generation is None or not generation.database.is_builtin(name):
            return None
        return StateError(Reason.MODULE_BUILTIN, f"module {name} is builtin", module=name)


def _result(
    name: str,
    plans: Sequence[Plan],
    steps: Sequence[StepOutcome],
    failures: Sequence[KmoddError | None],
    problems: tuple[str, ...],
) -> Outcome:
    """Return the outcome of one name whose plans were run as far as there are ``failures``."""
    plans = plans[: len(failures)]
    others: list[tuple[str, KmoddError]] = []
    for plan, error in zip(plans, (*failures[:-1], None), strict=False):
        others += [(plan.target, each) for each in plan.passed_over]
        others += [(plan.target, error)] if error is not None else []
    return Outcome(
        name,
        tuple(plan.target for plan in plans),
        tuple(steps),
        failures[-1] if failures else None,
        tuple(others),
        problems,
    )


def _plain(image: bytes, file_name: str) -> bytes:
    """Return the module's image, decompressed where it is not plain."""
    if detect_compression(image[:8]) is Compression.NONE:
        return image
    return decompress(image, path=file_name)


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
