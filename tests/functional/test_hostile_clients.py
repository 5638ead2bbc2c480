# SPDX-License-Identifier: Apache-2.0
"""Clients that stop half-way, do not read, come in crowds or lie: the daemon answers others."""

import resource
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kmodctl import CallError
from kmodd.host.descriptors import PER_CONNECTION, SPARE
from kmodd.host.watchdog import SelfCheck
from kmodd.v1 import module_service_pb2 as modules
from kmodd.v1 import module_service_pb2_grpc
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.http2 import PREFACE, Kind, RawConnection, frame
from tests.support.modules import module_tree
from tests.support.tree import ModuleTree

SETTINGS = """
[[socket]]
path = "@/observer/s"
role = "observer"

[[socket]]
path = "@/admin/s"

[limits]
"""

LIST = "/kmodd.v1.ModuleService/ListModules"
LOAD = "/kmodd.v1.ModuleService/LoadModules"
INFO = "/kmodd.v1.DatabaseService/GetModuleInfo"
READ_LOG = "/kmodd.v1.KernelLogService/ReadLog"
WATCH_DATABASE = "/kmodd.v1.DatabaseService/WatchDatabase"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"

CANCEL = 0x8
"""Why a client ends a call (RFC 9113, 7)."""

FOLLOW = b"\x08\x01"
"""ReadLogRequest(follow=True)."""

OF_WORLD = b"\x0a\x05world"
"""LoadModulesRequest(names=["world"]), GetModuleInfoRequest(name="world")."""

WATCHES = (
    (READ_LOG, FOLLOW),
    ("/kmodd.v1.ModuleService/WatchModules", b""),
    (WATCH_DATABASE, b""),
    (HEALTH_WATCH, b""),
    (REFLECTION, b"\x3a\x01*"),
)
"""Calls that stay open: their methods, and a first request for each."""

IDLE = 10_000
"""Connections of a crowd."""

Start = Callable[[str], Daemon]


