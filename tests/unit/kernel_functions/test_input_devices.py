# SPDX-License-Identifier: Apache-2.0
"""Input devices: registered, reported by, listened to (drivers/input/input.c)."""

import pytest

from tests.support.kernel_calls import Callback, callback, held, put_text, run, unload
from tests.support.machine import Machine, new_machine

from kmodd.kernel.emulated.functions.input_devices import (  # isort: skip
    Event,
    listen,
    stop_listening,
)

SYN, KEY, REL, ABS, MSC, SW, LED = 0, 1, 2, 3, 4, 5, 0x11
A, B, MOUSE_BUTTON, WHEEL = 30, 48, 0x110, 8
TYPES, KEYS, OPEN, CLOSE, USERS = 40, 48, 456, 464, 536
"""Offsets in ``struct input_dev``."""

KEYCODE = 1


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
    assert sorted(kinds(machine)) == ["input device", "name", "registered input device"]
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


def made(machine: Machine, *codes: tuple[int, int]) -> int:
    """Register a device that has these types and codes."""
    device = run(machine, "input_allocate_device")
    machine.memory.put(device, put_text(machine, "sample pad"))
    for kind, code in codes:
        run(machine, "input_set_capability", device, kind, code)
    assert run(machine, "input_register_device", device) == 0
    return device


def report(machine: Machine, device: int, *events: Event) -> None:
    for event in (*events, (SYN, 0, 0)):
        run(machine, "input_event", device, *event)


def heard(machine: Machine, device: int) -> list[list[Event]]:
    """What a listener is told from now on."""
    reports = list[list[Event]]()
    with machine.running("sample"):
        assert listen(machine, device, reports.append) == 0
    return reports


def test_a_device_is_told_of_and_has_its_place() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    device = made(machine)
    made(machine)
    assert lines == [
        "input: sample pad as /devices/virtual/input/input0",
        "input: sample pad as /devices/virtual/input/input1",
    ]
    names = [each.path for each in machine.mounts.listing() if each.is_directory]
    assert "/sys/class/input/input0" in names
    run(machine, "input_unregister_device", device)
    names = [each.path for each in machine.mounts.listing()]
    assert [each for each in names if "input0" in each] == []


def test_what_a_device_has_is_told_in_bits() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    device = run(machine, "input_allocate_device")
    for kind, code in ((KEY, A), (REL, WHEEL), (0x14, 0), (0x16, 0), (KEY, 768), (7, 0)):
        run(machine, "input_set_capability", device, kind, code)
    assert machine.memory.number(device + TYPES) == 1 << KEY | 1 << REL | 1 << 0x14 | 1 << 0x16
    assert machine.memory.number(device + KEYS) == 1 << A
    assert lines == [
        "input_set_capability: invalid code 768 for type 1",
        "input_set_capability: unknown type 7 (code 0)",
    ]


def test_a_report_has_what_is_new_and_is_the_devices(machine: Machine) -> None:
    device = made(machine, (KEY, A), (REL, WHEEL), (ABS, 0), (MSC, 4), (LED, 1), (SW, 3))
    reports = heard(machine, device)
    report(machine, device, (KEY, A, 1), (KEY, A, 1), (KEY, B, 1), (REL, WHEEL, 0), (9, 0, 1))
    report(machine, device, (KEY, A, 2), (KEY, A, 0), (KEY, A, 0), (REL, WHEEL, -2))
    report(machine, device, (KEY, A, 0), (KEY, 5000, 1))
    report(machine, device, (ABS, 0, 7), (MSC, 4, 3), (LED, 1, 1), (LED, 1, 1), (SW, 3, 1))
    end = (SYN, 0, 0)
    assert reports == [
        [(KEY, A, 1), end],
        [(KEY, A, 2), (KEY, A, 0), (REL, WHEEL, -2), end],
        [(ABS, 0, 7), (MSC, 4, 3), (LED, 1, 1), (SW, 3, 1), end],
    ]


def test_a_device_is_opened_by_the_first_who_listens_and_closed_by_the_last(
    machine: Machine,
) -> None:
    device = made(machine, (KEY, MOUSE_BUTTON))
    opens, closes = callback(machine), callback(machine)
    machine.memory.put(device + OPEN, opens.address)
    machine.memory.put(device + CLOSE, closes.address)
    one, other = list[list[Event]](), list[list[Event]]()
    with machine.running("sample"):
        assert listen(machine, device, one.append) == listen(machine, device, other.append) == 0
        assert machine.memory.number(device + USERS, 4) == 2
        stop_listening(machine, device, one.append)
    assert (opens.calls, closes.calls) == (1, 0)
    report(machine, device, (KEY, MOUSE_BUTTON, 1))
    assert (len(one), len(other)) == (0, 1)
    run(machine, "input_unregister_device", device)
    assert (opens.calls, closes.calls) == (1, 1)
    assert closes.arguments[0] == device


def test_a_device_that_cannot_be_opened_has_no_listener(machine: Machine) -> None:
    device = made(machine, (KEY, MOUSE_BUTTON))
    machine.memory.put(device + OPEN, callback(machine, -5).address)
    with machine.running("sample"):
        assert listen(machine, device, lambda _events: None) == -5
    assert machine.memory.number(device + USERS, 4) == 0


def notified(machine: Machine) -> tuple[Callback, int]:
    """A notifier of the keyboard's, and where it is."""
    hears = callback(machine)
    block = machine.heap.allocate(24)
    machine.memory.put(block, hears.address)
    assert run(machine, "register_keyboard_notifier", block) == 0
    return hears, block


def test_the_keyboard_listens_to_keys_and_tells_its_notifiers(machine: Machine) -> None:
    hears, block = notified(machine)
    mouse = made(machine, (KEY, MOUSE_BUTTON))
    report(machine, mouse, (KEY, MOUSE_BUTTON, 1))
    assert hears.calls == 0
    keyboard = made(machine, (KEY, A), (REL, WHEEL))
    assert machine.memory.number(keyboard + USERS, 4) == 1
    report(machine, keyboard, (KEY, A, 1))
    report(machine, keyboard, (REL, WHEEL, 1))
    assert hears.calls == 1
    assert hears.arguments[:2] == (block, KEYCODE)
    report(machine, keyboard, (KEY, A, 0))
    assert hears.calls == 2
    run(machine, "unregister_keyboard_notifier", block)
    report(machine, keyboard, (KEY, A, 1))
    assert hears.calls == 2


def test_a_device_that_is_not_registered_tells_nobody(machine: Machine) -> None:
    hears, _ = notified(machine)
    device = made(machine, (KEY, A))
    unload(machine)
    run(machine, "input_event", device, KEY, A, 1)
    run(machine, "input_event", device, SYN, 0, 0)
    assert hears.calls == 0
