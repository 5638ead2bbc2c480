# SPDX-License-Identifier: Apache-2.0
"""What the parts of ModuleService have in common."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import grpc

from kmodd.errors import Reason, RequestError
from kmodd.kernel.base import LoadedModule
from kmodd.namespace import Namespace, RequestContext
from kmodd.plan import LoadRequest
from kmodd.service.admission import Admission, token_of
from kmodd.service.convert import module_message
from kmodd.service.requests import load_request
from kmodd.settings import Limits
from kmodd.v1 import module_service_pb2 as pb
from kmodd.v1 import module_service_pb2_grpc

NESTED_OPTIONS = defaultdict(str, {pb.VERBOSITY_QUIET: "-q", pb.VERBOSITY_VERBOSE: "-v"})
"""The options of the modprobe that a command calls, by how much the caller wants to hear."""


class ModuleServicer(module_service_pb2_grpc.ModuleServiceServicer):
    """A namespace as the callers of one socket have it."""

    def __init__(self, namespace: Namespace, admission: Admission, limits: Limits) -> None:
        self._namespace = namespace
        self._admission = admission
        self._limits = limits

    def _context(self, context: grpc.ServicerContext) -> RequestContext:
        """Return who makes the call."""
        return RequestContext(token=token_of(context), caller=self._admission.caller(context))

    def _loads(self, request: pb.LoadModulesRequest) -> list[LoadRequest]:
        """Return what the namespace is asked to load for each name; raises RequestError."""
        names = self._names(request.names)
        if request.parameters and len(names) != 1:
            raise RequestError(
                Reason.INVALID_REQUEST, "parameters need exactly one module to be given to"
            )
        return [load_request(name, request) for name in names]

    def _load_call(
        self, request: pb.LoadModulesRequest, context: grpc.ServicerContext
    ) -> RequestContext:
        """Return how a load is to be carried out, and who makes the call."""
        return RequestContext(
            release=request.release,
            dry_run=request.dry_run,
            token=token_of(context),
            caller=self._admission.caller(context),
            nested_options=NESTED_OPTIONS[request.nested_verbosity],
        )

    def _names(self, names: Iterable[str]) -> list[str]:
        """Return the names of a request; raises RequestError where there are too many, or none."""
        names = list(names)
        if not 1 <= len(names) <= self._limits.names_per_request:
            raise RequestError(
                Reason.INVALID_REQUEST,
                f"a request names 1 to {self._limits.names_per_request} modules",
            )
        return names

    def _module_messages(self, modules: Iterable[LoadedModule]) -> Iterator[pb.Module]:
        """Yield modules with their origin and their holds."""
        holds = self._namespace.hold_counts()
        for module in modules:
            origin = self._namespace.origin_of(module.name)
            shown = self._admission.shown_module(module)
            yield module_message(shown, origin, holds.get(module.name, 0))
