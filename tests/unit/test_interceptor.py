# SPDX-License-Identifier: Apache-2.0
"""What the daemon does with a call of a method that says nothing of itself."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from kmodd.access.caller import DAEMON, Caller, Role
from kmodd.host.relay import Relay
from kmodd.kernel.emulated import IsolatedKernel
from kmodd.service.admission import Admission
from kmodd.service.connections import Connections
from kmodd.service.interceptor import Interceptor
from kmodd.service.socket_calls import SocketCalls
from kmodd.settings import Limits
from kmodd.v1 import module_service_pb2 as pb
from tests.support.daemon import wait_until
from tests.support.namespaces import namespace_on
from tests.support.small_tree import empty_tree

NEW = "/kmodd.v1.New/Method"


def new_service(answering: Callable[[], None]) -> Any:
    """Return a service with a method that nobody has given a policy.

    ``answering`` is called before an answer is sent.
    """

    def packed(response: pb.ListModulesResponse) -> bytes:
        answering()
        return response.SerializeToString()

    method = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: pb.ListModulesResponse(),
        pb.ListModulesRequest.FromString,
        packed,
    )
    return grpc.method_handlers_generic_handler("kmodd.v1.New", {"Method": method})


@contextmanager
def serving(
    root: Path, caller: Caller, answering: Callable[[], None] = lambda: None
) -> Iterator[tuple[grpc.Channel, SocketCalls]]:
    """Serve it to a client that is taken for ``caller``."""
    namespace, kernel = namespace_on(empty_tree(root), IsolatedKernel)
    connections, calls = Connections(), SocketCalls(Limits(), lambda _: None, is_shared=False)
    interceptor = Interceptor(Admission(connections, kernel, namespace), 8)
    server = grpc.server(interceptor.threads, [new_service(answering)], (interceptor,))
    server.add_insecure_port(f"unix:{root}/server")
    server.start()
    relay = Relay()
    relay.start()

    def accepted(taken: socket.socket) -> None:
        connection = connections.add(caller, calls)
        far = socket.socket(socket.AF_UNIX)
        far.bind(connection.address)
        far.connect(f"{root}/server")
        far.setblocking(False)
        relay.carry(taken, far, lambda: connections.remove(connection))

    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{root}/s")
    listening.listen()
    relay.listen(listening, accepted)
    try:
        with grpc.insecure_channel(f"unix:{root}/s") as channel:
            yield channel, calls
    finally:
        relay.stop()
        server.stop(None).wait()
        interceptor.close()
        calls.close()


def code_of(channel: grpc.Channel, path: str) -> grpc.StatusCode:
    """Return how a call of ``path`` ends."""
    call = channel.unary_unary(
        path, pb.ListModulesRequest.SerializeToString, pb.ListModulesResponse.FromString
    ).future(pb.ListModulesRequest(), timeout=30)
    call.exception()
    return call.code()


@pytest.mark.parametrize("role", [Role.OBSERVER, Role.LOADER])
def test_a_method_without_a_policy_is_refused_to_who_is_no_admin(
    tmp_path: Path, role: Role
) -> None:
    with serving(tmp_path, Caller("/s", role)) as (channel, _):
        assert code_of(channel, NEW) is grpc.StatusCode.PERMISSION_DENIED


def test_a_method_without_a_policy_is_refused_by_a_daemon_that_stops(tmp_path: Path) -> None:
    with serving(tmp_path, DAEMON) as (channel, calls):
        assert code_of(channel, NEW) is grpc.StatusCode.OK
        calls.draining.set()
        assert code_of(channel, NEW) is grpc.StatusCode.UNAVAILABLE


def test_a_mutation_is_under_way_until_its_answer_is_sent(tmp_path: Path) -> None:
    mutating: list[bool] = []
    with serving(tmp_path, DAEMON, lambda: mutating.append(calls.mutating())) as (channel, calls):
        assert not calls.mutating()
        assert code_of(channel, NEW) is grpc.StatusCode.OK
        assert mutating == [True]
        wait_until(lambda: not calls.mutating())
        calls.draining.set()
        assert code_of(channel, NEW) is grpc.StatusCode.UNAVAILABLE
        wait_until(lambda: not calls.mutating())


def test_a_connection_that_was_not_handed_on_has_no_role(tmp_path: Path) -> None:
    with (
        serving(tmp_path, DAEMON) as (through, _),
        grpc.insecure_channel(f"unix:{tmp_path}/server") as beside,
    ):
        assert code_of(through, NEW) is grpc.StatusCode.OK
        assert code_of(beside, NEW) is grpc.StatusCode.PERMISSION_DENIED


def test_a_method_that_nobody_serves_is_not_there_for_anybody(tmp_path: Path) -> None:
    with serving(tmp_path, DAEMON) as (channel, _):
        assert code_of(channel, "/kmodd.v1.New/Other") is grpc.StatusCode.UNIMPLEMENTED
