# SPDX-License-Identifier: Apache-2.0
"""Classes, buses and devices of modules (drivers/base/class.c, bus.c, core.c)."""

import errno

import pytest

from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    callback,
    error_pointer,
    held,
    oops,
    paths,
    put_pointers,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import Machine, new_machine

NAME, PARENT, INIT_NAME, TYPE, BUS, DRIVER_DATA = 0, 64, 80, 88, 96, 120
REFERENCES, NUMBER, CLASS, GROUPS, RELEASE, SIZE = 56, 660, 688, 696, 704, 752
DEVT = 240 << 20 | 7


@pytest.fixture
def machine() -> Machine:
    return new_machine()


@pytest.fixture
def shelves(machine: Machine) -> int:
    return run(machine, "__class_create", 0, put_text(machine, "shelves"), 0)


def kinds(machine: Machine) -> list[str]:
    return sorted(kind for kind, _ in held(machine))


def device(machine: Machine, name: str = "", **words: int) -> int:
    """Return a ``struct device`` of a module's own."""
    offsets = {"type": TYPE, "bus": BUS, "which": CLASS, "release": RELEASE, "parent": PARENT}
    fields = {offsets[each]: value for each, value in words.items()}
    return put_structure(
        machine, SIZE, {INIT_NAME: put_text(machine, name) if name else 0, **fields}
    )


def create(machine: Machine, which: int, name: str, number: int = 0, *, parent: int = 0) -> int:
    return run(machine, "device_create", which, parent, number, 0, put_text(machine, name))


def test_a_class_is_there_once_until_it_is_destroyed(machine: Machine, shelves: int) -> None:
    assert machine.memory.text(machine.memory.number(shelves)) == "shelves"
    assert held(machine) == [("class", "class 'shelves'")]
    assert paths(machine.mounts.sysfs) == ["/sys/class/", "/sys/class/shelves/"]
    again = run(machine, "__class_create", 0, put_text(machine, "shelves"), 0)
    assert again == error_pointer(errno.EEXIST)
    run(machine, "class_destroy", again)
    run(machine, "class_destroy", 0)
    assert len(held(machine)) == 1
    run(machine, "class_destroy", shelves)
    assert (held(machine), paths(machine.mounts.sysfs)) == ([], ["/sys/class/"])
    assert machine.heap.size(shelves) is None


def test_a_class_needs_no_owner_since_6_4(machine: Machine) -> None:
    which = run(machine, "class_create", put_text(machine, "shelves"))
    assert held(machine) == [("class", "class 'shelves'")]
    run(machine, "class_destroy", which)
    assert (held(machine), machine.heap.size(which)) == ([], None)


@pytest.mark.parametrize("register", ["__class_register", "class_register"])
def test_a_class_of_the_modules_own_is_released(machine: Machine, register: str) -> None:
    release = callback(machine)
    name = put_text(machine, "shelves")
    which, second = (put_structure(machine, 120, {0: name, 56: release.address}) for _ in range(2))
    assert run(machine, register, which, 0) == 0
    assert run(machine, register, second, 0) == -errno.EEXIST
    assert held(machine) == [("class", "class 'shelves'")]
    run(machine, "class_unregister", which)
    assert (held(machine), release.calls, release.arguments[0]) == ([], 1, which)
    assert paths(machine.mounts.sysfs) == ["/sys/class/"]
    nameless = put_structure(machine, 120, {})
    assert oops(machine, register, nameless, 0).startswith(NULL_DEREFERENCE)


def test_a_bus_has_places_for_its_devices_and_drivers(machine: Machine) -> None:
    bus, second = (put_structure(machine, 184, {0: put_text(machine, "rail")}) for _ in range(2))
    assert run(machine, "bus_register", bus) == 0
    assert run(machine, "bus_register", second) == -errno.EEXIST
    assert held(machine) == [("bus", "bus 'rail'")]
    run(machine, "device_register", device(machine, "wagon", bus=bus))
    assert [each.removeprefix("/sys/bus/rail/") for each in paths(machine.mounts.sysfs)][2:] == [
        *("devices/", "devices/wagon/", "devices/wagon/uevent", "drivers/"),
    ]
    run(machine, "bus_unregister", bus)
    assert paths(machine.mounts.sysfs) == ["/sys/bus/"]
    assert "bus" not in kinds(machine)


def test_a_bus_that_is_there_has_a_part_of_the_kernels_own(machine: Machine) -> None:
    bus = put_structure(machine, 184, {0: put_text(machine, "rail")})
    assert run(machine, "bus_register", bus) == 0
    part = machine.memory.number(bus + 168)
    assert machine.heap.size(part) == 408
    run(machine, "bus_unregister", bus)
    assert machine.memory.number(bus + 168) == 0
    assert machine.heap.size(part) is None


