# SPDX-License-Identifier: Apache-2.0
"""Device numbers, and the character and misc devices behind them (fs/char_dev.c, char/misc.c)."""

import errno

import pytest

from tests.support.kernel_calls import held, oops, paths, put_structure, put_text, run, unload
from tests.support.machine import ROOM, Machine, new_machine

NUMBER, NAME = ROOM, ROOM + 64
MINORS = 1 << 20
DYNAMIC_MISC = 255
MISC_DYNAMIC_COUNT = 128


@pytest.fixture
def machine() -> Machine:
    made = new_machine()
    made.memory.write(NAME, b"sample\0")
    return made


def device(major: int, minor: int = 0) -> int:
    return major << 20 | minor


def misc(machine: Machine, name: str, minor: int = DYNAMIC_MISC, **fields: int) -> int:
    """Return a ``struct miscdevice``."""
    offsets = {"node_name": 64, "mode": 72}
    words = {offsets[each]: value for each, value in fields.items()}
    return put_structure(machine, 80, {0: minor, 8: put_text(machine, name), **words})


def test_a_dynamic_number_is_written_where_the_caller_says(machine: Machine) -> None:
    assert run(machine, "alloc_chrdev_region", NUMBER, 3, 2, NAME) == 0
    assert machine.memory.number(NUMBER, 4) == device(254, 3)
    assert held(machine) == [("device numbers", "device numbers 254:3 'sample'")]
    run(machine, "unregister_chrdev_region", device(254, 3), 2)
    assert held(machine) == []


def test_dynamic_majors_are_the_kernels_two_ranges_and_then_none(machine: Machine) -> None:
    majors = list[int]()
    while not run(machine, "alloc_chrdev_region", NUMBER, 0, 1, NAME):
        majors.append(machine.memory.number(NUMBER, 4) >> 20)
    assert majors == [*range(254, 233, -1), *range(511, 383, -1)]
    assert run(machine, "alloc_chrdev_region", NUMBER, 0, 1, NAME) == -errno.EBUSY
    assert run(machine, "__register_chrdev", 0, 0, 256, NAME, 0) == -errno.EBUSY


@pytest.mark.parametrize(
    ("first", "count", "code"),
    [
        (0, MINORS, 0),
        (1, MINORS, -errno.EINVAL),
        (MINORS - 1, 2, -errno.EINVAL),
        (0xFFFFFFFF, 0xFFFFFFFF, -errno.EINVAL),
    ],
)
def test_a_major_has_so_many_minors(machine: Machine, first: int, count: int, code: int) -> None:
    machine.memory.put(NUMBER, 7, 4)
    assert run(machine, "alloc_chrdev_region", NUMBER, first, count, NAME) == code
    assert (machine.memory.number(NUMBER, 4) == 7) == bool(code)
    assert bool(held(machine)) == (not code)


@pytest.mark.parametrize(
    ("number", "count", "code"),
    [
        (device(240, 0), 11, -errno.EBUSY),
        (device(240, 13), 1, -errno.EBUSY),
        (device(240, 0), 10, 0),
        (device(240, 14), 4, 0),
        (device(241, 10), 4, 0),
        (device(512), 1, -errno.EINVAL),
    ],
)
def test_numbers_are_taken_once(machine: Machine, number: int, count: int, code: int) -> None:
    assert run(machine, "register_chrdev_region", device(240, 10), 4, NAME) == 0
    assert run(machine, "register_chrdev_region", number, count, NAME) == code


def test_a_range_may_reach_into_the_next_major_and_is_taken_whole_or_not(
    machine: Machine,
) -> None:
    start = device(240, MINORS - 2)
    assert run(machine, "register_chrdev_region", start, 4, NAME) == 0
    assert [name for _, name in held(machine)] == [
        f"device numbers 240:{MINORS - 2} 'sample'",
        "device numbers 241:0 'sample'",
    ]
    run(machine, "unregister_chrdev_region", start, 4)
    assert held(machine) == []
    assert run(machine, "register_chrdev_region", device(241, 1), 1, NAME) == 0
    assert run(machine, "register_chrdev_region", start, 4, NAME) == -errno.EBUSY
    assert len(held(machine)) == 1


