# SPDX-License-Identifier: Apache-2.0
"""ModuleService: list, load, unload."""

from collections.abc import Callable, Iterable, Iterator

import grpc

from kmodd.errors import KmoddError, Reason, RequestError
from kmodd.kernel.base import InsertFlags
from kmodd.namespace import Namespace, Outcome
from kmodd.plan import LoadRequest, UnloadRequest
from kmodd.service.convert import module_message, result_message
from kmodd.service.failures import abort, failure_message
from kmodd.service.pages import page_of
from kmodd.service.uploads import Uploads
from kmodd.settings import Limits
from kmodd.v1 import module_service_pb2 as pb
from kmodd.v1 import module_service_pb2_grpc


class ModuleService(module_service_pb2_grpc.ModuleServiceServicer):
    """Translates between the API and a Namespace."""

    def __init__(self, namespace: Namespace, limits: Limits) -> None:
        self._namespace = namespace
        self._limits = limits
        self._uploads = Uploads(limits)

    def ListModules(  # noqa: N802  # the API's name
        self, request: pb.ListModulesRequest, _context: grpc.ServicerContext
    ) -> pb.ListModulesResponse:
        """Answer with one page of the listing."""
        listing = self._namespace.listing()
        page = page_of(
            listing.modules,
            request.page_size,
            request.page_token,
            version=f"{listing.epoch}-{listing.revision}",
        )
        return pb.ListModulesResponse(
            modules=map(module_message, page.items),
            next_page_token=page.next_token,
            epoch=listing.epoch,
            revision=listing.revision,
        )

    def GetModule(  # noqa: N802
        self, request: pb.GetModuleRequest, _context: grpc.ServicerContext
    ) -> pb.GetModuleResponse:
        """Answer with one module."""
        return pb.GetModuleResponse(module=module_message(self._namespace.module(request.name)))

    def InsertModule(  # noqa: N802
        self, requests: Iterator[pb.InsertModuleRequest], _context: grpc.ServicerContext
    ) -> pb.InsertModuleResponse:
        """Take in an image and load it."""
        with self._uploads.receive(requests) as (header, image):
            flags = _insert_flags(header.ignore_vermagic, header.ignore_modversions)
            module = self._namespace.insert(image, header.file_name, header.parameters, flags)
        return pb.InsertModuleResponse(module=module_message(module))

    def LoadModules(  # noqa: N802
        self, request: pb.LoadModulesRequest, context: grpc.ServicerContext
    ) -> pb.LoadModulesResponse:
        """Load each name."""
        if request.parameters and len(request.names) != 1:
            raise RequestError(
                Reason.INVALID_REQUEST, "parameters need exactly one module to be given to"
            )

        def load(name: str) -> Outcome:
            return self._namespace.load(
                LoadRequest(
                    name=name,
                    parameters=request.parameters,
                    use_blacklist=request.use_blacklist,
                    ignore_commands=request.ignore_install_commands,
                    first_time=request.first_time,
                    ignore_loaded=request.dry_run and request.ignore_loaded,
                    flags=_insert_flags(request.ignore_vermagic, request.ignore_modversions),
                ),
                dry_run=request.dry_run,
            )

        return pb.LoadModulesResponse(results=self._each(request.names, load, context))

    def UnloadModules(  # noqa: N802
        self, request: pb.UnloadModulesRequest, context: grpc.ServicerContext
    ) -> pb.UnloadModulesResponse:
        """Unload each name."""

        def unload(name: str) -> Outcome:
            return self._namespace.unload(
                UnloadRequest(
                    name=name,
                    ignore_commands=request.ignore_remove_commands,
                    first_time=request.first_time,
                    remove_holders=request.remove_holders,
                    use_blacklist=request.use_blacklist,
                ),
                dry_run=request.dry_run,
            )

        return pb.UnloadModulesResponse(results=self._each(request.names, unload, context))

    def RemoveModule(  # noqa: N802
        self, request: pb.RemoveModuleRequest, _context: grpc.ServicerContext
    ) -> pb.RemoveModuleResponse:
        """Unload one module alone."""
        self._namespace.remove(request.name, force=request.force)
        return pb.RemoveModuleResponse()

    def _each(
        self,
        names: Iterable[str],
        act: Callable[[str], Outcome],
        context: grpc.ServicerContext,
    ) -> list[pb.ModuleResult]:
        """Act on each name; a failure is the call's where there is but one name."""
        names = list(names)
        if not 1 <= len(names) <= self._limits.names_per_request:
            raise RequestError(
                Reason.INVALID_REQUEST,
                f"a request names 1 to {self._limits.names_per_request} modules",
            )
        results: list[pb.ModuleResult] = []
        for name in names:
            try:
                outcome = act(name)
            except KmoddError as error:
                outcome = Outcome(name, (), (), error)
            if outcome.error is not None and len(names) == 1:
                abort(
                    context,
                    outcome.error,
                    steps=outcome.steps,
                    target=outcome.targets[-1] if outcome.targets else "",
                )
            result = result_message(outcome)
            if outcome.error is not None:
                result.failure.CopyFrom(failure_message(outcome.error))
            results.append(result)
        return results


def _insert_flags(ignore_vermagic: bool, ignore_modversions: bool) -> InsertFlags:
    flags = InsertFlags.NONE
    if ignore_vermagic:
        flags |= InsertFlags.IGNORE_VERMAGIC
    if ignore_modversions:
        flags |= InsertFlags.IGNORE_MODVERSIONS
    return flags