def test_a_bus_tells_a_notifier_once(machine: Machine) -> None:
    bus, block = put_structure(machine, 176, {}), put_structure(machine, 24, {})
    assert run(machine, "bus_register_notifier", bus, block) == 0
    assert kinds(machine) == ["bus notifier"]
    assert run(machine, "bus_register_notifier", bus, block) == -errno.EEXIST
    assert run(machine, "bus_unregister_notifier", bus, block) == 0
    assert held(machine) == []
    assert run(machine, "bus_unregister_notifier", bus, block) == -errno.ENOENT


def test_a_class_of_old_is_there_until_it_is_unregistered(machine: Machine) -> None:
    which = run(machine, "class_compat_register", put_text(machine, "old"))
    assert held(machine) == [("class", "class 'old'")]
    run(machine, "class_compat_unregister", which)
    assert held(machine) == []
    assert machine.heap.size(which) is None


def test_a_device_that_is_registered_is_shown_and_has_a_node(
    machine: Machine, shelves: int
) -> None:
    board = device(machine, "board", which=shelves)
    machine.memory.put(board + NUMBER, DEVT, 4)
    assert run(machine, "device_register", board) == 0
    assert machine.memory.number(board + REFERENCES, 4) == 2
    assert machine.memory.number(board + INIT_NAME) == 0
    assert machine.memory.text(machine.memory.number(board + NAME)) == "board"
    assert ("device", "device 'board'") in held(machine)
    assert paths(machine.mounts.dev) == ["/dev/board"]
    assert paths(machine.mounts.sysfs)[2:] == [
        *("/sys/class/shelves/board/", "/sys/class/shelves/board/dev"),
        "/sys/class/shelves/board/uevent",
    ]
    run(machine, "device_del", board)
    assert machine.memory.number(board + REFERENCES, 4) == 1
    assert paths(machine.mounts.dev) == []
    assert paths(machine.mounts.sysfs) == ["/sys/class/", "/sys/class/shelves/"]
    assert kinds(machine) == ["class", "name"]
    run(machine, "device_del", board)
    assert machine.memory.number(board + REFERENCES, 4) == 1


def test_a_device_begins_with_one_reference_and_is_added_with_another(machine: Machine) -> None:
    board = device(machine, "board")
    run(machine, "device_initialize", board)
    assert machine.memory.number(board + REFERENCES, 4) == 1
    assert held(machine) == []
    assert run(machine, "device_add", board) == 0
    assert machine.memory.number(board + REFERENCES, 4) == 2


def test_a_device_without_a_class_is_among_all_or_below_its_parent(machine: Machine) -> None:
    above = device(machine, "above")
    run(machine, "device_register", above)
    run(machine, "device_register", device(machine, "below", parent=above))
    assert [each for each in paths(machine.mounts.sysfs) if each.endswith("/")] == [
        *("/sys/devices/", "/sys/devices/above/", "/sys/devices/above/below/"),
    ]


def test_a_slash_in_a_devices_name_is_one_in_its_nodes_path(machine: Machine, shelves: int) -> None:
    assert create(machine, shelves, "snd/timer", DEVT) < error_pointer(4095)
    assert paths(machine.mounts.dev) == ["/dev/snd/timer"]
    assert "/sys/class/shelves/snd!timer/" in paths(machine.mounts.sysfs)


def test_a_devices_name_is_there_and_its_own(machine: Machine, shelves: int) -> None:
    nameless = device(machine, which=shelves)
    run(machine, "device_initialize", nameless)
    assert run(machine, "device_add", nameless) == -errno.EINVAL
    first, second = (device(machine, "board", which=shelves) for _ in range(2))
    assert run(machine, "device_register", first) == 0
    assert run(machine, "device_register", second) == -errno.EEXIST
    assert machine.memory.number(second + REFERENCES, 4) == 1
    assert kinds(machine).count("device") == 1
    assert oops(machine, "device_register", 0).startswith(NULL_DEREFERENCE)


@pytest.mark.parametrize("who", ["device", "type", "class"])
def test_the_last_reference_has_the_device_released_once(
    machine: Machine, shelves: int, who: str
) -> None:
    release = callback(machine)
    words = {"which": shelves}
    if who == "device":
        words["release"] = release.address
    elif who == "type":
        words["type"] = put_structure(machine, 48, {32: release.address})
    else:
        machine.memory.put(shelves + 64, release.address)
    board = device(machine, "board", **words)
    run(machine, "device_register", board)
    assert run(machine, "get_device", board) == board
    run(machine, "device_unregister", board)
    assert release.calls == 0
    run(machine, "put_device", board)
    assert (release.calls, release.arguments[0]) == (1, board)
    assert kinds(machine) == ["class"]


