# SPDX-License-Identifier: Apache-2.0
"""A hold of this program's: modules that stay loaded while a call is open."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from kmodctl.errors import CallError, KmodctlError

if TYPE_CHECKING:
    from kmodd.v1 import module_service_pb2


class HeldModules:
    """Modules that are held until ``close``, or until the program ends; a context manager.

    ``answer`` is what the daemon says of it. ``lost`` is set when the hold ends before it is
    closed; ``failure`` then tells why.
    """

    def __init__(
        self,
        call: Any,
        timeout: float | None,
        translated: Callable[[Any], KmodctlError],
    ) -> None:
        """Wait until the modules of ``call`` are held, up to ``timeout`` seconds.

        Raises CallError where they cannot be, and NoDaemonError.
        """
        self.lost = threading.Event()
        self.failure: KmodctlError | None = None
        self._call = call
        self._closed = False
        self._translated = translated
        timer = threading.Timer(timeout, call.cancel) if timeout else None
        try:
            if timer is not None:
                timer.start()
            self.answer: module_service_pb2.HoldModulesResponse = next(call)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.CANCELLED:
                raise CallError("DEADLINE_EXCEEDED", "the hold took too long to begin") from None
            raise translated(error) from None
        finally:
            if timer is not None:
                timer.cancel()
        threading.Thread(target=self._follow, name="kmodctl-hold", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the hold."""
        self._closed = True
        self._call.cancel()

    def _follow(self) -> None:
        """Wait for the end of the call; ours is no loss."""
        try:
            for _ in self._call:
                pass
        except grpc.RpcError as error:
            if self._closed:
                return
            self.failure = self._translated(error)
            self.lost.set()
