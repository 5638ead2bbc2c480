# SPDX-License-Identifier: Apache-2.0
"""The files that modules make are used: opened, read, written, controlled, polled, closed."""

import errno
import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kmodctl import CallError, Client
from kmodd.v1 import emulation_service_pb2 as pb
from tests.functional.conftest import TWO_SERVERS, public
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.modules import module_tree
from tests.support.require import require_emulator
from tests.support.tree import ModuleTree
from tests.support.used_file import UsedFile

require_emulator()

BOX = "/dev/letterbox"
BOX_STATE, BOX_LIMIT, BOX_SWAP, BOX_LOSE, BOX_EMPTY = (
    *(0x80086202, 0x40046203, 0xC0086204, 0x6205, 0x6201),
)
"""What letterbox.c is asked for, as its macros make the numbers."""

BLOCKED = re.compile(r"INFO: task kmodctl:\d+ blocked for more than 120 s")

IN, OUT = 1, 4
READERS = 100

MANY_STREAMS = f"{TWO_SERVERS}\n[limits]\nstreams = {READERS + 20}\nreaders = 200\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all: each test loads its module anew."""
    tree = module_tree(tmp_path_factory.mktemp("files") / "root")
    with running_daemon(tree.root, settings=MANY_STREAMS) as running:
        wait_until(public(running).socket.exists)
        yield running


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as opened:
        yield opened
        loaded = {each.name for each in opened.list_modules()}
        for name in loaded & {"letterbox", "archive"}:
            opened.remove(name)


def load(client: Client, fault: str = "") -> None:
    client.load("letterbox", parameters=f"fault={fault}" if fault else "")


def refcount(client: Client, name: str = "letterbox") -> int:
    return next(each.reference_count for each in client.list_modules() if each.name == name)


def failure(error: CallError) -> tuple[str, int]:
    return error.reason, error.errno


def log_of(client: Client, after: str) -> list[str]:
    """Return what the kernel has logged since ``after`` was last said."""
    lines = [each.text for each in client.read_log()]
    return lines[len(lines) - lines[::-1].index(after) :]


def test_a_device_is_written_to_and_read_by_the_commands(daemon: Daemon, client: Client) -> None:
    load(client)
    written = daemon.kmodctl("write", BOX, "good morning")
    assert (written.returncode, written.stdout, written.stderr) == (0, "", "")
    read = daemon.kmodctl("cat", "--nonblock", BOX)
    assert (read.returncode, read.stdout) == (1, "good morning\n")
    assert "Resource temporarily unavailable" in read.stderr
    assert log_of(client, "letterbox: opened 254:0 w") == [
        *("letterbox: closed", "letterbox: opened 254:0 r", "letterbox: closed")
    ]
    assert daemon.kmodctl("write", "-n", BOX, "x").returncode == 0
    listed = daemon.kmodctl("ls", "-l", "/dev").stdout.splitlines()
    assert listed == [
        "crw------- rwip letterbox letterbox",
        "cr--r--r-- r--- letterbox slot",
    ]
    assert daemon.kmodctl("cat", "/dev/slot", "/dev/slot").stdout == "slotslot"
    assert daemon.kmodctl("cat", "--nonblock", "/dev/char/254:0").stdout == "x"
    state = daemon.kmodctl("ioctl", BOX, hex(BOX_STATE))
    assert (state.returncode, state.stdout) == (0, f"{5 << 32}\n")
    assert daemon.kmodctl("ioctl", BOX, hex(BOX_SWAP), "99").stdout == "7\n"
    assert daemon.kmodctl("ioctl", BOX, str(BOX_EMPTY), "5").stdout == "5\n"
    swapped = json.loads(daemon.kmodctl("--json", "ioctl", BOX, hex(BOX_SWAP)).stdout)
    assert swapped == {"result": 0, "buffer": "YwAAAAAAAAA="}
    none = daemon.kmodctl("cat", "/dev/nothing")
    assert none.returncode == 1
    assert "no such file or directory" in none.stderr