def test_nothing_is_got_or_put_of_no_device(machine: Machine) -> None:
    assert run(machine, "get_device", 0) == 0
    run(machine, "put_device", 0)
    assert oops(machine, "get_device", 64).startswith(NULL_DEREFERENCE)


def test_a_created_device_goes_when_its_number_is_destroyed(machine: Machine, shelves: int) -> None:
    template = put_text(machine, "board%d")
    board = run(machine, "device_create", shelves, 0, DEVT, 0xDADA, template, 7)
    assert machine.memory.text(machine.memory.number(board + NAME)) == "board7"
    words = [machine.memory.number(board + at) for at in (DRIVER_DATA, CLASS)]
    assert words == [0xDADA, shelves]
    assert machine.memory.number(board + NUMBER, 4) == DEVT
    assert kinds(machine) == ["class", "created device", "device", "name"]
    run(machine, "device_destroy", shelves, DEVT + 1)
    assert paths(machine.mounts.dev) == ["/dev/board7"]
    run(machine, "device_destroy", shelves, DEVT)
    assert (kinds(machine), paths(machine.mounts.dev)) == (["class"], [])
    assert machine.heap.size(board) is None
    run(machine, "device_destroy", shelves, DEVT)
    assert kinds(machine) == ["class"]


def test_a_created_device_has_the_files_of_its_groups(machine: Machine, shelves: int) -> None:
    attribute = put_structure(machine, 32, {0: put_text(machine, "level"), 8: 0o644})
    group = put_structure(machine, 40, {24: put_pointers(machine, attribute)})
    groups, template = put_pointers(machine, group), put_text(machine, "board%d%s")
    words = shelves, 0, 0, 0, groups, template, 4, put_text(machine, "x")
    board = run(machine, "device_create_with_groups", *words)
    assert machine.memory.number(board + GROUPS) == groups
    assert paths(machine.mounts.sysfs)[2:] == [
        *("/sys/class/shelves/board4x/", "/sys/class/shelves/board4x/level"),
        "/sys/class/shelves/board4x/uevent",
    ]


@pytest.mark.parametrize("function", ["device_create", "device_create_with_groups"])
def test_a_device_that_cannot_be_created_leaves_nothing(
    machine: Machine, shelves: int, function: str
) -> None:
    create(machine, shelves, "board", DEVT)
    before = held(machine)
    name = put_text(machine, "board")
    rest = (DEVT + 1, 0, *((0, name) if function.endswith("groups") else (name,)))
    assert run(machine, function, shelves, 0, *rest) == error_pointer(errno.EEXIST)
    assert run(machine, function, 0, 0, *rest) == error_pointer(errno.ENODEV)
    assert held(machine) == before
    run(machine, "device_destroy", shelves, DEVT + 1)
    assert paths(machine.mounts.dev) == ["/dev/board"]


def test_a_root_device_is_among_all_devices(machine: Machine) -> None:
    root = run(machine, "__root_device_register", put_text(machine, "pcspkr"), 0)
    assert "/sys/devices/pcspkr/" in paths(machine.mounts.sysfs)
    again = run(machine, "__root_device_register", put_text(machine, "pcspkr"), 0)
    assert again == error_pointer(errno.EEXIST)
    run(machine, "root_device_unregister", root)
    assert (held(machine), paths(machine.mounts.sysfs)) == ([], ["/sys/devices/"])
    assert machine.heap.size(root) is None


def test_a_module_that_goes_without_its_devices_leaves_none_to_be_seen(
    machine: Machine, shelves: int
) -> None:
    board = create(machine, shelves, "board", DEVT)
    unload(machine)
    assert held(machine) == []
    assert (paths(machine.mounts.dev), paths(machine.mounts.sysfs)) == ([], ["/sys/class/"])
    assert machine.heap.size(board) is None
    run(machine, "device_destroy", shelves, DEVT)
    assert run(machine, "__class_create", 0, put_text(machine, "shelves"), 0) < error_pointer(4095)


@pytest.mark.parametrize(
    "function",
    [
        *("bus_for_each_dev", "bus_for_each_drv", "bus_find_device", "class_for_each_device"),
        *("class_find_device", "driver_for_each_device", "driver_find_device", "driver_find"),
        "device_for_each_child",
    ],
)
def test_nobody_is_asked_of_where_there_is_nothing(
    machine: Machine, shelves: int, function: str
) -> None:
    asked = callback(machine, 1)
    assert run(machine, function, shelves, 0, 0, asked.address) == 0
    assert asked.calls == 0


@pytest.mark.parametrize(
    "function", ["bus_rescan_devices", "device_set_wakeup_capable", "device_init_wakeup"]
)
def test_what_no_device_cares_for_succeeds(machine: Machine, function: str) -> None:
    board = device(machine, "board")
    before = machine.memory.read(board, SIZE)
    assert run(machine, function, board, 1) == 0
    assert machine.memory.read(board, SIZE) == before
