# SPDX-License-Identifier: Apache-2.0
"""Devices that are plugged into the emulated kernel, and what is in its /dev, /proc and /sys."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodctl import CallError, Client
from kmodd.v1.errors_pb2 import ErrorReason
from tests.support.daemon import Daemon, configure, running_daemon
from tests.support.modules import SOURCES
from tests.support.require import require_emulator
from tests.support.tree import ModuleTree

require_emulator()

GADGET = "platform:kmodd-gadget"


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as open_client:
        yield open_client


def said(client: Client) -> list[str]:
    """Return what drivers have said of their devices, and the kernel of drivers."""
    return [each.text for each in client.read_log() if "kmodd-gadget." in each.text]


def bound(client: Client) -> dict[str, str]:
    return {each.name: each.driver for each in client.list_devices()}


def failure(client: Client, name: str) -> CallError:
    with pytest.raises(CallError) as failed:
        client.remove_device(name)
    return failed.value


def test_a_device_brings_its_module_and_the_driver_probes_it(client: Client) -> None:
    answer = client.add_device(GADGET)
    assert (answer.device.name, answer.device.modalias) == ("kmodd-gadget.0", GADGET)
    assert (answer.device.driver, answer.device.driver_module) == ("gadget", "gadget")
    assert list(answer.result.modules) == ["gadget"]
    assert [each.name for each in client.list_modules()] == ["gadget"]
    assert said(client) == ["gadget kmodd-gadget.0: found"]


def test_a_driver_lets_go_when_the_device_goes_and_when_the_module_does(client: Client) -> None:
    for _ in range(2):
        client.add_device(GADGET)
    client.remove_device("kmodd-gadget.0")
    assert bound(client) == {"kmodd-gadget.1": "gadget"}
    assert client.remove("gadget") == ()
    assert bound(client) == {"kmodd-gadget.1": ""}
    client.load("gadget")
    assert bound(client) == {"kmodd-gadget.1": "gadget"}
    assert said(client)[2:] == [
        "gadget kmodd-gadget.0: gone",
        "gadget kmodd-gadget.1: gone",
        "gadget kmodd-gadget.1: found",
    ]


def test_a_device_that_no_module_is_for_stays_without_a_driver(client: Client) -> None:
    answer = client.add_device("pci:v00008086d0000100Esv*sd*bc*sc*i*")
    assert (answer.device.name, answer.device.driver) == ("0000:00:01.0", "")
    assert ErrorReason.Name(answer.result.failure.reason) == "ERROR_REASON_MODULE_NOT_FOUND"
    assert bound(client) == {"0000:00:01.0": ""}


def test_a_probe_that_fails_is_logged_and_told(client: Client) -> None:
    client.insert(SOURCES / "gadget.ko", f"refuses={errno.EIO}")
    device = client.add_device(GADGET).device
    assert (device.driver, device.probe_errno) == ("", errno.EIO)
    assert said(client) == ["gadget: probe of kmodd-gadget.0 failed with error -5"]
    client.set_parameter("gadget", "refuses", "0")
    assert client.add_device(GADGET).device.driver == "gadget"
    assert client.remove("gadget") == ()


def test_a_probe_that_crashes_takes_its_device_along_and_nothing_else(client: Client) -> None:
    client.insert(SOURCES / "gadget.ko")
    client.add_device(GADGET)
    client.set_parameter("gadget", "refuses", str(errno.EFAULT))
    with pytest.raises(CallError) as failed:
        client.add_device(GADGET)
    assert failed.value.reason == "MODULE_CRASHED"
    assert any("RIP: 0010:gadget_probe+0x" in line for line in failed.value.log_lines)
    assert bound(client) == {"kmodd-gadget.0": "gadget"}
    client.remove_device("kmodd-gadget.0")


def test_a_crash_at_the_load_for_a_device_is_told_and_the_device_stays(
    client: Client, daemon: Daemon, modules_root: ModuleTree
) -> None:
    configure(daemon, modules_root, f"options gadget refuses={errno.EFAULT}\n")
    answer = client.add_device(GADGET)
    assert answer.result.failure.errno_value == errno.EFAULT
    assert bound(client) == {"kmodd-gadget.0": ""}
    assert client.list_modules() == []


def test_a_blacklisted_module_is_not_loaded_for_a_device(
    client: Client, daemon: Daemon, modules_root: ModuleTree
) -> None:
    configure(daemon, modules_root, "blacklist gadget\n")
    assert client.add_device(GADGET).device.driver == ""
    assert client.list_modules() == []


def test_only_what_was_plugged_in_is_unplugged(client: Client) -> None:
    client.insert(SOURCES / "gadget.ko", "own=1")
    (device,) = client.list_devices()
    assert (device.name, device.owner) == ("kmodd-gadget.7", "gadget")
    assert failure(client, "kmodd-gadget.7").errno == errno.EBUSY
    assert failure(client, "kmodd-gadget.8").reason == "DEVICE_NOT_FOUND"


def test_what_modules_have_made_is_listed(client: Client) -> None:
    client.add_device(GADGET)
    listed = {
        path: [each.path.rpartition("/")[2] for each in client.list_files(path)]
        for path in ("/", "/sys/bus/platform/devices", "/sys/module/gadget/parameters")
    }
    assert listed == {
        "/": ["dev", "proc", "sys"],
        "/sys/bus/platform/devices": ["kmodd-gadget.0"],
        "/sys/module/gadget/parameters": ["own", "refuses"],
    }
    (driver,) = client.list_files("/sys/bus/platform/drivers")
    assert (driver.is_directory, driver.module) == (True, "gadget")
    with pytest.raises(CallError) as failed:
        client.list_files("/etc/passwd")
    assert failed.value.reason == "FILE_NOT_FOUND"


def test_kmodctl_says_what_became_of_a_device(daemon: Daemon) -> None:
    added = daemon.kmodctl("device", "add", GADGET)
    line = f"kmodd-gadget.0  {GADGET}  driver gadget of gadget\n"
    assert (added.returncode, added.stdout, added.stderr) == (0, line, "")
    assert daemon.kmodctl("device", "list").stdout == line
    assert daemon.kmodctl("ls", "/sys/bus/platform/devices").stdout == "kmodd-gadget.0/\n"
    assert daemon.kmodctl("device", "remove", "kmodd-gadget.0").returncode == 0
    alone = daemon.kmodctl("device", "add", "platform:nobodys")
    assert alone.stdout == "nobodys.0  platform:nobodys  no driver\n"
    assert alone.stderr == "kmodctl device: WARNING: no module answers to platform:nobodys\n"
    for words in (["add"], ["list", "x"], ["remove", "x"], ["add", "usb:v1"], ["paint"]):
        assert daemon.kmodctl("device", *words).returncode == 1


def test_an_interrupt_calls_those_who_have_it(lessons_root: Path) -> None:
    with running_daemon(lessons_root) as daemon, daemon.client() as client:
        nobody = daemon.kmodctl("device", "interrupt", "1")
        assert (nobody.returncode, nobody.stderr) == (
            1,
            "kmodctl device: ERROR: no driver has interrupt 1\n",
        )
        client.load("lesson_interrupts")
        before = max(each.sequence for each in client.read_log())
        for _ in range(2):
            told = daemon.kmodctl("device", "interrupt", "1")
            assert (told.returncode, told.stdout) == (0, "interrupt 1: lesson_interrupts\n")
        assert [each.text for each in client.read_log(after=before)] == [
            "lesson_interrupts: interrupt 1, time 1, in hard irq: yes",
            "lesson_interrupts: interrupt 1, time 2, in hard irq: yes",
            "lesson_interrupts: thread for interrupt 1, may sleep: yes",
            "lesson_interrupts: work behind interrupt 1",
        ]
        assert client.raise_interrupt(1) == ["lesson_interrupts"]
        assert client.remove("lesson_interrupts") == ()
        with pytest.raises(CallError) as missing:
            client.raise_interrupt(1)
        assert (missing.value.reason, missing.value.errno) == ("DEVICE_NOT_FOUND", errno.ENODEV)


def test_what_is_no_interrupt_is_told_before_anybody_is_asked(daemon: Daemon) -> None:
    for number in ("-1", "one", "4294967296", "1" * 5000):
        told = daemon.kmodctl("device", "interrupt", "--", number)
        why = "kmodctl device: ERROR: interrupt takes a number\n"
        assert (told.returncode, told.stderr) == (1, why)
