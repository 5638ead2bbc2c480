# SPDX-License-Identifier: Apache-2.0
"""The devices of the machine, by the kernel's events and by /sys."""

from pathlib import Path

import pytest

from kmodd.kernel.linux.devices import device_of_event, plugged_devices
from kmodd.kernel.linux.this_machine import THIS_MACHINE


def test_an_event_tells_of_a_device() -> None:
    event = b"add@/devices/x/1\0ACTION=add\0DEVPATH=/devices/x/1\0MODALIAS=x:a=b\0SEQNUM=7\0"
    device = device_of_event(event)
    assert device is not None
    assert device.path == "/devices/x/1"
    assert device.properties["MODALIAS"] == "x:a=b"
    assert device.properties["SEQNUM"] == "7"


@pytest.mark.parametrize("event", [b"", b"libudev\0\xfe\xed", b"add", b"add@", b"add@x\0A=1\0"])
def test_what_is_no_event_of_a_device_is_none(event: bytes) -> None:
    assert device_of_event(event) is None


def test_an_event_is_what_its_header_says_and_has_a_bound() -> None:
    lies = b"add@/devices/a\0DEVPATH=/devices/b\0ACTION=remove\0=nothing\0nothing\0\xff=\xff\0"
    device = device_of_event(lies + b"".join(b"K%d=v\0" % number for number in range(1000)))
    assert device is not None
    assert (device.path, device.properties["DEVPATH"]) == ("/devices/a", "/devices/a")
    assert device.properties["ACTION"] == "add"
    assert device.properties["\udcff"] == "\udcff"
    assert len(device.properties) <= 64 + 2


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A bus with two devices, one of them in a class, too; a module; what is no device."""
    for path, uevent in {
        "devices/pci0/0001": "DRIVER=e\nMODALIAS=pci:v1\n",
        "devices/pci0/0002": "MODALIAS=pci:v2\n",
        "devices/virtual/net/lo": "INTERFACE=lo\n",
        "module/parport_pc": "",
    }.items():
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "uevent").write_text(uevent)
    (tmp_path / "module/parport_pc/uevent").chmod(0o200)
    (tmp_path / "module/builtin").mkdir()
    for link, target in {
        "bus/pci/devices/0001": "devices/pci0/0001",
        "bus/pci/devices/0002": "devices/pci0/0002",
        "class/net/lo": "devices/virtual/net/lo",
        "class/other/0001": "devices/pci0/0001",
        "class/gone/0003": "devices/pci0/0003",
    }.items():
        (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / link).symlink_to(tmp_path / target)
    (tmp_path / "class/outside").mkdir()
    (tmp_path / "class/outside/etc").symlink_to("/etc")
    (tmp_path / "class/net/bonding_masters").write_text("")
    return tmp_path


def test_each_device_is_told_once_as_its_event_would_be(sysfs: Path) -> None:
    found = {
        device.path: dict(device.properties) for device in plugged_devices(THIS_MACHINE, sysfs)
    }
    assert found == {
        "/devices/pci0/0001": {
            "ACTION": "add",
            "DEVPATH": "/devices/pci0/0001",
            "SUBSYSTEM": "pci",
            "DRIVER": "e",
            "MODALIAS": "pci:v1",
        },
        "/devices/pci0/0002": {
            "ACTION": "add",
            "DEVPATH": "/devices/pci0/0002",
            "SUBSYSTEM": "pci",
            "MODALIAS": "pci:v2",
        },
        "/devices/virtual/net/lo": {
            "ACTION": "add",
            "DEVPATH": "/devices/virtual/net/lo",
            "SUBSYSTEM": "net",
            "INTERFACE": "lo",
        },
        "/module/parport_pc": {
            "ACTION": "add",
            "DEVPATH": "/module/parport_pc",
            "SUBSYSTEM": "module",
        },
    }


def test_a_machine_without_devices_has_none(tmp_path: Path) -> None:
    assert list(plugged_devices(THIS_MACHINE, tmp_path / "none")) == []
