# SPDX-License-Identifier: Apache-2.0
"""Devices that are plugged in from outside, and the drivers that come to have them."""

import errno

import pytest

from kmodd.errors import Reason
from kmodd.kernel.emulated.hardware.modalias import PciIdentity, PlatformIdentity
from kmodd.kernel.emulated.reporting.refusal import Refusal
from tests.support.kernel_calls import (
    Crash,
    callback,
    held,
    paths,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import Machine, new_machine

# After the emulator.
from kmodd.kernel.emulated.functions.hotplug import plug, plugged, unplug  # isort: skip

GADGET, NETWORK = PlatformIdentity("gadget"), PciIdentity(0x8086, 0x100E, 0, 0, 0x020000)
RAISE = bytes.fromhex("0f0b")
"""x86 code: ud2"""


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def put_in(machine: Machine, identity: PlatformIdentity | PciIdentity) -> str:
    with machine.running(""):
        return plug(machine, identity).name


def pull_out(machine: Machine, name: str) -> None:
    with machine.running(""):
        unplug(machine, name)


def driver(machine: Machine, probe: int, remove: int = 0) -> int:
    """Register a platform driver called "gadget" and return it."""
    fields = {0: probe, 8: remove, 48: put_text(machine, "gadget")}
    made = put_structure(machine, 240, fields)
    assert run(machine, "__platform_driver_register", made, 0) == 0
    return made


def test_a_device_is_told_with_what_became_of_it(machine: Machine) -> None:
    first = put_in(machine, GADGET)
    driver(machine, callback(machine).address)
    put_in(machine, NETWORK)
    told = [(each.name, each.bus, each.modalias, each.driver) for each in plugged(machine)]
    assert told == [
        ("gadget.0", "platform", "platform:gadget", "gadget"),
        ("0000:00:01.0", "pci", str(NETWORK), ""),
    ]
    bound = plugged(machine)[0]
    assert (first, bound.driver_module, bound.owner) == ("gadget.0", "sample", "")
    assert bound.probe_errno == 0


def test_names_are_the_first_free_ones(machine: Machine) -> None:
    assert [put_in(machine, GADGET) for _ in range(3)] == ["gadget.0", "gadget.1", "gadget.2"]
    pull_out(machine, "gadget.1")
    assert put_in(machine, GADGET) == "gadget.1"
    slots = [put_in(machine, NETWORK) for _ in range(33)]
    assert slots[:1] + slots[30:] == [
        *("0000:00:01.0", "0000:00:1f.0", "0000:01:00.0", "0000:01:01.0"),
    ]


def test_a_device_that_is_pulled_out_is_let_go_and_gone(machine: Machine) -> None:
    remove = callback(machine)
    driver(machine, callback(machine).address, remove.address)
    before = held(machine)
    put_in(machine, GADGET)
    pull_out(machine, "gadget.0")
    assert (remove.calls, plugged(machine)) == (1, ())
    assert held(machine) == before
    assert not [each for each in paths(machine.mounts.sysfs) if "gadget.0" in each]


def test_what_a_probe_refuses_is_told(machine: Machine) -> None:
    driver(machine, callback(machine, -errno.EIO).address)
    put_in(machine, GADGET)
    (device,) = plugged(machine)
    assert (device.driver, device.probe_errno) == ("", errno.EIO)


def test_a_probe_that_crashes_takes_the_device_along(machine: Machine) -> None:
    code = callback(machine)
    machine.memory.write(code.address, RAISE)
    driver(machine, code.address)
    before = held(machine)
    with pytest.raises(Crash):
        put_in(machine, GADGET)
    assert plugged(machine) == ()
    assert held(machine) == before
    assert not [each for each in paths(machine.mounts.sysfs) if "gadget.0" in each]


def test_only_what_was_put_in_is_pulled_out(machine: Machine) -> None:
    device = run(machine, "platform_device_alloc", put_text(machine, "own"), -1)
    run(machine, "platform_device_add", device)
    for name, reason, code in (
        ("own", Reason.KERNEL_REFUSED, errno.EBUSY),
        ("other", Reason.DEVICE_NOT_FOUND, errno.ENODEV),
    ):
        with pytest.raises(Refusal) as refused:
            pull_out(machine, name)
        assert (refused.value.reason, refused.value.errno) == (reason, code)
    (shown,) = plugged(machine)
    assert (shown.name, shown.owner) == ("own", "sample")


def test_a_device_outlives_the_module_of_its_driver(machine: Machine) -> None:
    driver(machine, callback(machine).address)
    put_in(machine, GADGET)
    unload(machine)
    (device,) = plugged(machine)
    assert (device.name, device.driver) == ("gadget.0", "")
    pull_out(machine, "gadget.0")
    assert plugged(machine) == ()
