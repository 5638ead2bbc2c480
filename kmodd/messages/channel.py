# SPDX-License-Identifier: Apache-2.0
"""What stubs make their calls through."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeVar

    from kmodd.messages.codec import Message

    Response = TypeVar("Response", bound=Message)


class Channel:
    """Makes the calls of stubs: ``method`` is "/package.Service/Method".

    ``response`` is the class of what comes back.
    """

    def call(self, method: str, request: "Message", response: "type[Response]") -> "Response":
        """Make a call with one request and one response."""
        raise NotImplementedError

    def stream(
        self, method: str, request: "Message", response: "type[Response]"
    ) -> "Iterator[Response]":
        """Make a call with one request, and yield the responses."""
        raise NotImplementedError

    def upload(
        self, method: str, requests: "Iterable[Message]", response: "type[Response]"
    ) -> "Response":
        """Make a call with a stream of requests and one response."""
        raise NotImplementedError

    def exchange(
        self, method: str, requests: "Iterable[Message]", response: "type[Response]"
    ) -> "Iterator[Response]":
        """Make a call with a stream of requests, and yield the responses."""
        raise NotImplementedError

    def close(self) -> None:
        """End what the calls were made through."""