@pytest.fixture
def start(modules_root: ModuleTree) -> Iterator[Start]:
    """Starts a daemon whose [limits] are the lines given."""
    with ExitStack() as ending:

        def started(limits: str) -> Daemon:
            running = running_daemon(modules_root.root, place="admin/s", settings=SETTINGS + limits)
            return ending.enter_context(running)

        yield started


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all that it is to survive."""
    tree = module_tree(tmp_path_factory.mktemp("hostile") / "root")
    with running_daemon(tree.root) as running:
        yield running


@pytest.fixture
def others(daemon: Daemon) -> Iterator[Callable[[], None]]:
    """Checks that the daemon answers others, who come now and who came before."""
    with connected(daemon.socket) as kept:
        list_names(kept)
        yield lambda: check_others(daemon, kept)


def connected(socket: Path) -> grpc.Channel:
    """Return a channel with a connection of its own, which grpc shares otherwise."""
    return grpc.insecure_channel(f"unix:{socket}", (("grpc.use_local_subchannel_pool", 1),))


def check_others(daemon: Daemon, kept: grpc.Channel) -> None:
    with connected(daemon.socket) as new:
        for channel in (kept, new):
            stub = module_service_pb2_grpc.ModuleServiceStub(channel)
            stub.LoadModules(modules.LoadModulesRequest(names=["world"]), timeout=60)
            assert list_names(channel) == ["world", "greet"]
            stub.UnloadModules(modules.UnloadModulesRequest(names=["world"]), timeout=60)
        health = health_pb2_grpc.HealthStub(new)
        request = health_pb2.HealthCheckRequest(service="kmodd.v1.DatabaseService")
        assert health.Check(request, timeout=60).status == health_pb2.HealthCheckResponse.SERVING


def list_names(channel: grpc.Channel) -> list[str]:
    stub = module_service_pb2_grpc.ModuleServiceStub(channel)
    listed = stub.ListModules(modules.ListModulesRequest(), timeout=60).modules
    return [module.name for module in listed]


def refusal(socket: Path) -> str:
    """Return the status of a listing by a new client that is refused, "" where it is not."""
    with connected(socket) as channel:
        stub = module_service_pb2_grpc.ModuleServiceStub(channel)
        listing = stub.ListModules.future(modules.ListModulesRequest(), timeout=60)
        code: grpc.StatusCode = listing.code()
        return "" if code is grpc.StatusCode.OK else code.name


def test_requests_that_never_come_keep_nobody_waiting(
    daemon: Daemon, others: Callable[[], None]
) -> None:
    with RawConnection(daemon.socket) as raw:
        for method in (LIST, LOAD, READ_LOG, HEALTH_WATCH) * 50:
            raw.begin(method)
            raw.message(raw.begin(method), b"\x0a\x05wo", claimed=7)
        others()


def test_a_call_whose_request_does_not_come_is_ended(start: Start) -> None:
    daemon = start("client_idle = 0.5")
    with RawConnection(daemon.socket) as raw:
        streams = [raw.begin(method) for method in (LIST, LOAD)]
        raw.message(streams[1], b"\x0a\x05wo", claimed=7)
        for stream in streams:
            assert b"kept the call waiting for 0.5 seconds" in raw.end_of(stream)
    with daemon.client() as client:
        assert not client.list_modules()


def test_answers_that_nobody_takes_hold_up_nobody_else_and_are_dropped(start: Start) -> None:
    daemon = start("client_idle = 1.0")
    with RawConnection(daemon.socket, window=0) as raw, connected(daemon.socket) as kept:
        streams = []
        for method, request in (*WATCHES, (INFO, OF_WORLD)) * 8:
            streams.append(raw.begin(method))
            raw.message(streams[-1], request)
        check_others(daemon, kept)
        with daemon.client() as client:
            client.rebuild_database()  # of which WatchDatabase and the health tell
        for stream in streams:
            assert b"kept the call waiting for 1 seconds" in raw.end_of(stream)
        check_others(daemon, kept)


def test_answers_that_nobody_takes_count_among_the_calls(start: Start) -> None:
    daemon = start("client_idle = 600.0\nconcurrent_calls = 20")
    check = SelfCheck()
    with RawConnection(daemon.socket, window=0) as raw:

        def is_full() -> bool:
            raw.call(INFO, OF_WORLD)
            return refusal(daemon.socket) == "RESOURCE_EXHAUSTED"

        wait_until(is_full)
        assert check.answers(daemon.socket, 60)  # that it is full is an answer, too
        assert refusal(daemon.socket.parents[1] / "observer/s") == ""
    wait_until(lambda: refusal(daemon.socket) == "")
    check.close()


def test_idle_streams_of_all_kinds_count_up_to_their_bound(start: Start) -> None:
    daemon = start("streams = 10")
    with RawConnection(daemon.socket) as raw, connected(daemon.socket) as kept:
        for method, request in WATCHES * 2:
            stream = raw.begin(method)
            raw.message(stream, request)
            raw.await_answer(stream)  # or it is still on its way to be counted
        for method, request in WATCHES:
            refused = raw.call(method, request)
            assert b"10 calls of the kind 'stream' are under way" in raw.end_of(refused)
        check_others(daemon, kept)
        raw.send(frame(Kind.RST_STREAM, struct.pack(">I", CANCEL), stream))
        with daemon.client() as client:
            wait_until(lambda: not raises(client.rebuild_database))


def raises(act: Callable[[], object]) -> bool:
    try:
        act()
    except CallError:
        return True
    return False


def test_calls_that_look_wait_for_their_turn(start: Start) -> None:
    daemon = start("readers = 1")
    together = threading.Barrier(50)

    def listed(_: int) -> None:
        together.wait(60)
        client.list_modules()

    with daemon.client() as client, ThreadPoolExecutor(50) as threads:
        assert list(threads.map(listed, range(50))) == [None] * 50


@pytest.fixture
def open_files() -> int:
    """How many files a daemon that is started later may have open: raised where we may do that."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = PER_CONNECTION * IDLE + 4 * SPARE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted if hard == resource.RLIM_INFINITY else hard


