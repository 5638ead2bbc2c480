# SPDX-License-Identifier: Apache-2.0
"""A front that is played by a test: what it says to the daemon, and what it is told."""

import socket
import threading
from functools import partial
from typing import TYPE_CHECKING

from kmodd.access.caller import Caller
from kmodd.desired.condition import MachineFacts
from kmodd.front.wire import (
    ANSWER_MAX,
    REQUEST_MAX,
    Frame,
    FrameKind,
    Opening,
    Status,
    Wire,
)
from kmodd.kernel.emulated import IsolatedKernel
from kmodd.kernel.opening import KernelOptions, open_trials
from kmodd.namespace.checks import Checks
from kmodd.namespace.state_keeper import StateKeeper
from kmodd.namespace.wish_sources import WishSources
from kmodd.server import Parts, ServedApi
from kmodd.service.connections import Connections
from kmodd.service.fronted import FrontedCalls, Methods
from kmodd.service.socket_calls import ServedConnection, SocketCalls
from kmodd.settings import Limits
from kmodd.trees import Trees
from tests.support.namespaces import AnyKernel, namespace_on
from tests.support.tree import ModuleTree

if TYPE_CHECKING:
    from collections.abc import Generator


class ServedCore:
    """The API of a daemon in this process, which fronts may be played to."""

    def __init__(self, tree: ModuleTree, kind: type[AnyKernel] = IsolatedKernel) -> None:
        self.namespace, self.kernel = namespace_on(tree, kind)
        limits = Limits()
        self.connections = Connections()
        self.calls = SocketCalls(limits, lambda _: None, is_shared=False)
        trees = Trees(tree.root, tree.release, publish=False)
        trees.rebuild()
        keeper = StateKeeper(
            self.namespace, trees, WishSources(), lambda: MachineFacts(tree.release)
        )
        options = KernelOptions(
            release=tree.release, root=tree.root, trees=tree.directory.parent, modules=dict
        )
        checks = Checks(trees, partial(open_trials, self.kernel, options))
        parts = Parts(self.kernel, trees, self.namespace, keeper, limits, checks)
        self.api = ServedApi(parts, self.connections, 8)
        self.methods = Methods()
        self.api.add_to(self.methods)

    def close(self) -> None:
        """End the threads."""
        self.api.end_streams()
        self.api.interceptor.close()
        self.calls.close()


class PlayedFront:
    """A front with one connection, which has the number 1 and is ``caller``'s."""

    def __init__(self, core: ServedCore, caller: Caller) -> None:
        self.connection: ServedConnection = core.connections.add(caller, core.calls)
        self.calls = core.calls
        self._core = core
        ours, its = socket.socketpair()
        self.front = Wire(its, ANSWER_MAX)
        self.end = its
        self.raised: list[BaseException] = []
        self._wire = Wire(ours, REQUEST_MAX)
        self.refused: list[str] = []
        served = FrontedCalls(
            self._wire,
            core.methods,
            core.api.interceptor,
            lambda number: self.connection.peer if number == 1 else "",
            self.refused.extend,
        )

        def serve() -> None:
            try:
                served.serve()
            except Exception as error:
                self.raised.append(error)
                self._wire.close()  # as the daemon does

        self.thread = threading.Thread(target=serve)
        self.thread.start()
        self.frames: Generator[Frame, None, None] = self.front.frames()

    def open(self, stream: int, method: str, connection: int = 1) -> None:
        """Begin a call."""
        self.front.send(FrameKind.OPEN, stream, Opening(connection, method, "").packed())

    def ask(self, stream: int, method: str, request: bytes = b"") -> None:
        """Make a whole call with one request."""
        self.open(stream, method)
        self.front.send(FrameKind.MESSAGE, stream, request, Frame(FrameKind.HALF_CLOSE, stream))

    def status_of(self, stream: int) -> Status:
        """Wait for the end of a call."""
        for frame in self.frames:
            if frame.stream == stream and frame.kind in (FrameKind.STATUS, FrameKind.CUT):
                return Status.unpacked(frame.payload)
        raise AssertionError("the wire has ended")

    def close(self) -> None:
        """End the front, and its connection."""
        self.front.close()
        self.thread.join()
        self.frames.close()
        self._wire.close()
        self._core.connections.remove(self.connection)
