# SPDX-License-Identifier: Apache-2.0
"""What a method of the API is to a client: a path, two messages, and which of them is a stream.

Neither grpc nor protobuf is needed to know one. services.py, which is generated, has them all.
"""

from importlib import import_module
from typing import Any, Generic, TypeVar

Request = TypeVar("Request")
Response = TypeVar("Response")


class Method(Generic[Request, Response]):
    """A method of a service.

    ``path`` is "/package.Service/Method". ``request_name`` and ``response_name`` name its messages
    as "module.Message", of a module of kmodd.v1.
    """

    __slots__ = ("path", "request_name", "response_name")

    streams_requests = False
    streams_responses = False

    def __init__(self, path: str, request_name: str, response_name: str) -> None:
        self.path = path
        self.request_name = request_name
        self.response_name = response_name

    @property
    def request(self) -> type[Request]:
        """The class of its requests; the module that has it is imported now."""
        found: type[Request] = _message(self.request_name)
        return found

    @property
    def response(self) -> type[Response]:
        """The class of its responses; the module that has it is imported now."""
        found: type[Response] = _message(self.response_name)
        return found


class Unary(Method[Request, Response]):
    """A method with one request and one response."""

    __slots__ = ()


class Stream(Method[Request, Response]):
    """A method with one request and a stream of responses."""

    __slots__ = ()
    streams_responses = True


class Upload(Method[Request, Response]):
    """A method with a stream of requests and one response."""

    __slots__ = ()
    streams_requests = True


class Exchange(Method[Request, Response]):
    """A method with a stream of requests and a stream of responses."""

    __slots__ = ()
    streams_requests = True
    streams_responses = True


def _message(name: str) -> Any:
    module, _, message = name.partition(".")
    return getattr(import_module(f"kmodd.v1.{module}"), message)
