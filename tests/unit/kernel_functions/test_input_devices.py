# SPDX-License-Identifier: Apache-2.0
"""Input devices: allocated, registered, and gone with either (drivers/input/input.c)."""

import pytest

from tests.support.kernel_calls import held, run, unload
from tests.support.machine import Machine, new_machine


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def kinds(machine: Machine) -> list[str]:
    return [kind for kind, _ in held(machine)]


def test_a_device_that_was_never_registered_is_freed(machine: Machine) -> None:
    device = run(machine, "input_allocate_device")
    assert machine.heap.size(device) is not None
    assert machine.memory.read(device, 512) == bytes(512)
    assert kinds(machine) == ["input device"]
    run(machine, "input_free_device", device)
    assert machine.heap.size(device) is None
    assert held(machine) == []


def test_a_registered_device_goes_with_its_registration(machine: Machine) -> None:
    device = run(machine, "input_allocate_device")
    assert run(machine, "input_register_device", device) == 0
    assert sorted(kinds(machine)) == ["input device", "registered input device"]
    run(machine, "input_unregister_device", device)
    assert machine.heap.size(device) is None
    assert held(machine) == []


def test_two_devices_are_two(machine: Machine) -> None:
    first, second = (run(machine, "input_allocate_device") for _ in range(2))
    assert first != second
    run(machine, "input_free_device", first)
    assert machine.heap.size(second) is not None
    assert kinds(machine) == ["input device"]


def test_to_free_no_device_or_one_twice_takes_nothing_else(machine: Machine) -> None:
    device = run(machine, "input_allocate_device")
    run(machine, "input_free_device", 0)
    run(machine, "input_free_device", device)
    other = run(machine, "input_allocate_device")
    assert other == device
    run(machine, "input_free_device", other + 8)
    assert kinds(machine) == ["input device"]


def test_a_module_that_goes_without_its_devices_leaves_none_on_its_account(
    machine: Machine,
) -> None:
    device = run(machine, "input_allocate_device")
    run(machine, "input_register_device", device)
    unload(machine)
    assert held(machine) == []
    run(machine, "input_unregister_device", device)
    assert held(machine) == []
