# SPDX-License-Identifier: Apache-2.0
"""All methods of the API, from its descriptors, and a way to call any of them."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import FileDescriptor

import kmodd.v1
from kmodd.v1 import policy_pb2


def _files() -> Iterator[FileDescriptor]:
    for module in pkgutil.iter_modules(kmodd.v1.__path__, "kmodd.v1."):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(module.name).DESCRIPTOR


FILES = tuple(_files())
"""All files of the API."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its path ("/package.Service/Method"), its messages, and what it streams.

    ``policy`` is what it says of itself (proto/kmodd/v1/policy.proto).
    """

    path: str
    request: Any
    response: Any
    streams_requests: bool
    streams_responses: bool
    policy: Any

    def __str__(self) -> str:
        return self.path.rpartition("/")[2]

    def call(self, channel: grpc.Channel, *requests: Any, timeout: float = 30) -> Any:
        """Call it and return its (first) answer; of a stream of requests all are sent."""
        shape = "stream" if self.streams_requests else "unary"
        shape += "_stream" if self.streams_responses else "_unary"
        stub = getattr(channel, shape)(
            self.path,
            request_serializer=self.request.SerializeToString,
            response_deserializer=self.response.FromString,
        )
        given = iter(requests) if self.streams_requests else (requests or (self.request(),))[0]
        answer = stub(given, timeout=timeout)
        if not self.streams_responses:
            return answer
        first = next(answer, None)
        answer.cancel()
        return first


def _methods() -> Iterator[Method]:
    policy: Any = policy_pb2.policy
    for file in FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                yield Method(
                    f"/{service.full_name}/{method.name}",
                    message_factory.GetMessageClass(method.input_type),
                    message_factory.GetMessageClass(method.output_type),
                    method.client_streaming,
                    method.server_streaming,
                    method.GetOptions().Extensions[policy],
                )


METHODS = tuple(_methods())
