# SPDX-License-Identifier: Apache-2.0
"""Messages of the API as what the namespace is asked."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from kmodd.errors import Reason, RequestError
from kmodd.kernel.base import InsertFlags, LoadedModule, ModuleState
from kmodd.namespace import RequestContext
from kmodd.plan import LoadRequest, UnloadRequest
from kmodd.v1 import module_service_pb2 as pb

LONGEST_WAIT = 3600.0
"""Seconds that a removal waits at most."""

_STATES = {
    pb.MODULE_STATE_COMING: ModuleState.COMING,
    pb.MODULE_STATE_GOING: ModuleState.GOING,
}

NESTED_OPTIONS = defaultdict(str, {pb.VERBOSITY_QUIET: "-q", pb.VERBOSITY_VERBOSE: "-v"})
"""The options of the modprobe that a command calls, by how much the caller wants to hear."""


def load_requests(request: pb.LoadModulesRequest, most: int) -> list[LoadRequest]:
    """Return what the namespace is asked to load for each name, of which there may be ``most``.

    Raises RequestError for too many or none, and for parameters that are not for one alone.
    """
    names = check_names(request.names, most)
    if request.parameters and len(names) != 1:
        raise RequestError(
            Reason.INVALID_REQUEST, "parameters need exactly one module to be given to"
        )
    return [load_request(name, request) for name in names]


def check_names(names: Iterable[str], most: int) -> list[str]:
    """Return the names of a request; raises RequestError where there are too many, or none."""
    names = list(names)
    if not 1 <= len(names) <= most:
        raise RequestError(Reason.INVALID_REQUEST, f"a request names 1 to {most} modules")
    return names


def load_context(request: pb.LoadModulesRequest, asked_by: RequestContext) -> RequestContext:
    """Return how a load is to be carried out for who asks for it."""
    return replace(
        asked_by,
        release=request.release,
        dry_run=request.dry_run,
        assumed=_assumed(request),
        nested_options=NESTED_OPTIONS[request.nested_verbosity],
    )


def unload_context(request: pb.UnloadModulesRequest, asked_by: RequestContext) -> RequestContext:
    """Return how an unload is to be carried out for who asks for it."""
    return replace(
        asked_by,
        release=request.release,
        dry_run=request.dry_run,
        assumed=_assumed(request),
        wait=wait_of(request),
        nested_options=NESTED_OPTIONS[request.nested_verbosity],
    )


def load_request(name: str, request: pb.LoadModulesRequest) -> LoadRequest:
    """Return what the namespace is asked to load for one of the names of ``request``."""
    return LoadRequest(
        name=name,
        parameters=request.parameters,
        use_blacklist=request.use_blacklist,
        ignore_commands=request.ignore_install_commands,
        first_time=request.first_time,
        ignore_loaded=request.dry_run and request.ignore_loaded,
        exact=request.kmod_exact,
        flags=insert_flags(request.ignore_vermagic, request.ignore_modversions),
    )


def unload_request(name: str, request: pb.UnloadModulesRequest) -> UnloadRequest:
    """Return what the namespace is asked to unload for one of the names of ``request``."""
    return UnloadRequest(
        name=name,
        ignore_commands=request.ignore_remove_commands,
        first_time=request.first_time,
        remove_holders=request.remove_holders,
        use_blacklist=request.use_blacklist,
        ignore_loaded=request.dry_run and request.ignore_loaded,
        force=request.force,
        exact=request.kmod_exact,
        soft_matters=request.soft_dependencies_matter,
    )


def wait_of(request: pb.UnloadModulesRequest | pb.RemoveModuleRequest) -> float:
    """Return how many seconds a module may be in use."""
    return min(request.wait.ToMicroseconds() / 1e6, LONGEST_WAIT)


def _assumed(
    request: pb.LoadModulesRequest | pb.UnloadModulesRequest,
) -> tuple[LoadedModule, ...] | None:
    """Return what is to be taken for loaded; None where that is what the kernel has."""
    if not request.HasField("assumed_loaded"):
        return None
    return tuple(map(_assumed_module, request.assumed_loaded.modules))


def insert_flags(ignore_vermagic: bool, ignore_modversions: bool) -> InsertFlags:
    """Return the flags of finit_module(2) for what is not to be checked."""
    flags = InsertFlags.NONE
    if ignore_vermagic:
        flags |= InsertFlags.IGNORE_VERMAGIC
    if ignore_modversions:
        flags |= InsertFlags.IGNORE_MODVERSIONS
    return flags


def _assumed_module(message: pb.Module) -> LoadedModule:
    """Return a module that a client says is loaded somewhere else, as far as a plan minds it."""
    return LoadedModule(
        name=message.name,
        size=message.size_bytes,
        refcount=message.reference_count,
        holders=tuple(message.holders),
        state=_STATES.get(message.state, ModuleState.LIVE),
    )
