# SPDX-License-Identifier: Apache-2.0
"""Runs plans on a kernel: load, unload, insert, remove, list.

A load walks its plan, the leaves of the dependency graph first. Each step is a flight of its own
(see module_locks.py), so that a hundred callers who want the same module cost one load, and nobody
holds one module while waiting for another.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from kmodd.access.caller import Caller
from kmodd.access.rules import check_target
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.kernel.base import (
    EmulationReport,
    InsertFlags,
    Kernel,
    LoadedModule,
    ModuleDetails,
    ParameterValue,
    Requester,
)
from kmodd.log_kinds import LogKind, told
from kmodd.names import check_query, module_name, module_name_of_path
from kmodd.namespace.absences import Absences
from kmodd.namespace.audit import Action, AuditTrail
from kmodd.namespace.commands import Commands
from kmodd.namespace.context import USUAL, RequestContext
from kmodd.namespace.devices import Devices
from kmodd.namespace.events import Change, ChangeKind, Journal, ModuleListing, Watch
from kmodd.namespace.file_comparison import FileComparison, OutdatedModule
from kmodd.namespace.holding import Holding
from kmodd.namespace.holds import Hold, Holds
from kmodd.namespace.hotplug import Hotplug, has_news
from kmodd.namespace.identities import check_image
from kmodd.namespace.load_origins import LoadOrigins, Origin
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.namespace.loading import Loading
from kmodd.namespace.module_calls import ModuleCalls
from kmodd.namespace.module_locks import ModuleLocks, Running
from kmodd.namespace.operation import Operation
from kmodd.namespace.operation_counts import OperationCounts
from kmodd.namespace.operations import Operations
from kmodd.namespace.outcome import Outcome
from kmodd.namespace.parameters import (
    DescribedParameter,
    described_parameters,
    store_parameter,
)
from kmodd.namespace.permissions import check_removal
from kmodd.namespace.planning import Planning, Policy, UnloadToPlan
from kmodd.namespace.reload_report import ReloadReport, ReloadRequest
from kmodd.namespace.reloading import Reloading
from kmodd.namespace.request_module import RequestAnswers
from kmodd.namespace.runner import Manner, Runner
from kmodd.namespace.sealing import Missing, Sealing
from kmodd.namespace.settled_loads import Basis, SettledLoad, SettledLoads, are_settled
from kmodd.namespace.uploaded_module import image_name, plain_image
from kmodd.namespace.wish_facts import WishFacts
from kmodd.plan import Cause, DenyList, LoadRequest, RemoveStep, UnloadRequest
from kmodd.plan.requests import check_parameters
from kmodd.records import record, replace
from kmodd.settings import Limits
from kmodd.state import AskedStore, Seal, SealStore
from kmodd.tallies import Durations
from kmodd.trees import Trees

TITLE_MAX = 64
"""Characters of a parameter's name in the title of an operation."""

log = logging.getLogger(__name__)

Request = TypeVar("Request", LoadRequest, UnloadRequest)


@record
class Activity:
    """What goes on at one moment: operations, holds, how many follow the events, and the
    revisions from which one can: the earliest, and the one of the last event.
    """

    operations: tuple[Running, ...]
    holds: tuple[Hold, ...]
    watches: int
    revisions: tuple[int, int]


