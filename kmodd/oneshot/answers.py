# SPDX-License-Identifier: Apache-2.0
"""Questions about a tree, and plans, for one caller: from the tree's files, with no daemon.

What a daemon answers to the same calls from its databases comes from those that are published,
which are searched in place; nothing is scanned or built.
"""

from __future__ import annotations

import os

from kmodd.config.modprobe import read_config
from kmodd.database.indexed import IndexedTree
from kmodd.database.inventory import NO_STAMP, ModuleRecord
from kmodd.database.walk import full_path
from kmodd.errors import KmoddError, Reason, StateError, TreeError
from kmodd.messages import database_service, errors, module_service
from kmodd.names import module_name, module_name_of_path, symbol_key
from kmodd.places import modules_directory
from kmodd.plan.load import plan_load
from kmodd.plan.loaded import by_name, odd_names
from kmodd.plan.requests import check_parameters
from kmodd.plan.steps import CommandStep, InsertStep, module_of
from kmodd.plan.unload import plan_unload
from kmodd.queries.lookups import Lookups
from kmodd.queries.messages import (
    configuration_messages,
    found_messages,
    info_message,
    needs_message,
    node_message,
    problem_lines,
    resolution_message,
    search_of,
    text,
    texts,
)
from kmodd.queries.plans import (
    assumed_modules,
    failure_message,
    load_request,
    unload_request,
    write_step,
)
from kmodd.records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kmodd.config import Config
    from kmodd.kernel.loaded import LoadedModule
    from kmodd.plan import Plan, Step
    from kmodd.queries.lookups import State

PROC_MODULES = "/proc/modules"