def test_an_open_file_keeps_its_module_and_one_that_goes_closes_it(client: Client) -> None:
    load(client)
    with UsedFile(client, BOX, writes=True, nonblocking=True) as box:
        assert box.poll(IN | OUT) == OUT
        # The device and the table of its functions are the module's.
        assert refcount(client) == 2
        with pytest.raises(CallError) as busy:
            client.remove("letterbox")
        assert failure(busy.value) == ("MODULE_IN_USE", errno.EAGAIN)
        assert box.write(b"abc") == 3
        assert (box.poll(IN | OUT), box.read(2).data) == (IN | OUT, b"ab")
        assert box.seek(10, pb.FILE_ORIGIN_CURRENT) == 12
        with pytest.raises(CallError) as beyond:
            box.seek(1000)
        assert failure(beyond.value) == ("KERNEL_REFUSED", errno.EINVAL)
    wait_until(lambda: refcount(client) == 0)


def test_a_file_is_open_while_a_command_runs(daemon: Daemon, client: Client) -> None:
    load(client)
    listing = f"{sys.executable} -m kmodctl lsmod && exit 3"
    ran = daemon.kmodctl("open", "--write", "--nonblock", BOX, "--", "sh", "-c", listing)
    assert (ran.stderr, ran.returncode) == ("", 3)
    assert re.search(r"^letterbox +[0-9]+ +2$", ran.stdout, re.MULTILINE)
    wait_until(lambda: refcount(client) == 0)
    missing = daemon.kmodctl("open", "/dev/nothing", "--", "echo", "open")
    assert (missing.stdout, missing.returncode) == ("", 1)
    assert "no such file or directory" in missing.stderr
    assert daemon.kmodctl("open", BOX).stderr == "kmodctl open: ERROR: missing '-- COMMAND...'.\n"
    assert daemon.kmodctl("open", BOX, "--", "/nosuch").returncode == 127


def test_a_command_has_its_status_where_the_daemon_ends_meanwhile(modules_root: ModuleTree) -> None:
    with running_daemon(modules_root.root) as running:
        running.kmodctl("modprobe", "letterbox")
        script = f"kill -9 {running.process.pid}; exit 5"
        ran = running.kmodctl("open", "--write", BOX, "--", "sh", "-c", script)
        assert ran.returncode == 5, ran.stderr
        assert ran.stderr.startswith("kmodctl open: WARNING: ")


def test_a_module_copies_within_the_bounds_of_its_user_alone(client: Client) -> None:
    load(client)
    with UsedFile(client, BOX, writes=True) as box:
        assert box.control(BOX_LIMIT, (3).to_bytes(4, "little")) == (0, b"\3\0\0\0")
        assert box.write(b"abcdef") == 3
        assert box.control(BOX_STATE, bytes(8)) == (0, b"\3\0\0\0\1\0\0\0")
        wrong: list[tuple[int, int | bytes, int]] = [
            (BOX_STATE, bytes(7), errno.EFAULT),
            (BOX_STATE, 4096, errno.EFAULT),
            (BOX_LIMIT, b"\1\0\0", errno.EFAULT),
            (BOX_LIMIT, bytes(4), errno.EINVAL),
            (BOX_LOSE, bytes(8), errno.EFAULT),
            (0x6299, 0, errno.ENOTTY),
        ]
        for number, argument, code in wrong:
            with pytest.raises(CallError) as refused:
                box.control(number, argument)
            assert failure(refused.value) == ("KERNEL_REFUSED", code)
        with pytest.raises(CallError) as full:
            box.write(b"g")
        assert full.value.errno == errno.ENOSPC


