# SPDX-License-Identifier: Apache-2.0
"""The calls of one socket, and how long they let their clients keep them waiting.

A client may begin a call and never send its request, or never take the answer. grpc waits for it
without end, and each such call costs a thread or an answer's memory.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from kmodd.errors import KmoddError, LimitError, Reason
from kmodd.service.cut_off import cut_off

LOOKS = 4
"""How often it is looked for late clients in the time that they have."""

log = logging.getLogger(__name__)


class CallEnd:
    """Whether a call is over, as an event tells it; refers to nothing, so that it may be kept."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        """Tell whether it is."""
        return self._is_set

    def set(self) -> None:
        """Note that it is."""
        self._is_set = True


class ServedCall:
    """One call, which ``connection`` brought, and what its ``user`` has where that is counted.

    ``waiting`` is since when it waits for its client (time.monotonic()), None while it does not.
    Only the thread that serves the call sets it, and ``mutates``, once it is let in to change
    something. ``ended`` is called with it once it is over, and from then on ``gone`` is set: its
    client waits no more, whoever ended it.
    """

    __slots__ = (
        *("connection", "context", "ended", "gone", "method", "mutates", "user", "waiting"),
    )

    def __init__(
        self,
        method: str,
        context: grpc.ServicerContext,
        connection: Any,
        user: Any,
        ended: Callable[["ServedCall"], None],
    ) -> None:
        self.method = method
        self.context = context
        self.connection = connection
        self.user = user
        self.ended = ended
        self.waiting: float | None = time.monotonic()
        self.mutates = False
        self.gone = CallEnd()

    def waits(self) -> None:
        """Note that it is the client's turn."""
        self.waiting = time.monotonic()

    def goes_on(self) -> None:
        """Note that the client did its part."""
        self.waiting = None


class ServedCalls:
    """The calls under way, until their clients have the whole answer. ``_lock`` guards the set."""

    def __init__(self, bound: int, patience: float) -> None:
        """Let there be ``bound`` calls, and let each wait ``patience`` seconds for its client."""
        self._bound = bound
        self._patience = patience
        self._lock = threading.Lock()
        self._under_way: set[ServedCall] = set()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="kmodd-patience", daemon=True).start()

    def begin(self, call: ServedCall) -> None:
        """Count a call that has come in and waits for its request.

        Raises LimitError where there are too many, and ends the call whose client has gone.
        """
        with self._lock:
            if len(self._under_way) >= self._bound:
                raise LimitError(
                    Reason.LIMIT_REACHED, f"{self._bound} calls are under way at this socket"
                )
            self._under_way.add(call)
        if not call.context.add_callback(partial(self._forget, call)):
            self._forget(call)
            call.context.abort(grpc.StatusCode.CANCELLED, "the client has gone")

    def under_way(self) -> bool:
        """Tell whether a call is."""
        with self._lock:
            return bool(self._under_way)

    def mutating(self) -> bool:
        """Tell whether a mutation is under way; it is until its client has the answer."""
        with self._lock:
            return any(call.mutates for call in self._under_way)

    def end(self, error: KmoddError) -> None:
        """End the calls under way, whatever they are doing."""
        with self._lock:
            calls = tuple(self._under_way)
        for call in calls:
            cut_off(call.context, error)

    def close(self) -> None:
        """Look for late clients no more."""
        self._closed.set()

    def _forget(self, call: ServedCall) -> None:
        call.gone.set()
        with self._lock:
            if call not in self._under_way:
                return
            self._under_way.remove(call)
        call.ended(call)

    def _watch(self) -> None:
        while not self._closed.wait(self._patience / LOOKS):
            latest = time.monotonic() - self._patience
            with self._lock:
                late = [call for call in self._under_way if _is_since(call, latest)]
            for call in late:
                why = f"its client kept the call waiting for {self._patience:g} seconds"
                log.warning("%s: %s", call.method, why)
                cut_off(call.context, LimitError(Reason.LIMIT_REACHED, why))
                self._forget(call)


def _is_since(call: ServedCall, moment: float) -> bool:
    """Tell whether ``call`` has been waiting since ``moment`` or longer."""
    since = call.waiting
    return since is not None and since <= moment
