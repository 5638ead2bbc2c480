# SPDX-License-Identifier: Apache-2.0
"""What modules make in the emulated /sys, /proc and /dev, as ``kmodctl ls`` lists it."""

from collections.abc import Iterator

import pytest

from kmodctl import CallError, Client
from tests.support.daemon import Daemon
from tests.support.modules import SOURCES
from tests.support.require import require_emulator

require_emulator()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as open_client:
        yield open_client


def listed(client: Client, path: str) -> dict[str, str]:
    """Return the names in a directory, each with its permissions in octal."""
    files = client.list_files(path)
    return {
        each.path.removeprefix(f"{path}/") + "/" * each.is_directory: f"{each.mode:04o}"
        for each in files
    }


def test_a_class_has_devices_and_these_have_their_attributes(client: Client) -> None:
    client.load("shelf")
    assert listed(client, "/sys/class/shelves") == {"shelf1/": "0755"}
    shelf = "/sys/class/shelves/shelf1"
    assert listed(client, shelf) == {"late": "0400", "look/": "0755", "uevent": "0644"}
    assert listed(client, f"{shelf}/look") == {"colour": "0444", "raw": "0444"}
    assert {each.module for each in client.list_files(shelf)} == {"shelf"}


def test_an_attribute_is_there_when_its_group_says_so(client: Client) -> None:
    client.load("shelf", parameters="hides=0")
    look = listed(client, "/sys/class/shelves/shelf1/look")
    assert set(look) == {"colour", "hidden", "raw"}


def test_objects_proc_and_debugfs_have_the_modes_that_the_module_gave(client: Client) -> None:
    client.load("shelf")
    assert listed(client, "/sys/kernel/library") == {"books": "0640"}
    assert listed(client, "/proc") == {"shelf/": "0555"}
    assert listed(client, "/proc/shelf") == {"state": "0440"}
    assert listed(client, "/sys/kernel/debug/shelf") == {"state": "0600"}
    assert listed(client, "/sys/module/shelf/parameters") == {"hides": "0444"}


def test_all_of_it_goes_with_the_module(client: Client) -> None:
    before = {path: listed(client, path) for path in ("/sys/class", "/sys/kernel", "/proc")}
    client.load("shelf")
    assert client.remove("shelf") == ()
    assert {path: listed(client, path) for path in before} == before
    with pytest.raises(CallError) as missing:
        client.list_files("/sys/class/shelves")
    assert missing.value.reason == "FILE_NOT_FOUND"


def test_a_long_listing_tells_permissions_and_owners(client: Client, daemon: Daemon) -> None:
    client.insert(str(SOURCES / "gadget.ko"), "own=1")
    told = daemon.kmodctl("ls", "-l", "/sys/bus/platform")
    assert told.stdout == "drwxr-xr-x ---- - devices/\ndrwxr-xr-x ---- - drivers/\n"
    told = daemon.kmodctl("ls", "-l", "/sys/bus/platform/drivers")
    assert told.stdout == "drwxr-xr-x ---- gadget gadget/\n"
    told = daemon.kmodctl("ls", "-l", "/sys/bus/platform/devices/kmodd-gadget.7")
    assert told.stdout == "-rw-r--r-- ---- gadget uevent\n"
