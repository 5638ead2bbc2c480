# SPDX-License-Identifier: Apache-2.0
"""Server reflection, by which clients without the proto files learn what there is to call."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection

if TYPE_CHECKING:
    import grpc
    from google.protobuf.descriptor import FileDescriptor

NAME: str = reflection.SERVICE_NAME
"""The service's full name."""


class MethodsPool:
    """The descriptors of this process, in which a method is a symbol, too.

    protobuf's own pool finds no file by a method's name, and grpcurl's ``describe`` asks for that.
    """

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> "FileDescriptor":  # noqa: N802
        """Return the file that defines ``symbol``, a full name; raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            methods = self._pool.FindServiceByName(service).methods_by_name
            return methods[method].containing_service.file


def serve_reflection(server: "grpc.Server", services: Iterable[str]) -> None:
    """Have ``server`` tell of ``services``, by their full names, and of reflection itself."""
    reflection.enable_server_reflection((*services, NAME), server, pool=MethodsPool())
