# SPDX-License-Identifier: Apache-2.0
"""Modules' own code on the emulated kernel, from the file to the log, with a real daemon."""

import json
from collections.abc import Iterator

import pytest

from kmodctl import CallError, Client
from kmodd.v1 import kernel_log_service_pb2 as pb
from tests.support.daemon import Daemon
from tests.support.modules import SOURCES
from tests.support.require import require_emulator

require_emulator()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as open_client:
        yield open_client


def file(name: str) -> str:
    return str(SOURCES / f"{name}.ko")


def log(client: Client, module: str) -> list[str]:
    """Return what a module has printed, and what the kernel has said of it."""
    lines = [record.text for record in client.read_log() if module in record.text]
    return [line for line in lines if "taint" not in line]


def crash(client: Client, module: str) -> str:
    """Return the oops or the lockup in the log that a module came to, its lines joined."""
    lines = [record.text for record in client.read_log()]
    ends = [at for at, line in enumerate(lines) if line.startswith("---[ end trace")]
    where = next(line for line in lines if f"[{module}]" in line and line.startswith("RIP"))
    assert len(ends) == 1
    return "\n".join([where, *lines])


def test_hello_says_that_it_comes_and_that_it_goes(client: Client) -> None:
    client.insert(file("hello"))
    client.remove("hello")
    assert log(client, "Hello") + log(client, "Goodbye") == [
        "Hello, world: the module is in the kernel",
        "Goodbye, world: the module leaves the kernel",
    ]
    levels = {each.level for each in client.read_log() if "world" in each.text}
    assert levels == {pb.LOG_LEVEL_DEBUG}


def test_a_module_calls_the_code_of_another(client: Client) -> None:
    client.load("world")
    client.unload("world")
    assert log(client, "greet: ") + log(client, "world: ") == [
        "greet: hello, world",
        "greet: hello, from the world",
        "greet: goodbye, world",
        "world: greeted 1 time(s)",
        "world: the world ends",
    ]


def test_the_code_sees_its_parameters(client: Client) -> None:
    client.insert(file("greet"), "times=2 loud=y whom=you numbers=7,-3")
    assert log(client, "greet: ") == [
        "greet: hello, you!",
        "greet: hello, you!",
        "greet: number 0 is 7",
        "greet: number 1 is -3",
    ]


def test_a_parameter_that_is_set_later_is_what_the_code_sees(client: Client) -> None:
    client.insert(file("greet"))
    client.set_parameter("greet", "times", "3")
    assert {each.name: each.value for each in client.get_parameters("greet")}["times"] == "3"
    client.insert(file("world"))
    assert log(client, "greeted") == ["world: greeted 3 time(s)"]


def test_an_init_that_fails_has_its_errno_and_undoes_in_reverse(client: Client) -> None:
    with pytest.raises(CallError) as failed:
        client.insert(file("halfway"))
    assert (failed.value.errno, failed.value.leaks) == (5, ())
    assert log(client, "halfway: ")[-5:] == [
        "halfway: took the buffer",
        "halfway: took the device numbers",
        "halfway: the device does not answer",
        "halfway: gave the device numbers back",
        "halfway: gave the buffer back",
    ]
    assert client.list_modules() == []


def test_a_module_that_gives_everything_back_leaks_nothing(client: Client) -> None:
    client.insert(file("halfway"), "answers=1")
    assert client.remove("halfway") == ()


def test_what_a_failed_init_leaves_is_told_with_its_place(client: Client) -> None:
    with pytest.raises(CallError) as failed:
        client.insert(file("leaky"), "fails=1")
    memory, numbers = failed.value.leaks
    assert failed.value.errno == 16
    assert memory.startswith("100 bytes of memory, taken in leaky_init+0x")
    assert numbers.startswith("device numbers 254:0 'leaky', taken in leaky_init+0x")
    assert [line for line in log(client, "leaks") if "leaky" in line] == [
        f"kmodd: leaky leaks {memory}",
        f"kmodd: leaky leaks {numbers}",
    ]


def test_what_exit_leaves_is_told_by_every_command(client: Client, daemon: Daemon) -> None:
    client.insert(file("leaky"))
    (leak,) = client.remove("leaky")
    assert leak.startswith("100 bytes of memory, taken in leaky_init+0x")
    for words in (["rmmod", "leaky"], ["modprobe", "-r", "leaky"]):
        client.insert(file("leaky"))
        told = daemon.kmodctl(*words)
        assert (told.returncode, told.stderr) == (0, f"{words[0]}: WARNING: leaky leaks {leak}\n")


def test_an_endless_init_is_a_soft_lockup_and_the_kernel_goes_on(client: Client) -> None:
    before = client.status()
    with pytest.raises(CallError) as failed:
        client.insert(file("endless"))
    assert failed.value.reason == "MODULE_CRASHED"
    assert failed.value.detail.startswith("watchdog: BUG: soft lockup - CPU#0 stuck for 22s!")
    assert "RIP: 0010:endless_init+0x" in crash(client, "endless")
    client.insert(file("hello"))
    after = client.status()
    assert (after.pid, after.epoch) == (before.pid, before.epoch)
    assert "L" in after.taints


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        (0x10, "BUG: kernel NULL pointer dereference, address: 0000000000000010"),
        (0xFFFFC80000000000, "BUG: unable to handle page fault for address: ffffc80000000000"),
        (
            0xDEAD000000000100,
            "general protection fault, probably for non-canonical address "
            "0xdead000000000100: 0000 [#1] PREEMPT SMP NOPTI",
        ),
    ],
)
def test_a_wild_pointer_is_an_oops_and_the_module_is_gone(
    client: Client, address: int, complaint: str
) -> None:
    with pytest.raises(CallError) as failed:
        client.insert(file("wild"), f"where={address}")
    assert (failed.value.reason, failed.value.errno) == ("MODULE_CRASHED", 14)
    text = crash(client, "wild")
    assert complaint in text
    assert "RIP: 0010:wild_write+0x" in text
    assert "\n wild_init+0x" in text
    assert client.list_modules() == []
    assert "D" in client.status().taints


def test_an_exit_that_crashes_leaves_no_module(client: Client) -> None:
    client.insert(file("wild"), "late=1")
    with pytest.raises(CallError) as failed:
        client.remove("wild")
    assert failed.value.reason == "MODULE_CRASHED"
    assert client.list_modules() == []


def test_a_platform_driver_probes_its_device_and_lets_it_go(client: Client) -> None:
    client.insert(file("gadget"), "own=1")
    leaks = client.remove("gadget")
    assert log(client, "kmodd-gadget") == [
        "gadget kmodd-gadget.7: found",
        "gadget kmodd-gadget.7: gone",
    ]
    assert leaks == ()


def test_a_listing_says_that_init_ran(client: Client, daemon: Daemon) -> None:
    client.insert(file("hello"))
    (listed,) = json.loads(daemon.kmodctl("--json", "lsmod").stdout)
    assert listed["init_state"] == "INIT_STATE_RAN"
    assert (listed["why_not_run"], listed["stubbed_functions"]) == ("", [])
    status = json.loads(daemon.kmodctl("--json", "status").stdout)
    assert (status["runs_init"], status["why_not_run"]) == (True, "")