def test_a_crowd_of_idle_connections_keeps_nobody_out(
    open_files: int,
    daemon: Daemon,
    others: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    count = min(IDLE, (open_files - 2 * SPARE) // PER_CONNECTION)
    if count < IDLE:
        with capsys.disabled():
            print(f"this machine allows few open files: {count} connections, not {IDLE}")
    with ExitStack() as crowd:
        for number in range(count):
            crowd.enter_context(RawConnection(daemon.socket, preface=number % 2 == 0))
        descriptors = Path(f"/proc/{daemon.process.pid}/fd")
        wait_until(lambda: sum(1 for _ in descriptors.iterdir()) >= count)
        others()
    wait_until(lambda: sum(1 for _ in descriptors.iterdir()) < 100)


def test_a_crowd_at_one_socket_stays_there(start: Start) -> None:
    daemon = start("connections = 20")
    observers = daemon.socket.parents[1] / "observer/s"
    check = SelfCheck()
    with connected(observers) as kept, ExitStack() as crowd:
        list_names(kept)
        assert check.answers(observers, 60)
        for _ in range(100):
            crowd.enter_context(RawConnection(observers, preface=False))
        wait_until(lambda: refusal(observers) == "UNAVAILABLE")
        list_names(kept)
        assert check.answers(observers, 60)
        with connected(daemon.socket) as admin:
            check_others(daemon, admin)
    wait_until(lambda: refusal(observers) == "")
    check.close()


def test_the_daemon_takes_as_many_files_as_it_is_allowed(modules_root: ModuleTree) -> None:
    through = ("sh", "-c", 'ulimit -Sn 64 && exec "$@"', "sh")
    with running_daemon(modules_root.root, through=through) as daemon, ExitStack() as crowd:
        for _ in range(100):
            crowd.enter_context(RawConnection(daemon.socket))
        assert refusal(daemon.socket) == ""


def test_connections_that_say_nothing_are_closed(start: Start) -> None:
    daemon = start("client_idle = 0.5\nconnection_idle = 0.5")
    with RawConnection(daemon.socket, preface=False) as silent:
        assert silent.closed()
    with RawConnection(daemon.socket) as idle:
        assert idle.closed()
    with RawConnection(daemon.socket) as half, connected(daemon.socket) as kept:
        stream = half.call(READ_LOG, FOLLOW)
        half.end_sending()
        check_others(daemon, kept)
        half.end_of(stream)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes(1 << 16),
        b"\xff" * (1 << 16),
        PREFACE + b"\xff" * (1 << 16),
        PREFACE + frame(Kind.SETTINGS, b"odd"),
        PREFACE + frame(Kind.SETTINGS, b"") + b"\xff\xff\xff" + bytes(6),
        PREFACE + frame(Kind.SETTINGS, b"") + frame(Kind.HEADERS, b"\xff" * 99, 1, 4),
    ],
    ids=["HTTP/1", "zeros", "ones", "no frames", "bad settings", "huge frame", "bad headers"],
)
def test_garbage_ends_its_connection_alone(
    daemon: Daemon, others: Callable[[], None], data: bytes
) -> None:
    with RawConnection(daemon.socket, preface=False) as raw:
        with suppress(BrokenPipeError):  # it has heard enough
            raw.send(data)
        assert raw.closed()
    others()


def test_messages_larger_than_they_may_be_are_refused(
    daemon: Daemon, others: Callable[[], None]
) -> None:
    with RawConnection(daemon.socket) as raw:
        for claimed in (5 << 20, 0xFFFFFFFF):
            stream = raw.begin(LIST)
            raw.message(stream, b"x", claimed=claimed)
            assert b"Received message larger than max" in raw.end_of(stream)
        others()


