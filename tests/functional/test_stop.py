# SPDX-License-Identifier: Apache-2.0
"""A daemon that is to stop does so in time, whatever is under way."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from kmodctl import CallError, NoDaemonError
from kmodd.v1 import module_service_pb2 as pb
from kmodd.v1 import module_service_pb2_grpc
from tests.support.daemon import START, Daemon, configure, running_daemon, wait_until
from tests.support.tree import ModuleTree

SETTINGS = """\
run_commands = true

[[socket]]
path = "@/run/s"

[limits]
drain = 3.0
command = 3600.0
"""


@pytest.fixture
def daemon(modules_root: ModuleTree, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that would take an hour to load greet, or until the file ``go`` is there."""
    with running_daemon(modules_root.root, settings=SETTINGS, place="run/s") as running:
        wait = f"while test -d {tmp_path} && ! test -e {tmp_path}/go; do sleep 0.05; done"
        configure(running, modules_root, f"install greet {wait}\n")
        yield running
        (tmp_path / "go").touch()


def test_a_stop_takes_no_longer_than_the_drain(daemon: Daemon) -> None:
    def load() -> None:
        with suppress(CallError, NoDaemonError), daemon.client() as client:
            client.load("greet")

    loading = threading.Thread(target=load)
    loading.start()
    with daemon.client() as client:
        wait_until(lambda: any(each.command for each in client.list_operations()))
    assert daemon.stop() == 0
    loading.join(START)
    assert not daemon.socket.exists()
    assert "stopped" in daemon.log.read_text()


def test_an_upload_that_stalls_keeps_nobody(modules_root: ModuleTree) -> None:
    settings = SETTINGS.replace(
        "drain = 3.0", "drain = 3600.0\nupload = 3600.0\nupload_idle = 3600.0"
    )
    with running_daemon(modules_root.root, settings=settings, place="run/s") as daemon:
        sent, over = threading.Event(), threading.Event()

        def stalling() -> Iterator[pb.InsertModuleRequest]:
            yield pb.InsertModuleRequest(header=pb.InsertModuleHeader(file_name="x.ko"))
            yield pb.InsertModuleRequest(chunk=bytes(1))
            sent.set()
            over.wait(START)

        with grpc.insecure_channel(f"unix:{daemon.socket}") as channel:
            call = module_service_pb2_grpc.ModuleServiceStub(channel).InsertModule.future(
                stalling()
            )
            assert sent.wait(START)
            assert daemon.stop() == 0
            assert call.code() is grpc.StatusCode.UNAVAILABLE
            over.set()


def test_what_clients_have_asked_for_and_left_keeps_nobody(daemon: Daemon) -> None:
    with grpc.insecure_channel(f"unix:{daemon.socket}") as channel, daemon.client() as client:
        load = module_service_pb2_grpc.ModuleServiceStub(channel).LoadModules
        calls = [
            load.future(pb.LoadModulesRequest(names=[f"gone{at}_{n}" for n in range(1000)]))
            for at in range(12)
        ]
        wait_until(lambda: bool(client.list_operations()))
        for call in calls:
            call.cancel()
        wait_until(lambda: not client.list_operations())
    assert daemon.stop() == 0
    trail = [line for line in daemon.log.read_text().splitlines() if "action=load" in line]
    assert len(trail) <= len(calls)