class Answers:
    """Answers from the files of one release's tree, and from a configuration; for one thread.

    The methods are those of ModuleService and DatabaseService that only ask. They raise KmoddError
    where a call would fail.
    """

    def __init__(
        self,
        root: str,
        release: str,
        config: Sequence[str],
        *,
        command_line: str = "",
        exact: bool = False,
    ) -> None:
        """``root`` has the trees. ``config`` are modprobe.d's directories and files.

        ``command_line`` is the kernel's. With ``exact`` all is done as kmod does it.
        """
        self._trees = _Trees(root, release, config, command_line)
        self._lookups = Lookups(self._trees)
        self._exact = exact

    def resolve_alias(
        self, request: database_service.ResolveAliasRequest
    ) -> database_service.ResolveAliasResponse:
        """Answer with the modules that a name stands for."""
        resolution, config = self._lookups.resolve(request.name, request.release)
        found: database_service.ResolveAliasResponse = resolution_message(
            resolution, config, database_service
        )
        return found

    def get_module_info(
        self, request: database_service.GetModuleInfoRequest
    ) -> database_service.GetModuleInfoResponse:
        """Answer with what modules say of themselves."""
        infos = self._lookups.module_infos(
            request.name,
            request.release,
            by_module_name=request.module_name_only,
            symbols=request.symbols,
        )
        return database_service.GetModuleInfoResponse(
            modules=[info_message(info, database_service) for info in infos]
        )

    def get_configuration(
        self, request: database_service.GetConfigurationRequest
    ) -> Iterator[database_service.GetConfigurationResponse]:
        """Yield the configuration, then the indexes."""
        config, database = self._lookups.configuration(request.release)
        return configuration_messages(config, database, database_service)

    def get_dependencies(
        self, request: database_service.GetDependenciesRequest
    ) -> database_service.GetDependenciesResponse:
        """Answer with what a module needs."""
        names, modules = self._lookups.needs(request.name, request.release)
        needs: database_service.GetDependenciesResponse = needs_message(
            names, modules, database_service
        )
        return needs

    def find_modules(
        self, request: database_service.FindModulesRequest
    ) -> Iterator[database_service.FindModulesResponse]:
        """Yield the modules of a tree that are looked for."""
        found = self._lookups.search(search_of(request), request.release)
        return found_messages(found, database_service, descriptions=request.descriptions)

    def get_static_nodes(
        self, request: database_service.GetStaticNodesRequest
    ) -> database_service.GetStaticNodesResponse:
        """Answer with the device nodes that load a module."""
        nodes = self._lookups.device_nodes(request.release)
        return database_service.GetStaticNodesResponse(
            nodes=[node_message(node, database_service) for node in nodes]
        )

    def list_modules(
        self, _request: module_service.ListModulesRequest
    ) -> module_service.ListModulesResponse:
        """Answer with the running kernel's modules, the newest first.

        Raises StateError where it has no such list.
        """
        try:
            loaded = _running()
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise StateError(
                Reason.INTERNAL, f"could not get list of modules: {why}", errno=error.errno or 0
            ) from error
        return module_service.ListModulesResponse(
            modules=[
                module_service.Module(
                    name=text(each.name),
                    size_bytes=each.size,
                    reference_count=each.refcount,
                    holders=texts(each.holders),
                    state=getattr(module_service, f"MODULE_STATE_{each.state.name}"),
                    permanent=each.permanent,
                    taints=each.taints,
                    address=each.address,
                    init_state=module_service.INIT_STATE_RAN,
                )
                for each in loaded
            ]
        )

    def load_modules(
        self, request: module_service.LoadModulesRequest
    ) -> module_service.LoadModulesResponse:
        """Answer with what would become of each name, all of them together with ``atomic``."""
        state = self._trees.current(request.release, treeless=True)
        results: list[module_service.ModuleResult] = []
        for name in request.names:
            results.append(self._planned_load(name, request, state))
            if request.atomic and results[-1].failure is not None:
                break
        return module_service.LoadModulesResponse(
            results=results, config_problems=problem_lines(state.config.problems)
        )

    def insert_module(
        self, requests: Sequence[module_service.InsertModuleRequest]
    ) -> module_service.InsertModuleResponse:
        """Answer with what would become of a module file that is loaded with what it needs."""
        header = requests[0].header or module_service.InsertModuleHeader()
        request = header.load or module_service.LoadModulesRequest()
        image = b"".join(each.chunk or b"" for each in requests[1:])
        state = self._trees.current(request.release, treeless=True)
        name = module_name_of_path(header.file_name)
        try:
            _add_file(self._trees.tree(request.release), header.file_name, image)
        except KmoddError as error:
            result = _failed(name, error)
        else:
            result = self._planned_load(name, request, state, is_module=True)
        return module_service.InsertModuleResponse(
            result=result, config_problems=problem_lines(state.config.problems)
        )

    def unload_modules(
        self, request: module_service.UnloadModulesRequest
    ) -> module_service.UnloadModulesResponse:
        """Answer with what would become of each name."""
        state = self._trees.current(request.release, treeless=True)
        return module_service.UnloadModulesResponse(
            results=[self._planned_unload(name, request, state) for name in request.names],
            config_problems=problem_lines(state.config.problems),
        )

    def _planned_load(
        self,
        name: str,
        request: module_service.LoadModulesRequest,
        state: State,
        *,
        is_module: bool = False,
    ) -> module_service.ModuleResult:
        asked = load_request(name, request)
        loaded = () if asked.ignore_loaded else _loaded(request.assumed_loaded)
        blacklisted: list[str] = []
        exact = asked.exact or self._exact
        try:
            check_parameters(request.parameters)
            plans = plan_load(
                replace(asked, exact=exact, is_module=is_module),
                state.database,
                state.config,
                by_name(loaded, odd_names(loaded)),
                blacklisted=blacklisted,
            )
        except TreeError:  # which is nothing of this name's
            raise
        except KmoddError as error:
            return _failed(name, error)
        result = _result(name, plans, state, loaded)
        result.blacklisted_modules = texts(blacklisted)
        return result

    def _planned_unload(
        self, name: str, request: module_service.UnloadModulesRequest, state: State
    ) -> module_service.ModuleResult:
        loaded = _loaded(request.assumed_loaded)
        asked = unload_request(name, request)
        wait = request.wait
        waits = wait is not None and (wait.seconds, wait.nanos) > (0, 0)
        try:
            plans = plan_unload(
                replace(asked, exact=asked.exact or self._exact, waits=waits),
                state.database,
                state.config,
                by_name(loaded, odd_names(loaded)),
            )
        except TreeError:
            raise
        except KmoddError as error:
            return _failed(name, error)
        return _result(name, plans, state, loaded)


class _State:
    """The state of a tree, which does not change while a question is answered."""

    number = 0
    is_treeless = True  # there is nothing to look at once more

    def __init__(self, release: str, database: IndexedTree, config: Config) -> None:
        self.release = release
        self.database = database
        self.config = config

    @property
    def from_disk(self) -> bool:
        """Whether the databases do not tell what modules import."""
        return not isinstance(self.database, _ReadTree)


