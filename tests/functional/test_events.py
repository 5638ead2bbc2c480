# SPDX-License-Identifier: Apache-2.0
"""Following what happens to the modules, over a real socket."""

import json
from collections.abc import Iterator
from itertools import takewhile

import grpc
import pytest

from kmodctl import CallError, Client
from kmodd.v1 import module_service_pb2 as pb
from kmodd.v1 import module_service_pb2_grpc
from tests.support.daemon import Daemon, wait_until

NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536))
"""A client that takes in 64 KiB of what it does not read, rather than some megabytes."""


def told(messages: Iterator[pb.WatchModulesResponse], last: str) -> list[str]:
    """What is said of modules, until it is ``last``."""
    words: list[str] = []
    for message in messages:
        for change in message.changes.changes:
            kind = pb.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_").lower()
            words.append(f"{kind} {change.module.name}")
        if last in words:
            return words
    raise AssertionError(words)


def finished(messages: Iterator[pb.WatchModulesResponse], count: int) -> list[pb.FinishedOperation]:
    found: list[pb.FinishedOperation] = []
    for message in messages:
        if message.WhichOneof("content") == "operation":
            found.append(message.operation)
        if len(found) == count:
            break
    return found


def test_a_watch_tells_what_there_is_and_then_what_happens(daemon: Daemon) -> None:
    with daemon.client() as client, daemon.client() as watcher:
        client.load("greet")
        messages = watcher.watch_modules()
        first = next(messages)
        assert [module.name for module in first.snapshot.modules] == ["greet"]
        assert first.snapshot.modules[0].origin == pb.ORIGIN_ASKED
        client.load("world")
        assert told(messages, "changed greet") == ["loaded world", "changed greet"]
        client.unload("world")
        assert told(messages, "unloaded greet")[0] == "unloaded world"
        assert client.status().watch_count == 1
        messages.close()  # type: ignore[attr-defined]  # it is a generator
        wait_until(lambda: client.status().watch_count == 0)


def test_a_watch_goes_on_where_the_last_one_ended(daemon: Daemon) -> None:
    with daemon.client() as client:
        before = client.status()
        client.load("world")
        client.unload("world")
        messages = list(
            takewhile(
                lambda message: message.revision < client.status().newest_revision,
                client.watch_modules(before.epoch, before.newest_revision),
            )
        )
        revisions = [message.revision for message in messages]
        assert revisions == list(range(revisions[0], revisions[0] + len(revisions)))
        assert revisions[0] == before.newest_revision + 1
        again = client.watch_modules(before.epoch, revisions[1])
        assert next(again) == messages[2]


def test_operations_and_failures_are_told_with_their_origin(daemon: Daemon) -> None:
    with daemon.client() as client, daemon.client() as watcher:
        messages = watcher.watch_modules()
        next(messages)
        client.load("world")
        client.load("world")
        with pytest.raises(CallError):
            client.load("nosuch")
        with pytest.raises(CallError):
            client.remove("greet")
        loaded, missing, used = finished(messages, 3)
        assert (loaded.action, loaded.what) == (pb.OPERATION_ACTION_LOAD, "world")
        assert (list(loaded.loaded), loaded.role) == (["greet", "world"], "admin")
        assert not loaded.HasField("failure")
        assert loaded.duration.ToNanoseconds() > 0
        assert (missing.what, missing.failure.errno_value) == ("nosuch", 2)
        assert (used.action, used.failure.module) == (pb.OPERATION_ACTION_REMOVE, "greet")


@pytest.mark.parametrize("revision", [0, 1, 10**6])
def test_a_watch_of_another_epoch_or_of_times_to_come_is_told_to_list(
    daemon: Daemon, revision: int
) -> None:
    with daemon.client() as client:
        epochs = ("of another life", *((client.status().epoch,) if revision > 1 else ()))
        for epoch in epochs:
            with pytest.raises(CallError, match="list the modules and watch anew") as refused:
                next(client.watch_modules(epoch, revision))
            assert refused.value.reason == "EVENTS_GONE"


def test_a_daemon_that_stops_ends_watches_and_says_so(daemon: Daemon) -> None:
    with daemon.client() as watcher:
        messages = watcher.watch_modules()
        next(messages)
        assert daemon.stop() == 0
        with pytest.raises(CallError) as ended:
            list(messages)
        assert ended.value.reason == "SHUTTING_DOWN"


def test_a_reader_that_does_not_read_is_cut_off(daemon: Daemon) -> None:
    with (
        grpc.insecure_channel(f"unix:{daemon.socket}", options=NARROW) as channel,
        daemon.client() as client,
    ):
        call = module_service_pb2_grpc.ModuleServiceStub(channel).WatchModules(
            pb.WatchModulesRequest()
        )
        next(call)
        while client.status().watch_count:
            fill(client)
        with pytest.raises(grpc.RpcError) as cut:
            list(call)
        assert cut.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "faster than they were read" in cut.value.details()


def fill(client: Client) -> None:
    """Make a hundred events or so, each as long as a message of this may be."""
    for number in range(100):
        client.load(f"a{number}{'x' * 400}", f"b{number}")


def test_events_prints_what_is_kept(daemon: Daemon) -> None:
    assert daemon.kmodctl("events").stdout == ""
    daemon.kmodctl("modprobe", "world")
    daemon.kmodctl("modprobe", "nosuch")
    lines = [line[24:] for line in daemon.kmodctl("events").stdout.splitlines()]
    assert lines[:3] == [
        "loaded greet: live, used 0",
        "loaded world: live, used 0",
        "changed greet: live, used 1 by world",
    ]
    assert lines[3].startswith("operation 1: load world, for admin")
    assert ", loaded greet world, " in lines[3]
    assert ", failed: module nosuch not found in directory" in lines[4]
    assert len(lines) == 5
    objects = map(json.loads, daemon.kmodctl("--json", "events").stdout.splitlines())
    assert [sorted(each)[-1] for each in objects] == ["time"] * 4


def test_status_and_the_listing_tell_why_modules_are_there(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "world")
    listing = json.loads(daemon.kmodctl("--json", "lsmod").stdout)
    assert {module["name"]: module["origin"] for module in listing} == {
        "world": "ORIGIN_ASKED",
        "greet": "ORIGIN_DEPENDENCY",
    }
    status = daemon.kmodctl("status").stdout
    assert "2 loaded: 1 asked for, 1 as a dependency\n" in status
    assert "0 operations, 0 holds, 0 watches" in status
