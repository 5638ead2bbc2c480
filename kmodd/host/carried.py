# SPDX-License-Identifier: Apache-2.0
"""What the relay knows of a connection."""

import socket
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from kmodd.host.allowance import Allowance
from kmodd.host.shortcut import Shortcut

Of = TypeVar("Of")


class Carried:
    """A connection that is carried, and the socket to the server that it goes on by."""

    __slots__ = (
        *("allowance", "began", "far", "is_direct", "is_new"),
        *("is_over", "near", "over", "shortcut"),
    )

    def __init__(
        self,
        near: socket.socket,
        far: socket.socket,
        over: Callable[[], None],
        allowance: Allowance | None,
        shortcut: Shortcut | None,
    ) -> None:
        self.began = time.monotonic()
        self.over = over
        self.allowance = allowance
        self.shortcut = shortcut
        self.is_new = shortcut is not None
        """Whether the shortcut is still to be tried."""
        self.is_direct = False
        """Whether it was taken: nothing is carried, and there is no far end any more."""
        self.is_over = False
        self.near = CarriedEnd(self, near)
        self.far = CarriedEnd(self, far)
        self.near.other, self.far.other = self.far, self.near


class Watched(Generic[Of]):
    """A connection that another process serves, and of which the end alone is of interest here.

    A crowd may have thousands of them: ``over`` is one function for all, told ``of`` which it is,
    and so is ``part``, which has it end.
    """

    __slots__ = ("fd", "is_over", "near", "of", "over", "part")

    def __init__(
        self,
        near: socket.socket,
        over: Callable[[Of], None],
        part: Callable[[Of], bool],
        of: Of,
    ) -> None:
        self.near = near
        self.fd = near.fileno()
        self.over = over
        self.part = part
        self.of = of
        self.is_over = False


class CarriedEnd:
    """One end of what is carried; ``unsent`` are bytes that it would not take yet."""

    __slots__ = (
        *("carried", "ends_with_it", "events", "fd"),
        *("other", "rests_until", "socket", "stopped", "unsent"),
    )

    other: "CarriedEnd"

    def __init__(self, carried: Carried, end: socket.socket) -> None:
        self.carried = carried
        self.socket = end
        self.fd = end.fileno()
        self.events = 0
        self.unsent: bytes | memoryview = b""
        self.stopped = False
        """Whether nothing is read from it for a while."""
        self.rests_until = 0.0
        """When it may be read from again (time.monotonic) as far as its allowance goes."""
        self.ends_with_it = False
        """Whether nothing is to be sent to it but what is unsent."""
