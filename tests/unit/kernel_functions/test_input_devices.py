# SPDX-License-Identifier: Apache-2.0
"""Input devices: registered, reported by, listened to (drivers/input/input.c)."""

import os
import struct
from errno import EAGAIN, EINVAL, ENODEV

import pytest

from tests.support.kernel_calls import Callback, callback, held, put_text, run, unload
from tests.support.machine import Machine, new_machine

from kmodd.kernel.emulated.functions.event_files import QUEUE_MAX, Event  # isort: skip
from kmodd.kernel.emulated.functions.input_devices import (  # isort: skip
    listen,
    stop_listening,
)
from kmodd.kernel.emulated.functions.open_files import (  # isort: skip
    FileDescription,
    close_file,
    make_file,
    open_file,
    read_file,
)
from kmodd.kernel.emulated.functions.polling import poll_file  # isort: skip

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


EVENT = struct.Struct("<QQHHi")
IN, GONE = 1, 0x18


def opened(machine: Machine, number: int = 0) -> FileDescription:
    """Open the file of a device's events, of which nothing is waited for."""
    found = machine.mounts.find(f"/dev/input/event{number}")
    assert found is not None
    flags = os.O_RDONLY | os.O_NONBLOCK
    with machine.running("sample"):
        file = make_file(machine, found.path, found.module, found.content, flags)
        assert open_file(machine, file) == 0
    return file


def read(machine: Machine, file: FileDescription, size: int = 4096) -> list[Event] | int:
    """Return the events that are read, or the error."""
    with machine.running("sample", file.task):
        result, data = read_file(machine, file, size)
    return [each[2:] for each in EVENT.iter_unpack(data)] if result >= 0 else result


def polled(machine: Machine, file: FileDescription) -> int:
    with machine.running("sample", file.task):
        return poll_file(machine, file, IN, 0)


def press(machine: Machine, device: int, code: int, value: int) -> None:
    run(machine, "input_event", device, KEY, code, value)
    run(machine, "input_event", device, SYN, 0, 0)


def test_what_a_device_reports_is_read_by_whole_events(machine: Machine) -> None:
    device = made(machine, (KEY, A))
    opens, closes = callback(machine), callback(machine)
    machine.memory.put(device + OPEN, opens.address)
    machine.memory.put(device + CLOSE, closes.address)
    first = opened(machine)
    assert (read(machine, first), polled(machine, first)) == (-EAGAIN, 0)
    press(machine, device, A, 1)
    second = opened(machine)
    press(machine, device, A, 0)
    assert polled(machine, first) == IN
    assert read(machine, first, EVENT.size - 1) == -EINVAL
    assert read(machine, first, 2 * EVENT.size + 5) == [(KEY, A, 1), (SYN, 0, 0)]
    assert read(machine, first) == [(KEY, A, 0), (SYN, 0, 0)]
    assert read(machine, second) == [(KEY, A, 0), (SYN, 0, 0)]
    uses = opens.calls
    for file in (first, second):
        with machine.running("sample"):
            close_file(machine, file)
    # The console's keyboard has it open besides.
    assert (uses, closes.calls, machine.memory.number(device + USERS, 4)) == (0, 0, 1)


def test_who_reads_too_slowly_is_told_what_he_has_lost(machine: Machine) -> None:
    device = made(machine, (KEY, A))
    file = opened(machine)
    for number in range(QUEUE_MAX // 2 + 1):
        press(machine, device, A, 1 - number % 2)
    assert read(machine, file) == [(SYN, 3, 0), (SYN, 0, 0)]


def test_a_device_that_goes_leaves_its_readers_nothing(machine: Machine) -> None:
    device = made(machine, (KEY, A))
    file = opened(machine)
    run(machine, "input_unregister_device", device)
    assert machine.mounts.find("/dev/input/event0") is None
    assert (read(machine, file), polled(machine, file)) == (-ENODEV, GONE)
    with machine.running("sample"):
        close_file(machine, file)
