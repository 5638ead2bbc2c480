# SPDX-License-Identifier: Apache-2.0
"""Messages of the API as what the namespace is asked."""

from collections import defaultdict
from collections.abc import Iterable

from kmodd.errors import Reason, RequestError
from kmodd.kernel.base import LoadedModule
from kmodd.namespace import RequestContext
from kmodd.plan import LoadRequest
from kmodd.queries.plans import assumed_modules, load_request
from kmodd.service.admission import Admission
from kmodd.v1 import module_service_pb2 as pb

LONGEST_WAIT = 3600.0
"""Seconds that a removal waits at most."""

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


def load_context(request: pb.LoadModulesRequest, admission: Admission) -> RequestContext:
    """Return how a load is to be carried out for who asks for it."""
    return admission.asked_by(
        release=request.release,
        dry_run=request.dry_run,
        assumed=_assumed(request),
        nested_options=NESTED_OPTIONS[request.nested_verbosity],
    )


def unload_context(request: pb.UnloadModulesRequest, admission: Admission) -> RequestContext:
    """Return how an unload is to be carried out for who asks for it."""
    return admission.asked_by(
        release=request.release,
        dry_run=request.dry_run,
        assumed=_assumed(request),
        wait=wait_of(request),
        nested_options=NESTED_OPTIONS[request.nested_verbosity],
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
    return assumed_modules(request.assumed_loaded.modules, pb)
