# SPDX-License-Identifier: Apache-2.0
"""kmodd has the loads of a machine with systemd and udev: what came of it in the guest."""

import errno

import pytest

from tests.realkernel.boots import Outcomes
from tests.realkernel.hotplug_guest import CLOSED

DENIED = {"reason": "MODULE_DENIED", "errno": errno.EPERM, "module": "virtio_input"}


def test_kmodd_takes_over_from_udev_and_nothing_denied_came_before(owned: Outcomes) -> None:
    record = owned.of("booted")
    assert record["gate"]
    assert record["others"] == len(record["others_known"])
    assert {"ata_piix", "evdev", "ppdev", "efs"} <= set(record["modules"])
    assert CLOSED.isdisjoint(record["modules"])
    (failure,) = record["start_failures"]
    assert failure.endswith(": virtio_input is denied: closed here")


def test_what_devices_want_is_loaded_as_udev_would(owned: Outcomes) -> None:
    record = owned.of("coldplug")
    origins = record["by_kmodd"]
    assert list(origins) == record["by_udev"]
    assert origins["ata_piix"] == origins["ppdev"] == origins["evdev"] == "ORIGIN_HOTPLUG"
    assert origins["libata"] == "ORIGIN_DEPENDENCY"
    assert set(origins.values()) == {"ORIGIN_HOTPLUG", "ORIGIN_DEPENDENCY", "ORIGIN_ASKED"}
    assert record["others"] == 0


def test_modules_load_is_left_to_kmodd_while_it_is_there(owned: Outcomes) -> None:
    record = owned.of("coldplug")
    assert record["modules_load"] == {"ConditionResult": "no"}
    assert record["by_kmodd"]["efs"] == "ORIGIN_ASKED"


def test_the_roads_are_named_that_setup_has_put_kmodd_on(owned: Outcomes) -> None:
    covered = owned.of("booted")["coverage"]
    assert covered["the kernel's own requests (kernel.modprobe)"] == "yes"
    assert covered["devices (udev's rule for drivers)"] == "yes"
    assert covered["modules-load.d (systemd-modules-load.service)"] == "yes"
    assert covered["root, by insmod or the system calls"] == "no"


def test_a_device_has_its_driver_loaded_by_kmodd_while_settle_waits(owned: Outcomes) -> None:
    record = owned.of("plugged")
    assert (record["come"], record["state"]) == (["virtio_rng"], "MODULE_STATE_LIVE")
    (operation,) = record["operations"]
    assert operation["origin"] == "hotplug"
    assert operation["device"].startswith("/devices/pci0000:00/")
    assert operation["failure"] == ""
    assert record["others"] == 0
    assert "xhci_pci" in record["usb"]
    assert "usbhid" in record["keyboard"]


def test_a_denied_driver_is_not_loaded_and_the_audit_says_why(owned: Outcomes) -> None:
    record = owned.of("denied")
    assert record["come"] == []
    (operation,) = record["operations"]
    assert operation["failure"] == "virtio_input is denied: closed here"
    line = next(line for line in record["audit"] if "origin=hotplug" in line)
    assert f"device={operation['device']} result=MODULE_DENIED" in line


@pytest.mark.parametrize("road", ["name", "alias", "file"])
def test_a_denied_module_is_refused_to_who_asks_kmodd(owned: Outcomes, road: str) -> None:
    failure = owned.of("every_road")[road]
    assert {name: failure[name] for name in DENIED} == DENIED


def test_what_needs_a_denied_module_is_refused(owned: Outcomes) -> None:
    failure = owned.of("every_road")["dependency"]
    assert (failure["reason"], failure["module"]) == ("MODULE_DENIED", "slhc")


def test_a_denied_module_comes_by_no_road_that_kmodd_is_on(owned: Outcomes) -> None:
    record = owned.of("every_road")
    assert record["come"] == []
    assert record["modprobe"] == 1
    assert record["kernel"] != 0


def test_a_thousand_events_are_one_load(owned: Outcomes) -> None:
    record = owned.of("flooded")
    assert (record["come"], record["loads"], record["there"]) == (["virtio_scsi"], 1, True)
    before, after = record["threads"]
    assert after <= before + 1
    before, after = record["memory"]
    assert after < before + 4096
    assert record["others"] == 0


@pytest.mark.parametrize(("ended", "module"), [("stopped", "virtio_balloon"), ("killed", "e1000")])
def test_without_kmodd_udev_loads_and_a_denied_module_not_even_then(
    owned: Outcomes, ended: str, module: str
) -> None:
    record = owned.of(ended)
    assert not record["gate"]
    assert record["come"] == [module]
    assert record["denied"] == []


def test_without_kmodd_a_denied_module_comes_by_no_other_road(owned: Outcomes) -> None:
    record = owned.of("stopped")
    assert (record["left"], record["still"]) == ([], [])
    assert (record["modprobe"], record["dependency"]) == (1, 1)
    assert record["kernel"] != 0


def test_one_that_begins_anew_has_the_loads_again(owned: Outcomes) -> None:
    assert owned.of("killed")["gate_again"]


def test_a_sealed_kernel_loads_nothing_and_says_who_has_sealed_it(owned: Outcomes) -> None:
    record = owned.of("sealed")
    (missing,) = record["missing"]
    assert missing[0].startswith("pci:v00008086d0000100E")
    assert record["by"].startswith("uid 0, pid ")
    assert record["switch"] == "1"
    for failure in (record["load"], record["unload"]):
        assert (failure["reason"], failure["errno"]) == ("MODULES_DISABLED", errno.EPERM)
        assert failure["message"].endswith(f" by {record['by']}")
    assert record["status"][1] == record["by"]
