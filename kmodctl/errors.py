# SPDX-License-Identifier: Apache-2.0
"""What a client can fail with. Nothing here imports grpc.

KmodctlError
├── NoDaemonError      nobody answers on any of the sockets
├── OthersDaemonError  a daemon that root does not ask
└── CallError          the daemon answered that the call failed
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


_TELLING = frozenset({"ACCESS_DENIED", "KERNEL_PANIC", "MODULE_CRASHED", "MODULE_DENIED"})
"""The reasons whose message tells what no errno does."""


class KmodctlError(Exception):
    """The base of this package's exceptions; ``reason`` tells their kind to programs."""

    reason = "UNKNOWN"


class NoDaemonError(KmodctlError):
    """No daemon answers; ``sockets`` are the paths that were tried."""

    reason = "NO_DAEMON"

    def __init__(self, sockets: "Sequence[str]") -> None:
        super().__init__(
            f"no daemon answers on {' or '.join(sockets)}; "
            "start one with 'kmodd serve', or use 'kmodd run -- COMMAND'"
        )
        self.sockets = tuple(sockets)


class OthersDaemonError(KmodctlError):
    """Another user's daemon listens on ``socket``, and root asks root's alone."""

    reason = "OTHERS_DAEMON"

    def __init__(self, socket: str, user: int) -> None:
        super().__init__(
            f"{socket} is not asked: user {user} listens there, and root asks root's daemons alone"
        )
        self.socket = socket
        self.user = user


class CallError(KmodctlError):
    """A call that failed.

    ``reason`` is a name of ``kmodd.v1.ErrorReason`` without its prefix, or a gRPC status code's
    name where the daemon gave no reason. ``errno`` is positive, 0 where there is none.
    ``module`` failed, ``target`` was asked for. ``log_lines`` are the kernel's, ``steps`` (each a
    Step of the API) what was done before, and ``config_problems`` what was wrong with the
    configuration. ``leaks`` is what the module's code had taken and not given back when it was
    gone.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        errno: int = 0,
        module: str = "",
        target: str = "",
        symbol: str = "",
        detail: str = "",
        log_lines: tuple[str, ...] = (),
        steps: "tuple[Any, ...]" = (),
        config_problems: tuple[str, ...] = (),
        leaks: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.errno = errno
        self.module = module
        self.target = target
        self.symbol = symbol
        self.detail = detail
        self.log_lines = log_lines
        self.steps = steps
        self.config_problems = config_problems
        self.leaks = leaks

    @property
    def cause(self) -> str:
        """Why, in the C library's words for the errno where these say all that there is to say."""
        return cause(self.reason, self.errno, self.message)


def cause(reason: str, errno: int, message: str) -> str:
    """Return why something failed: the errno's words, or the message where that tells more."""
    return os.strerror(errno) if errno and reason not in _TELLING else message