class _Trees:
    """Stands in for a daemon's trees: those of one root, each as its files have it."""

    def __init__(self, root: str, release: str, config: Sequence[str], command_line: str) -> None:
        self._directory = modules_directory(root.rstrip("/") or "/")
        self._release = release
        self._config: Config | None = None
        self._paths = config
        self._command_line = command_line
        self._known: dict[str, IndexedTree] = {}

    def tree(self, release: str) -> IndexedTree:
        """Return the databases of a release, "" for the one that is meant unless one is named."""
        release = release or self._release
        if "/" in release or release in ("", ".", "..") or "\0" in release:
            raise TreeError(Reason.INVALID_NAME, f"{release!r} cannot be the name of a release")
        if release not in self._known:
            self._known[release] = IndexedTree(f"{self._directory}/{release}", release)
        return self._known[release]

    def current(self, release: str = "", *, treeless: bool = False) -> _State:
        """Return the state of a release's tree; see ``Trees.current``."""
        tree = self.tree(release)
        if not treeless and not os.path.isdir(tree.directory):
            raise TreeError(
                Reason.TREE_NOT_FOUND,
                f"could not open directory {tree.directory}: No such file or directory",
                detail=tree.directory,
            )
        return _State(tree.release, tree, self._read_config())

    def confirm(self, state: _State) -> _State:
        """Return ``state``: the files are what there is."""
        return state

    def rebuild(self, release: str = "") -> _State:
        """Return a state that tells what modules import, from their files."""
        tree = self.tree(release)
        return _State(tree.release, _ReadTree(tree.directory, tree.release), self._read_config())

    def _read_config(self) -> Config:
        if self._config is None:
            self._config = read_config("/", command_line=self._command_line, paths=self._paths)
        return self._config


class _ReadTree(IndexedTree):
    """Databases whose records also have what the modules' files say that they import, and are."""

    def _looked_up(self, name: str) -> ModuleRecord | None:
        from kmodd.database.record import read_record

        record = super()._looked_up(name)
        if record is None:
            return None
        read = read_record(self.directory, record.path)
        return record._replace(imports=read.imports, description=read.description)


def _add_file(tree: IndexedTree, path: str, image: bytes) -> None:
    """Have the module file ``image`` in ``tree``, under the name of its file.

    What it needs are the modules of the tree that export what it imports, and what these need.
    Raises ModuleFileError.
    """
    from kmodd.modulefile import ModuleFile

    with ModuleFile.parse(image, path=path) as module:
        imports = module.dependency_symbols()
        softdeps, weakdeps = module.modinfo_all("softdep"), module.modinfo_all("weakdep")
    record = ModuleRecord(
        path=path,
        name=module_name_of_path(path),
        stamp=NO_STAMP,
        imports=imports,
        softdeps=softdeps,
        weakdeps=weakdeps,
    )
    needs: dict[str, None] = {}
    for symbol in imports:
        owner = next(iter(tree.search_symbols(f"symbol:{symbol_key(symbol)}")), record.name)
        if owner != record.name:
            needs |= dict.fromkeys(each.name for each in tree.dependencies(owner))
            needs[owner] = None
    tree.add(record, tuple(needs))


def _loaded(assumed: module_service.LoadedModules | None) -> tuple[LoadedModule, ...]:
    """Return what is to be taken for loaded: what the running kernel has where nothing is."""
    if assumed is not None:
        return assumed_modules(assumed.modules, module_service)
    try:
        return _running()
    except OSError:  # a kernel without modules
        return ()


def _running() -> tuple[LoadedModule, ...]:
    """Return the running kernel's modules; raises OSError where it has no such list."""
    from kmodd.kernel.proc_modules import parse_modules, read_snapshot

    listed = read_snapshot(PROC_MODULES)
    return parse_modules(listed.decode("utf-8", "surrogateescape"))


def _failed(name: str, error: KmoddError) -> module_service.ModuleResult:
    """Return the result of a name that there is no plan for."""
    return module_service.ModuleResult(name=text(name), failure=failure_message(error, "", errors))


def _result(
    name: str, plans: Sequence[Plan], state: State, loaded: Sequence[LoadedModule]
) -> module_service.ModuleResult:
    """Return the result of a name that was planned: of several modules the last one decides."""
    live = {module_name(each.name) for each in loaded if each.state.name == "LIVE"}
    others: list[tuple[str, KmoddError]] = []
    for plan in plans:
        others += [(plan.target, error) for error in plan.passed_over]
        if plan is not plans[-1] and plan.failure is not None:
            others.append((plan.target, plan.failure))
    result = module_service.ModuleResult(
        name=text(name),
        modules=texts([plan.target for plan in plans]),
        steps=[
            _step(step, plan, state.database.directory, live)
            for plan in plans
            for step in plan.steps
        ],
    )
    if plans and plans[-1].failure is not None:
        result.failure = failure_message(plans[-1].failure, plans[-1].target, errors)
    result.other_failures = [failure_message(error, target, errors) for target, error in others]
    return result


def _step(step: Step, plan: Plan, directory: str, live: set[str]) -> errors.Step:
    path = full_path(directory, step.record.path) if isinstance(step, InsertStep) else ""
    message = errors.Step()
    write_step(message, step, path, plan.target, errors)
    loads = isinstance(step, InsertStep) or (
        isinstance(step, CommandStep) and step.event == "install"
    )
    message.needless = loads and module_of(step) in live
    return message