def test_numbers_are_given_back_as_they_were_taken(machine: Machine) -> None:
    run(machine, "register_chrdev_region", device(240), 4, NAME)
    for number, count in ((device(240), 3), (device(240, 1), 3), (device(241), 4)):
        run(machine, "unregister_chrdev_region", number, count)
    assert len(held(machine)) == 1
    run(machine, "unregister_chrdev_region", device(240), 4)
    assert held(machine) == []


def test_a_character_device_of_old_returns_the_major_that_it_was_given(machine: Machine) -> None:
    assert run(machine, "__register_chrdev", 0, 0, 256, NAME, 0) == 254
    assert run(machine, "__register_chrdev", 60, 0, 256, NAME, 0) == 0
    assert run(machine, "__register_chrdev", 60, 255, 1, NAME, 0) == -errno.EBUSY
    assert run(machine, "__register_chrdev", 512, 0, 256, NAME, 0) == -errno.EINVAL
    run(machine, "__unregister_chrdev", 254, 0, 256, NAME)
    run(machine, "__unregister_chrdev", 60, 0, 256, NAME)
    assert held(machine) == []


def test_block_devices_have_numbers_of_their_own(machine: Machine) -> None:
    assert run(machine, "__register_chrdev", 60, 0, 256, NAME, 0) == 0
    assert run(machine, "__register_blkdev", 60, NAME, 0) == 0
    assert run(machine, "__register_blkdev", 60, NAME, 0) == -errno.EBUSY
    assert run(machine, "__register_blkdev", 512, NAME, 0) == -errno.EINVAL
    run(machine, "unregister_blkdev", 60, NAME)
    assert len(held(machine)) == 1
    majors = [run(machine, "__register_blkdev", 0, NAME, 0) for _ in range(255)]
    assert majors == [*range(254, 0, -1), -errno.EBUSY]


def test_a_module_that_goes_without_them_leaves_its_numbers_free(machine: Machine) -> None:
    run(machine, "register_chrdev_region", device(240), 4, NAME)
    run(machine, "__register_blkdev", 60, NAME, 0)
    unload(machine)
    assert held(machine) == []
    assert run(machine, "register_chrdev_region", device(240), 4, NAME) == 0
    assert run(machine, "__register_blkdev", 60, NAME, 0) == 0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("alloc_chrdev_region", (NUMBER, 0, 1, 8)),
        ("register_chrdev_region", (device(240), 1, 8)),
        ("__register_chrdev", (240, 0, 1, 8, 0)),
        ("__register_blkdev", (60, 8, 0)),
    ],
)
def test_a_name_that_is_nowhere_is_an_oops(
    machine: Machine, name: str, arguments: tuple[int, ...]
) -> None:
    assert oops(machine, name, *arguments).endswith("address: 0000000000000008")
    assert held(machine) == []


def test_a_cdev_knows_its_operations_and_its_numbers(machine: Machine) -> None:
    cdev = put_structure(machine, 104, {0: 1, 80: 1})
    run(machine, "cdev_init", cdev, ROOM)
    words = {at: machine.memory.number(cdev + at) for at in (0, 72, 80, 88)}
    assert words == {0: 0, 72: ROOM, 80: cdev + 80, 88: cdev + 80}
    assert machine.memory.number(cdev + 56, 4) == 1
    run(machine, "cdev_set_parent", cdev, NUMBER)
    assert machine.memory.number(cdev + 24) == NUMBER
    assert run(machine, "cdev_add", cdev, device(240, 3), 4) == 0
    assert [machine.memory.number(cdev + at, 4) for at in (96, 100)] == [device(240, 3), 4]
    assert held(machine) == [("cdev", "character device 240:3")]
    run(machine, "cdev_del", cdev)
    assert held(machine) == []


def test_a_cdev_that_stands_for_a_whiteout_is_busy(machine: Machine) -> None:
    cdev = put_structure(machine, 104, {})
    assert run(machine, "cdev_add", cdev, 0, 1) == -errno.EBUSY
    assert held(machine) == []


