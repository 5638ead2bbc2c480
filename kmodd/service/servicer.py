# SPDX-License-Identifier: Apache-2.0
"""What the parts of ModuleService have in common."""

from collections.abc import Iterable, Iterator, Mapping

from kmodd.kernel.base import LoadedModule
from kmodd.names import module_name
from kmodd.namespace import Namespace
from kmodd.service.admission import Admission
from kmodd.service.convert import module_message
from kmodd.settings import Limits
from kmodd.v1 import module_service_pb2 as pb
from kmodd.v1 import module_service_pb2_grpc


class ModuleServicer(module_service_pb2_grpc.ModuleServiceServicer):
    """A namespace as its callers have it."""

    def __init__(self, namespace: Namespace, admission: Admission, limits: Limits) -> None:
        self._namespace = namespace
        self._admission = admission
        self._limits = limits

    def _module_messages(
        self, modules: Iterable[LoadedModule], holds: Mapping[str, int]
    ) -> Iterator[pb.Module]:
        """Yield modules with their origin and their ``holds``, as whoever makes the call sees
        them.
        """
        view = self._admission.view()
        for module in modules:
            origin = self._namespace.origin_of(module.name)
            shown = view.shown_module(module)
            yield module_message(shown, origin, holds.get(module_name(module.name), 0))
