# SPDX-License-Identifier: Apache-2.0
"""QEMU's monitor (QMP, docs/interop/qmp-spec): a command at a time, for one thread."""

import json
import socket
import time
from typing import Any

LINE_MAX = 4 << 20
"""Bytes of the longest line that QEMU may say."""


class QmpError(Exception):
    """QEMU refused a command, died, or did not answer in time; the text says which."""


class Monitor:
    """The monitor at the other end of a stream socket, which this object owns."""

    def __init__(self, end: socket.socket, seconds: float) -> None:
        """Greet it; raises QmpError where it does not answer within ``seconds``."""
        self._end = end
        self._left = b""
        self._until(seconds)
        if "QMP" not in self._message():
            raise QmpError("it does not say what QEMU's monitor says at first")
        self.run("qmp_capabilities", seconds)

    def run(
        self, command: str, seconds: float, *, fd: int | None = None, **arguments: object
    ) -> Any:
        """Run a command and return what it gives; ``fd`` is a descriptor that goes with it.

        Raises QmpError, also where it takes more than ``seconds``.
        """
        self._until(seconds)
        order = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        try:
            if fd is None:
                self._end.sendall(order)
            else:
                socket.send_fds(self._end, [order], [fd])
        except OSError as error:
            raise QmpError(f"{command}: {error.strerror or error}") from error
        while True:
            said = self._message()
            if "error" in said:
                raise QmpError(f"{command}: {_reason(said['error'])}")
            if "return" in said:
                return said["return"]

    def close(self) -> None:
        """Hang up."""
        self._end.close()

    def _until(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def _message(self) -> dict[str, Any]:
        """Return what it says next: an answer, an error, or an event."""
        while b"\n" not in self._left:
            if len(self._left) > LINE_MAX:
                raise QmpError("a line without an end")
            try:
                self._end.settimeout(max(0.001, self._deadline - time.monotonic()))
                more = self._end.recv(1 << 16)
            except TimeoutError as error:
                raise QmpError("it does not answer in time") from error
            except OSError as error:
                raise QmpError(error.strerror or str(error)) from error
            if not more:
                raise QmpError("it has ended")
            self._left += more
        line, _, self._left = self._left.partition(b"\n")
        try:
            said = json.loads(line)
        except ValueError as error:
            raise QmpError("it says what is no JSON") from error
        if not isinstance(said, dict):
            raise QmpError("it says what is no object")
        return said


def _reason(error: object) -> str:
    found = error.get("desc") if isinstance(error, dict) else None
    return found if isinstance(found, str) else "it was refused"