class Namespace:
    """One kernel's modules. What there is to guard is guarded by the parts.

    ``stopping`` is set when all waiting is to end. ``start_failures`` say in lines what could not
    be loaded when the daemon started; the thread that loads then replaces them as a whole.
    ``hotplug`` is what loads for devices, None where that is left to others.
    """

    def __init__(
        self,
        kernel: Kernel,
        trees: Trees,
        commands: Commands,
        *,
        deny: DenyList | None = None,
        exact: bool = False,
        limits: Limits | None = None,
        audit: AuditTrail | None = None,
        asked: AskedStore | None = None,
        seals: SealStore | None = None,
    ) -> None:
        """``deny`` are never loaded; with ``exact``, which is kmod's way, there are none.

        ``asked`` keeps over a restart which modules were asked for, ``seals`` who has sealed the
        kernel.
        """
        limits = limits or Limits()
        self._kernel = kernel
        self._trees = trees
        self._locks = ModuleLocks()
        self._names = LoadedNames(kernel)
        self._origins = LoadOrigins(self._names.by_name(kernel.modules()), asked)
        self._holds = Holds(limits.holds)
        self._absences = Absences()
        self._journal = Journal(
            kernel,
            room=limits.events,
            changed=self._listing_changed,
            is_others=lambda name: self.origin_of(name) is Origin.OTHERS,
        )
        self._operations = Operations(self._locks, self._journal, audit or AuditTrail())
        self.sealing = Sealing(kernel, self._operations, seals)
        self.stopping = threading.Event()
        self.start_failures: tuple[str, ...] = ()
        self.hotplug: Hotplug | None = None
        self._calls = ModuleCalls(
            kernel=kernel,
            names=self._names,
            journal=self._journal,
            commands=commands,
            origins=self._origins,
            stopping=self.stopping,
            told=self.sealing.told,
        )
        self._planning = Planning(kernel, self._names, trees, self._locks, self._origins)
        self._loading = Loading(
            kernel, self._names, self._planning, self._origins, self._went_along
        )
        self._holding = Holding(
            kernel,
            self._names,
            self._holds,
            self._locks,
            self._operations,
            self._loading,
            self._runner,
            self._went_along,
        )
        self._comparison = FileComparison(kernel, self._names, trees, self._planning.identities)
        self._reloading = Reloading(
            kernel=kernel,
            names=self._names,
            trees=trees,
            locks=self._locks,
            operations=self._operations,
            planning=self._planning,
            origins=self._origins,
            comparison=self._comparison,
            absences=self._absences,
            run=self._reloader,
            forget=self._not_back,
            along=self._went_along,
        )
        self._settled = SettledLoads()
        self.devices = Devices(kernel, self._operations, self.load)
        self._changed: Callable[[], None] = lambda: None
        self._along: Callable[[Collection[str]], None] = lambda _: None
        self._settings_policy = Policy()
        self._wished_denials: tuple[tuple[str, str], ...] = ()
        if isinstance(kernel, Requester):
            requests = RequestAnswers(self._operations, self._loading, self._runner)
            kernel.answer_requests(requests.answer)
        self.set_policy(deny or DenyList(), exact=exact)

    def set_policy(self, deny: DenyList, *, exact: bool) -> None:
        """From now on load nothing that ``deny`` holds; with ``exact``, do as kmod does.

        What is loaded all the same is told of in the log.
        """
        self._settings_policy = Policy(DenyList() if exact else deny, exact)
        self._enforce_policy()
        self._warn_of_denied(module.name for module in self._kernel.modules())

    def deny_wished(self, entries: Iterable[tuple[str, str]]) -> None:
        """From now on load none of the modules ``entries`` either, each with its reason.

        What is done as kmod does it knows no such denials.
        """
        if (wished := tuple(entries)) != self._wished_denials:
            self._wished_denials = wished
            self._enforce_policy()

    def _enforce_policy(self) -> None:
        policy = self._settings_policy
        if not policy.exact and self._wished_denials:
            policy = replace(policy, deny=policy.deny.with_more(self._wished_denials))
        self._planning.policy = policy

    @property
    def exact(self) -> bool:
        """Whether all is done as kmod does it."""
        return self._planning.policy.exact

    @property
    def deny(self) -> DenyList:
        """What is never loaded."""
        return self._planning.policy.deny

    def wish_facts(self) -> WishFacts:
        """Return what matters to wishes of what there is now."""
        listing = self._journal.look()
        return WishFacts(
            epoch=listing.epoch,
            loaded={**self._absences.all(), **self._names.by_name(listing.modules)},
            brought=self._origins.wished(),
            holds=self._holds.all(),
            deny=self._settings_policy.deny,
        )

    def tell(self, changed: Callable[[], None], along: Callable[[Collection[str]], None]) -> None:
        """Have ``changed`` called once the listing has changed or a hold has ended, and ``along``
        with modules that came or went since others did, which nobody named.

        Neither must block.
        """
        self._changed = changed
        self._along = along

    def operation(
        self, action: Action, what: str, call: RequestContext
    ) -> AbstractContextManager[Operation]:
        """Open an operation for the calling thread, whose work is not the namespace's own."""
        return self._operations.begin(action, what, call)

    def stop(self) -> None:
        """End the waiting of all who wait for a module that is in use, and all holds."""
        self.stopping.set()
        self._holds.end_all()

    def close(self) -> None:
        """Give back what files are open; no operation may be under way."""
        self._operations.audit.close()

    def look(self) -> None:
        """Look at the kernel's listing, which others may have changed."""
        self._journal.look()

    def seal(self, call: RequestContext = USUAL) -> Seal:
        """Have the kernel load and unload nothing any more until it boots; see ``Sealing.make``."""
        return self.sealing.make(call, self.stopping)

    def missing(self) -> tuple[Missing, ...]:
        """Return what is wanted, by devices and at the start, and is neither loaded nor denied."""
        generation, deny = self._trees.in_force(), self.deny
        return self.sealing.missing(lambda name: has_news(name, generation, self._names, deny))

    def listing(self) -> ModuleListing:
        """Return the kernel's modules now, the newest first."""
        return self._journal.look()

    def watch(self, epoch: str = "", revision: int = 0) -> Watch:
        """Follow the listing and the operations; see ``Journal.watch``."""
        return self._journal.watch(epoch, revision)

    @property
    def counts(self) -> OperationCounts:
        """What operations there have been."""
        return self._operations.counts

    @property
    def waits(self) -> Durations:
        """How long operations waited for another to be done with a module."""
        return self._locks.waits

    def note_ended(self, caller: Caller, error: KmoddError) -> None:
        """Have watchers and the audit trail told that a connection of a caller's was ended."""
        self._operations.note_ended(caller, error)

    def activity(self) -> Activity:
        """Return what goes on at this moment."""
        journal = self._journal
        return Activity(
            self._operations.running(), self._holds.all(), journal.watches, journal.revisions()
        )

    def origin_of(self, name: str) -> Origin:
        """Return why the loaded module ``name`` is in the kernel."""
        return self._origins.of(module_name(name))

    def origins_version(self) -> int:
        """Return a number that is another one whenever an origin has changed."""
        return self._origins.version

    def hold_counts(self) -> Mapping[str, int]:
        """Return how many holds there are on each module that has any, by its normal name."""
        return self._holds.counts()

    def module(self, name: str) -> LoadedModule:
        """Return one loaded module; raises StateError (MODULE_NOT_LOADED)."""
        found = self._names.find(check_query(name))
        if found is None:
            raise _not_loaded(name)
        return found

    def details(self, name: str) -> tuple[ModuleDetails, tuple[DescribedParameter, ...]]:
        """Return what the kernel has of a loaded module, and its parameters with descriptions.

        Raises StateError (MODULE_NOT_LOADED, MODULE_BUILTIN).
        """
        details = self._details(self._own_name(name))
        generation = self._trees.in_force()
        database = generation.database if generation else None
        return details, described_parameters(details, database)

    def outdated(self) -> tuple[OutdatedModule, ...]:
        """Return the loaded modules that their files are not; see ``FileComparison.outdated``."""
        return self._comparison.outdated()

    def shown_parameters(self, name: str) -> Mapping[str, ParameterValue]:
        """Return the parameters a module shows, by name with underscores; none if it is gone."""
        details = self._kernel.details(self._own_name(name))
        return {each.name.replace("-", "_"): each for each in details.parameters} if details else {}

    def set_parameter(
        self, name: str, parameter: str, value: str, call: RequestContext = USUAL
    ) -> DescribedParameter:
        """Set a parameter of a loaded module, while nobody loads or unloads it.

        Returns what the kernel then shows. Raises as ``details`` and ``store_parameter`` do.
        """
        name = self._own_name(name)
        shown: list[DescribedParameter] = []

        def store() -> bool:
            stored = store_parameter(self._kernel, self._details(name), parameter, value)
            shown.extend(each for each in self.details(name)[1] if each.shown.name == stored)
            return True

        title = f"{name}.{parameter[:TITLE_MAX]}"
        with self._operations.begin("set-parameter", title, call) as operation:
            check_target(operation.caller, module_name(name))
            self._locks.load(module_name(name), object(), operation, store)
            operation.acted = True
        return shown[0]

    def basis(self) -> Basis:
        """Return what a load that finds nothing to do depends on, as it is now."""
        modules = self._kernel.modules()
        return Basis(self._trees.in_force(), modules, self._planning.policy)

    def settled_answer(self, request: bytes, caller: Caller) -> Any:
        """Return what the caller's load ``request`` was answered where it still has nothing to do.

        What remains of it is done: its modules have been asked for. None for every other load.
        It must be one that belongs to no operation.
        """
        settled = self._settled.find((caller, request), self.basis())
        if settled is None:
            return None
        if not settled.is_plan:
            self._origins.note_asked(settled.targets, caller)
            self._holds.keep(settled.targets)
            self._operations.pass_by("load", settled.names, caller)
        return settled.answer

    def settle(
        self,
        request: bytes,
        call: RequestContext,
        basis: Basis,
        outcomes: Sequence[Outcome],
        answer: Any,
    ) -> None:
        """Remember the answer to a load that had nothing to do on ``basis``, if it is still that.

        ``outcomes`` must depend on nothing but the basis and the request.
        """
        if not are_settled(outcomes) or not self.basis().is_same(basis):
            return
        names = " ".join(outcome.name for outcome in outcomes)
        targets = tuple(target for outcome in outcomes for target in outcome.targets)
        settled = SettledLoad(names, targets, answer, call.dry_run)
        self._settled.keep((call.caller, request), basis, settled)

    def load(self, request: LoadRequest, call: RequestContext = USUAL) -> Outcome:
        """Load what ``request`` names with what it needs, or only plan it."""
        return self.load_each((request,), call)[0]

    def has_news(self, name: str) -> bool:
        """Tell whether a device that wants ``name`` has anything to be loaded."""
        return has_news(name, self._trees.in_force(), self._names)

    def load_each(
        self, requests: Sequence[LoadRequest], call: RequestContext = USUAL
    ) -> tuple[Outcome, ...]:
        """Load what each of ``requests`` names, one after the other, whatever becomes of each.

        Raises StateError (CALLER_GONE) where the next has not begun when the caller has gone.
        """

        def load(request: LoadRequest, runner: Runner) -> Outcome:
            outcome = self._loading.load(request, call, runner)
            self._keep(call, (outcome,))
            return outcome

        return self._each("load", requests, call, load)

    def load_together(
        self, requests: Sequence[LoadRequest], call: RequestContext = USUAL
    ) -> tuple[Outcome, ...]:
        """Load what all of ``requests`` name, or nothing: a failure takes back what was loaded.

        The outcomes end with the one that failed. What another program has come to use stays.
        """
        names = " ".join(request.name for request in requests)
        with self._operations.begin("load", names, call) as operation:
            runner = self._runner(operation, call)
            return self._ended(operation, call, self._loading.load_together(requests, call, runner))

    def load_file(
        self, image: bytes, file_name: str, request: LoadRequest, call: RequestContext = USUAL
    ) -> Outcome:
        """Load ``image`` with what it needs of the tree (``modprobe ./x.ko``), or only plan it.

        ``file_name`` is the path that the client read it from; it names the module.
        """
        image = plain_image(image, file_name)
        request = replace(request, name=module_name_of_path(file_name), is_module=True)
        with self._operations.begin("load", file_name, call) as operation:
            runner = self._runner(operation, call, {file_name: image})
            outcome = self._loading.load(request, call, runner, uploaded=(file_name, image))
            return self._ended(operation, call, (outcome,))[0]

    def unload(self, request: UnloadRequest, call: RequestContext = USUAL) -> Outcome:
        """Unload what ``request`` names, then what is unused without it; or only plan it."""
        return self.unload_each((request,), call)[0]

    def unload_each(
        self, requests: Sequence[UnloadRequest], call: RequestContext = USUAL
    ) -> tuple[Outcome, ...]:
        """Unload what each of ``requests`` names, one after the other; raises as ``load_each``."""

        def unload(request: UnloadRequest, runner: Runner) -> Outcome:
            request = replace(
                request,
                exact=request.exact or self._planning.policy.exact,
                waits=call.wait > 0,
                acts=not call.dry_run,
            )
            wanted = UnloadToPlan(request=request, assumed=call.assumed if call.dry_run else None)
            outcome = self._planning.carry_out(wanted, runner, call)
            self._went_along(outcome.unnamed)
            return outcome

        return self._each("unload", requests, call, unload)

    def insert(
        self,
        image: bytes,
        file_name: str,
        parameters: str,
        flags: InsertFlags,
        call: RequestContext = USUAL,
    ) -> LoadedModule:
        """Load ``image`` as it is; nothing is searched, no dependency loaded (insmod).

        ``file_name`` is only for messages. Raises ModuleFileError for what is no module at all,
        StateError (MODULE_DENIED), and KernelError for what the kernel refuses.
        """
        image = plain_image(image, file_name)
        check_parameters(parameters)
        name = image_name(image, file_name)
        with self._operations.begin("insert", name or file_name, call) as operation:
            check_image(self._planning.policy.deny, image, file_name)
            self._runner(operation, call).insert(name, image, parameters, flags)
            self._origins.note_asked([module_name(name)], operation.caller)
        return self.module(name)

    def remove(
        self, name: str, call: RequestContext = USUAL, *, force: bool = False
    ) -> EmulationReport | None:
        """Unload one module and nothing else (rmmod); return what an emulation has to tell of it.

        One that is in use is tried again for as long as the call may wait.
        """
        name = self._own_name(name)
        normal = module_name(name)
        with self._operations.begin("remove", name, call) as operation:
            check_removal(operation, normal, self._origins)
            found = self._kernel.module(name)
            if found is None:
                raise self._builtin(name) or _not_loaded(name)
            if not call.wait:
                self._locks.check_kept(normal)
                if found.holders or (found.refcount and not force):
                    raise _in_use(found)
            runner = self._runner(operation, call)
            runner.remove_in_time(_sole_step(name, force=force))
            return runner.reports.get(name)

    def reload(self, request: ReloadRequest, call: RequestContext = USUAL) -> ReloadReport:
        """Take modules out and put them in as their files are now; see ``Reloading.reload``."""
        return self._reloading.reload(request, call)

    def hold(
        self,
        requests: Sequence[LoadRequest],
        call: RequestContext = USUAL,
        *,
        unload: bool,
        note: str = "",
        over: threading.Event | None = None,
    ) -> AbstractContextManager[tuple[Hold, tuple[Outcome, ...]]]:
        """Load what ``requests`` name and keep it until the context ends; see ``Holding.hold``."""
        over = over or threading.Event()
        return self._holding.hold(requests, call, unload=unload, note=note, over=over)

    def end_hold(self, number: int, call: RequestContext = USUAL) -> Hold:
        """Have a hold end; raises NotFoundError (HOLD_NOT_FOUND). It has once it is ``closed``."""
        return self._holding.end(number, call)

    def operation_of(self, token: str) -> Operation | None:
        """Return the operation with this token, None for no token; StateError for one of none."""
        return self._operations.of_token(token)

    def is_busy_for(self, socket: str) -> bool:
        """Tell whether an operation is under way that somebody has asked for at ``socket``."""
        return any(each.operation.caller.socket == socket for each in self._operations.running())

    def idle(self) -> bool:
        """Tell whether no operation is under way and nothing of one is left."""
        return self._operations.idle()

    def _listing_changed(self, changes: Sequence[Change]) -> None:
        unloaded = (each.module.name for each in changes if each.kind is ChangeKind.UNLOADED)
        self._forget(self._absences.without(map(module_name, unloaded)))
        self._warn_of_denied(each.module.name for each in changes if each.by_others)
        self._changed()

    def _forget(self, gone: Collection[str], by: str = "another program has unloaded") -> None:
        """Forget modules that have left the kernel; whoever holds one is told ``by`` what."""
        self._origins.forget(gone)
        self._holds.keep(gone)
        self._holds.lose(gone, by)

    def _not_back(self, gone: Collection[str]) -> None:
        self._forget(gone, "a reload could not put back")

    def _reloader(self, operation: Operation, call: RequestContext, despite_holds: bool) -> Runner:
        manner = Manner(nested_options=call.nested_options, despite_holds=despite_holds)
        return Runner(self._calls, self._locks, operation, manner)

    def _went_along(self, modules: Collection[str]) -> None:
        """Tell of modules that came or went with others, or that a hold has ended."""
        if modules:
            self._along(list(map(module_name, modules)))
        self._changed()

    def _warn_of_denied(self, names: Iterable[str]) -> None:
        """Log which of the modules that are loaded are denied."""
        deny = self.deny
        for name in names if not deny.is_empty else ():
            denial = deny.denial(module_name(name))
            if denial is not None:
                about = told(LogKind.DENIED_IS_LOADED, module=module_name(name))
                log.warning("%s; it is loaded all the same", denial.message, extra=about)

    def _runner(
        self,
        operation: Operation,
        call: RequestContext = USUAL,
        images: Mapping[str, bytes] | None = None,
    ) -> Runner:
        manner = Manner(wait=call.wait, nested_options=call.nested_options, images=images or {})
        return Runner(self._calls, self._locks, operation, manner)

    def _each(
        self,
        action: Action,
        requests: Sequence[Request],
        call: RequestContext,
        carry_out: Callable[[Request, Runner], Outcome],
    ) -> tuple[Outcome, ...]:
        """Carry out each of ``requests`` for as long as the caller is there, as one operation."""
        names = " ".join(request.name for request in requests)
        outcomes: list[Outcome] = []
        with self._operations.begin(action, names, call) as operation:
            runner = self._runner(operation, call)
            for request in requests:
                operation.check_wanted()
                outcomes.append(carry_out(request, runner))
                self._operations.end_name(operation, outcomes[-1].error)
        return tuple(outcomes)

    def _ended(
        self, operation: Operation, call: RequestContext, outcomes: tuple[Outcome, ...]
    ) -> tuple[Outcome, ...]:
        """Take in what became of a load without a hold."""
        operation.error = outcomes[-1].error
        self._keep(call, outcomes)
        return outcomes

    def _keep(self, call: RequestContext, outcomes: Sequence[Outcome]) -> None:
        """Let what was asked for without a hold stay after all holds, unless the last failed."""
        if outcomes[-1].error is None and not call.dry_run:
            self._holds.keep(target for outcome in outcomes for target in outcome.targets)

    def _own_name(self, name: str) -> str:
        """Return the kernel's name for the module that a request names, the normal form for none.

        Raises RequestError (INVALID_NAME).
        """
        found = self._names.find(check_query(name))
        return found.name if found else module_name(name)

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


def _sole_step(name: str, *, force: bool) -> RemoveStep:
    return RemoveStep(
        name, Cause.NAMED, required=True, if_unused=False, force=force, first_time=True
    )


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