def test_a_hundred_readers_wait_and_a_write_wakes_who_gets_something(
    daemon: Daemon, client: Client
) -> None:
    load(client)
    with ThreadPoolExecutor(READERS) as threads, daemon.client() as another:
        boxes = [UsedFile(another, BOX) for _ in range(READERS)]
        reads = [threads.submit(box.read, 1) for box in boxes]
        wait_until(lambda: refcount(client) == 2 * READERS)
        with UsedFile(client, BOX, writes=True) as writer:
            assert writer.write(b"z" * (READERS - 1)) == READERS - 1
            wait_until(lambda: sum(each.done() for each in reads) == READERS - 1)
            assert writer.poll(IN) == 0
            assert writer.write(b"z") == 1
        assert [each.result().data for each in reads] == [b"z"] * READERS
        for box in boxes:
            box.close()
    wait_until(lambda: refcount(client) == 0)


def test_a_poll_waits_until_another_call_has_something(daemon: Daemon, client: Client) -> None:
    load(client)
    with ThreadPoolExecutor(1) as threads, daemon.client() as another:
        box = UsedFile(another, BOX)
        assert box.poll(IN, 500) == 0
        polled = threads.submit(box.poll, IN, -1)
        wait_until(lambda: refcount(client) == 2)
        client.write_file(BOX, b"x")
        assert polled.result() == IN
        box.close()


@pytest.mark.parametrize("fault", ["", "deaf"])
def test_a_reader_that_goes_away_closes_its_file(daemon: Daemon, fault: str) -> None:
    with daemon.client() as client:
        load(client, fault)
        with ThreadPoolExecutor(1) as threads, daemon.client() as other:
            reading = threads.submit(UsedFile(other, BOX).read)
            wait_until(lambda: refcount(client) == 2)
            other.close()
            with pytest.raises((CallError, ValueError)):
                reading.result()
        if fault:
            wait_until(lambda: any(BLOCKED.match(each.text) for each in client.read_log()))
            # Nothing ends a wait that takes no signal: its file is closed when it is over.
            client.write_file(BOX, b"x")
        wait_until(lambda: refcount(client) == 0)
        client.remove("letterbox")


@pytest.mark.parametrize("fault", ["read", "write"])
def test_a_crash_ends_the_process_that_used_the_file(client: Client, fault: str) -> None:
    load(client, fault)
    with pytest.raises(CallError) as crashed:
        _write_and_read(client)
    assert failure(crashed.value) == ("MODULE_CRASHED", errno.EFAULT)
    assert crashed.value.log_lines[0].startswith("BUG: kernel NULL pointer dereference")
    wait_until(lambda: refcount(client) == 0)


def test_a_module_that_crashes_in_its_open_is_used_for_ever(modules_root: ModuleTree) -> None:
    with running_daemon(modules_root.root) as running, running.client() as client:
        load(client, "open")
        with pytest.raises(CallError) as crashed:
            client.read_file(BOX)
        assert crashed.value.reason == "MODULE_CRASHED"
        with pytest.raises(CallError) as busy:
            client.remove("letterbox")
        assert busy.value.reason == "MODULE_IN_USE"
        client.load("greet")


def _write_and_read(client: Client) -> None:
    with UsedFile(client, BOX, writes=True) as box:
        box.write(b"x")
        box.read()


def test_a_read_that_returns_too_much_is_told(client: Client) -> None:
    load(client, "greedy")
    with UsedFile(client, BOX) as box:
        read = box.read(10)
    assert (read.data, read.returned) == (bytes(10), 15)
    said = f"kmodd: a read of {BOX} returned 15 bytes where 10 were asked for"
    assert said in [each.text for each in client.read_log()]


def test_nobody_but_an_admin_uses_files(daemon: Daemon, client: Client) -> None:
    load(client)
    with public(daemon).client() as loader:
        for use in (lambda: loader.read_file(BOX), lambda: loader.write_file(BOX, b"x")):
            with pytest.raises(CallError) as denied:
                use()
            assert denied.value.reason == "ACCESS_DENIED"
        assert [each.path for each in loader.list_files("/dev")] == [BOX, "/dev/slot"]