def test_a_cdev_of_the_kernels_own_memory_goes_when_it_is_deleted(machine: Machine) -> None:
    cdev = run(machine, "cdev_alloc")
    assert machine.heap.size(cdev) is not None
    assert held(machine) == [("character device", "character device")]
    run(machine, "cdev_add", cdev, device(240), 1)
    run(machine, "cdev_del", cdev)
    assert machine.heap.size(cdev) is None
    assert held(machine) == []


def test_a_cdev_comes_and_goes_with_its_device(machine: Machine) -> None:
    cdev = put_structure(machine, 104, {})
    owner = put_structure(machine, 752, {80: NAME})
    machine.memory.put(owner + 660, device(240), 4)
    run(machine, "device_initialize", owner)
    assert run(machine, "cdev_device_add", cdev, owner) == 0
    assert {kind for kind, _ in held(machine)} == {"cdev", "device", "name"}
    assert paths(machine.mounts.dev) == ["/dev/sample"]
    run(machine, "cdev_device_del", cdev, owner)
    assert {kind for kind, _ in held(machine)} == {"name"}
    assert paths(machine.mounts.dev) == []


def test_a_cdev_is_not_there_where_its_device_is_not(machine: Machine) -> None:
    cdev, nameless = put_structure(machine, 104, {}), put_structure(machine, 752, {})
    assert run(machine, "cdev_device_add", cdev, nameless) == -errno.EINVAL
    assert held(machine) == []


def test_a_misc_device_has_a_minor_a_node_and_a_device(machine: Machine) -> None:
    watchdog = misc(machine, "watchdog", 130)
    assert run(machine, "misc_register", watchdog) == 0
    assert held(machine) == [("misc device", "misc device 'watchdog'")]
    assert paths(machine.mounts.dev) == ["/dev/watchdog"]
    assert "/sys/class/misc/watchdog/" in paths(machine.mounts.sysfs)
    shown = machine.memory.number(watchdog + 48)
    assert machine.heap.size(shown) is not None
    run(machine, "misc_deregister", watchdog)
    assert (held(machine), paths(machine.mounts.dev)) == ([], [])
    assert "/sys/class/misc/watchdog/" not in paths(machine.mounts.sysfs)
    assert machine.heap.size(shown) is None
    run(machine, "misc_deregister", watchdog)
    assert held(machine) == []


def test_a_misc_device_says_where_its_node_is_and_who_may_open_it(machine: Machine) -> None:
    named = misc(machine, "tun", node_name=put_text(machine, "net/tun"), mode=0o666)
    run(machine, "misc_register", named)
    run(machine, "misc_register", misc(machine, "plain"))
    assert {each.path: each.mode for each in machine.mounts.dev.listing()} == {
        "/dev/net/tun": 0o666,
        "/dev/plain": 0o600,
    }


def test_a_misc_devices_minor_and_name_are_its_own(machine: Machine) -> None:
    assert run(machine, "misc_register", misc(machine, "one", 130)) == 0
    assert run(machine, "misc_register", misc(machine, "two", 130)) == -errno.EBUSY
    second = misc(machine, "one")
    assert run(machine, "misc_register", second) == -errno.EEXIST
    assert machine.memory.number(second, 4) == DYNAMIC_MISC
    assert run(machine, "misc_register", misc(machine, "three")) == 0
    assert len(held(machine)) == 2


def test_dynamic_minors_go_down_from_127_and_are_used_again(machine: Machine) -> None:
    devices = [misc(machine, f"m{each}") for each in range(MISC_DYNAMIC_COUNT + 1)]
    codes = [run(machine, "misc_register", each) for each in devices]
    assert codes == [0] * MISC_DYNAMIC_COUNT + [-errno.EBUSY]
    minors = [machine.memory.number(each, 4) for each in devices]
    assert minors == [*range(127, -1, -1), DYNAMIC_MISC]
    run(machine, "misc_deregister", devices[5])
    assert run(machine, "misc_register", devices[-1]) == 0
    assert machine.memory.number(devices[-1], 4) == minors[5]


def test_a_module_that_goes_without_it_leaves_the_minor_of_its_misc_device(
    machine: Machine,
) -> None:
    run(machine, "misc_register", misc(machine, "one", 130))
    unload(machine)
    assert (held(machine), paths(machine.mounts.dev)) == ([], [])
    assert run(machine, "misc_register", misc(machine, "one", 130)) == 0