def test_messages_where_nobody_uploads_are_small(start: Start) -> None:
    observers = start("").socket.parents[1] / "observer/s"
    with RawConnection(observers) as raw:
        stream = raw.begin(LIST)
        raw.message(stream, b"x", claimed=300_000)
        assert b"(300000 vs. 262144)" in raw.end_of(stream)


def test_requests_that_are_none_are_named_as_such(
    daemon: Daemon, others: Callable[[], None]
) -> None:
    with RawConnection(daemon.socket) as raw:
        stream = raw.begin(LOAD)
        raw.message(stream, b"abc", claimed=7)
        raw.end(stream)
        assert b"the call ended without its request" in raw.end_of(stream)
        assert b"Error parsing message" in raw.end_of(raw.call(LOAD, b"\xff" * 9))
        upload = raw.call("/kmodd.v1.ModuleService/InsertModule", b"\xff" * 9)
        assert b"Error parsing message" in raw.end_of(upload)
    others()
    assert "Traceback" not in daemon.log.read_text()


def test_a_message_that_grows_when_decompressed_is_refused(start: Start) -> None:
    daemon = start("")
    before = peak(daemon)
    options = (("grpc.max_send_message_length", -1),)
    with grpc.insecure_channel(f"unix:{daemon.socket}", options=options) as channel:
        call = channel.unary_unary(LIST)
        with pytest.raises(grpc.RpcError) as failed:
            call(bytes(128 << 20), compression=grpc.Compression.Gzip, timeout=60)
    assert isinstance(failed.value, grpc.Call)
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert peak(daemon) - before < 100 << 20


def peak(daemon: Daemon) -> int:
    """Return the most memory that the daemon has had, in bytes."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


@pytest.mark.parametrize(
    ("limits", "pause"), [("upload_idle = 0.2", 600.0), ("upload = 0.2", 0.05)]
)
def test_an_upload_that_stalls_or_trickles_is_ended(
    start: Start, limits: str, pause: float
) -> None:
    daemon = start(limits)
    over = threading.Event()

    def requests() -> Iterator[modules.InsertModuleRequest]:
        yield modules.InsertModuleRequest(header=modules.InsertModuleHeader(file_name="x.ko"))
        while not over.wait(pause):
            yield modules.InsertModuleRequest(chunk=b"x")

    with connected(daemon.socket) as channel, connected(daemon.socket) as kept:
        uploads = [
            module_service_pb2_grpc.ModuleServiceStub(channel).InsertModule.future(requests())
            for _ in range(20)
        ]
        check_others(daemon, kept)
        for upload in uploads:
            assert upload.code() is grpc.StatusCode.ABORTED
            assert "the upload paused for more than" in upload.details()
        over.set()


def test_uploads_hold_a_bounded_memory_together(start: Start) -> None:
    daemon = start("uploads_bytes = 1000\nupload_idle = 600.0")
    over = threading.Event()

    def chunks(size: int) -> Iterator[modules.InsertModuleRequest]:
        yield modules.InsertModuleRequest(header=modules.InsertModuleHeader(file_name="x.ko"))
        yield modules.InsertModuleRequest(chunk=bytes(size))

    def unfinished(size: int) -> Iterator[modules.InsertModuleRequest]:
        yield from chunks(size)
        over.wait(600)

    with connected(daemon.socket) as channel:
        insert = module_service_pb2_grpc.ModuleServiceStub(channel).InsertModule
        first = insert.future(unfinished(600))

        def refused() -> bool:
            nonlocal first
            if first.done():  # the other one was there before it
                first = insert.future(unfinished(600))
            return "at most 1000 bytes" in insert.future(chunks(500)).details()

        wait_until(refused)
        assert "Invalid ELF" in insert.future(chunks(300)).details()
        first.cancel()
        over.set()
        wait_until(lambda: "Invalid ELF" in insert.future(chunks(900)).details())
