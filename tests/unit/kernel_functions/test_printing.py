# SPDX-License-Identifier: Apache-2.0
"""printk and its kin (kernel/printk, lib/vsprintf.c, drivers/base/core.c, lib/ratelimit.c)."""

import errno

import pytest

from kmodd.kernel.emulated.machine.clock import HZ
from kmodd.kernel.emulated.reporting.log import Level
from tests.support.kernel_calls import Crash, oops, put_arguments, put_text, run
from tests.support.machine import ROOM, Machine, new_machine

FORMAT, BUFFER, DEVICE, OTHER, LIST = (ROOM + at for at in (0, 4096, 8192, 12288, 16384))
INIT_NAME, BUS, DRIVER, CLASS = 80, 96, 104, 688
"""Offsets in ``struct device``."""

EPROBE_DEFER = 517
ABOUT_DEVICES = """
    _dev_emerg _dev_alert _dev_crit _dev_err _dev_warn _dev_notice _dev_info
"""
ABOUT_INTERFACES = """
    netdev_emerg netdev_alert netdev_crit netdev_err netdev_warn netdev_notice netdev_info
"""
"""By their levels, from 0 on."""


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What the machine logs: the level, and the text as it was handed over."""
    lines = list[tuple[int, str]]()

    def note(_log: object, level: Level, text: str, *, is_continuation: bool = False) -> None:
        lines.append((-1 if is_continuation else level, text))

    monkeypatch.setattr("kmodd.kernel.emulated.machine.log_lines.LogLines.write", note)
    return lines


@pytest.mark.parametrize(
    ("template", "level", "text"),
    [
        (b"\x016%d of %s\n", Level.INFO, "7 of it\n"),
        (b"\x010%d\n", Level.EMERG, "7\n"),
        (b"%d\n", Level.WARNING, "7\n"),
        (b"\x019%d", Level.WARNING, "7"),
        (b"\x01c%d\n", -1, "7\n"),
    ],
)
def test_printk_logs_at_the_level_that_its_format_begins_with(
    logged: list[tuple[int, str]], template: bytes, level: int, text: str
) -> None:
    machine, word = new_machine(), ROOM + 256
    put_text(machine, b"it", word)
    put_text(machine, template, FORMAT)
    length = len(text.removesuffix("\n"))
    assert run(machine, "_printk", FORMAT, 7, word) == length
    assert run(machine, "vprintk", FORMAT, put_arguments(machine, LIST, 7, word)) == length
    assert logged == [(level, text)] * 2


def test_a_line_that_is_not_over_is_logged_with_its_continuation() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    put_text(machine, b"one ", FORMAT)
    put_text(machine, b"\x01ctwo\n", OTHER)
    with machine.running("sample"):
        machine.invoke(machine.kernel_symbols.address("_printk"), FORMAT)
        machine.invoke(machine.kernel_symbols.address("_printk"), OTHER)
    assert lines == ["one two"]


def test_a_warning_is_cut_out(logged: list[tuple[int, str]]) -> None:
    machine = new_machine()
    run(machine, "__warn_printk", put_text(machine, b"so %d\n", FORMAT), 3)
    assert logged == [
        (Level.WARNING, "------------[ cut here ]------------\n"),
        (Level.WARNING, "so 3\n"),
    ]


def test_a_panic_ends_who_calls_it() -> None:
    machine = new_machine()
    with pytest.raises(Crash, match=r"Kernel panic - not syncing: no 3"):
        run(machine, "panic", put_text(machine, b"no %d", FORMAT), 3)


def test_what_would_go_beyond_an_object_ends_who_does_it() -> None:
    machine = new_machine()
    why = oops(machine, "fortify_panic", put_text(machine, b"memcpy", FORMAT))
    assert why == "detected buffer overflow in memcpy"
    for reason, how in ((16, "read"), (17, "write")):
        why = oops(machine, "__fortify_panic", reason, 4, 8)
        assert why == f"detected buffer overflow: 8 byte {how} of buffer size 4"


def device(machine: Machine, **pointers: int) -> int:
    """Make a device of the name "thing", with these pointers to what has names."""
    machine.memory.put(DEVICE + INIT_NAME, put_text(machine, b"thing", OTHER))
    for offset, name in pointers.items():
        place = OTHER + 256 + name
        machine.memory.put(place, put_text(machine, offset.encode(), place + 64))
        machine.memory.put(DEVICE + {"driver": DRIVER, "bus": BUS, "class": CLASS}[offset], place)
    return DEVICE


@pytest.mark.parametrize(("level", "name"), tuple(enumerate(ABOUT_DEVICES.split())))
def test_a_message_about_a_device_begins_with_its_driver_and_its_name(
    logged: list[tuple[int, str]], level: int, name: str
) -> None:
    machine = new_machine()
    put_text(machine, b"is %d\n", FORMAT)
    made = device(machine, driver=0, bus=128)
    run(machine, name, made, FORMAT, 5)
    run(machine, "_dev_printk", put_text(machine, b"\x01%d" % level, BUFFER), made, FORMAT, 5)
    run(machine, name, 0, FORMAT, 5)
    assert logged == [
        (level, "driver thing: is 5\n"),
        (level, "driver thing: is 5\n"),
        (level, "(NULL device *): is 5\n"),
    ]


@pytest.mark.parametrize(
    ("pointers", "before"),
    [({"bus": 0, "class": 128}, "bus"), ({"class": 0}, "class"), ({}, "")],
)
def test_a_device_without_a_driver_is_known_by_its_bus_or_its_class(
    logged: list[tuple[int, str]], pointers: dict[str, int], before: str
) -> None:
    machine = new_machine()
    run(machine, "_dev_info", device(machine, **pointers), put_text(machine, b"is\n", FORMAT))
    assert logged == [(Level.INFO, f"{before} thing: is\n")]


@pytest.mark.parametrize(("level", "name"), tuple(enumerate(ABOUT_INTERFACES.split())))
def test_a_message_about_an_interface_begins_with_its_name(
    logged: list[tuple[int, str]], level: int, name: str
) -> None:
    machine = new_machine()
    put_text(machine, b"is %d\n", FORMAT)
    put_text(machine, b"eth0", DEVICE)
    run(machine, name, DEVICE, FORMAT, 5)
    run(machine, name, 0, FORMAT, 5)
    assert logged == [(level, "eth0: is 5\n"), (level, "(NULL net_device): is 5\n")]


def test_a_probe_that_fails_says_why_and_returns_that(logged: list[tuple[int, str]]) -> None:
    machine = new_machine()
    made = device(machine, driver=0)
    put_text(machine, b"no %d\n", FORMAT)
    codes = (-errno.ENODEV, -4000, -EPROBE_DEFER)
    assert [run(machine, "dev_err_probe", made, code, FORMAT, 7) for code in codes] == list(codes)
    assert logged == [
        (Level.ERR, "driver thing: error -ENODEV: no 7\n"),
        (Level.ERR, "driver thing: error -4000: no 7\n"),
    ]


WHOLE = ("snprintf", "vsnprintf")
STORED = ("scnprintf", "vscnprintf")


@pytest.mark.parametrize(
    ("names", "size", "result", "stored"),
    [
        (WHOLE, 16, 6, b"no 123\0#"),
        (WHOLE, 7, 6, b"no 123\0#"),
        (WHOLE, 4, 6, b"no \0####"),
        (WHOLE, 0, 6, b"########"),
        (WHOLE, 1 << 31, 0, b"########"),
        (STORED, 16, 6, b"no 123\0#"),
        (STORED, 4, 3, b"no \0####"),
        (STORED, 1, 0, b"\0#######"),
        (STORED, 0, 0, b"########"),
    ],
)
def test_a_text_is_printed_as_far_as_there_is_room(
    names: tuple[str, ...], size: int, result: int, stored: bytes
) -> None:
    machine = new_machine()
    put_text(machine, b"no %d", FORMAT)
    for name, argument in zip(names, (123, put_arguments(machine, LIST, 123)), strict=True):
        machine.memory.write(BUFFER, b"########")
        assert run(machine, name, BUFFER, size, FORMAT, argument) == result
        assert machine.memory.read(BUFFER, 8) == stored


def test_sprintf_takes_all_the_room_there_is() -> None:
    machine = new_machine()
    put_text(machine, b"%s-%lx-%u-%c-%d-%d", FORMAT)
    put_text(machine, b"long", OTHER)
    # What does not fit into registers is on the stack.
    arguments = (OTHER, 1 << 40, (1 << 32) - 1, ord("x"), -1, -2)
    expected = b"long-10000000000-4294967295-x--1--2"
    assert run(machine, "sprintf", BUFFER, FORMAT, *arguments) == len(expected)
    assert machine.memory.string(BUFFER) == expected


def test_a_file_of_sysfs_is_a_page() -> None:
    machine = new_machine()
    put_text(machine, b"%d,", FORMAT)
    assert run(machine, "sysfs_emit", BUFFER, FORMAT, 123) == 4
    assert run(machine, "sysfs_emit_at", BUFFER, 4, FORMAT, 45) == 3
    assert machine.memory.string(BUFFER) == b"123,45,"
    assert run(machine, "sysfs_emit_at", BUFFER, 4094, FORMAT, 45) == 1
    assert machine.memory.read(BUFFER + 4094, 3) == b"4\0\0"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("sysfs_emit", (0,)),
        ("sysfs_emit", (BUFFER + 8,)),
        ("sysfs_emit_at", (0, 0)),
        ("sysfs_emit_at", (BUFFER, 4096)),
        ("sysfs_emit_at", (BUFFER, -1)),
    ],
)
def test_what_is_no_page_of_sysfs_is_not_written(name: str, arguments: tuple[int, ...]) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    put_text(machine, b"text", FORMAT)
    assert run(machine, name, *arguments, FORMAT) == 0
    assert [line.partition(":")[0] for line in lines] == ["invalid sysfs_emit"]
    assert machine.memory.read(BUFFER, 16) == bytes(16)


def test_messages_beyond_the_burst_wait_for_the_next_interval() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    machine.memory.put(ROOM + 4, 5 * HZ, 4)
    machine.memory.put(ROOM + 8, 3, 4)
    put_text(machine, b"caller", OTHER)
    passed = [run(machine, "___ratelimit", ROOM, OTHER) for _ in range(5)]
    assert (passed, lines) == ([1, 1, 1, 0, 0], [])
    machine.clock.advance(5 * HZ + 1)
    assert run(machine, "___ratelimit", ROOM, OTHER) == 1
    assert lines == ["caller: 2 callbacks suppressed"]


def test_messages_without_an_interval_are_all_let_through() -> None:
    machine = new_machine()
    assert [run(machine, "___ratelimit", ROOM, OTHER) for _ in range(20)] == [1] * 20


def test_all_of_the_kernel_shares_ten_messages_in_five_seconds() -> None:
    machine = new_machine()
    put_text(machine, b"caller", OTHER)
    passed = [run(machine, "__printk_ratelimit", OTHER) for _ in range(12)]
    assert passed == [1] * 10 + [0] * 2
    machine.clock.advance(5 * HZ + 1)
    assert run(machine, "__printk_ratelimit", OTHER) == 1


@pytest.mark.parametrize(
    "name",
    [
        "__dynamic_pr_debug",
        "__dynamic_dev_dbg",
        "__dynamic_netdev_dbg",
        "__dynamic_ibdev_dbg",
        "__drm_dev_dbg",
        "___drm_dbg",
    ],
)
def test_what_is_for_debugging_is_not_in_the_log(name: str) -> None:
    check_silent(name)


@pytest.mark.parametrize("name", ["dump_stack", "dump_page"])
def test_a_dump_is_left_out_of_the_log(name: str) -> None:
    check_silent(name)


@pytest.mark.parametrize(
    ("kind", "row", "group", "size", "ascii_too", "lines"),
    [
        (2, 16, 1, 18, 1, [
            "dump: 00000000: 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f 50  ABCDEFGHIJKLMNOP",
            "dump: 00000010: 51 00                                            Q.",
        ]),
        (0, 32, 1, 3, 0, ["dump: 41 42 43"]),
        (0, 16, 4, 8, 1, ["dump: 44434241 48474645                    ABCDEFGH"]),
        (0, 5, 8, 4, 0, ["dump: 41 42 43 44"]),
        (0, 16, 8, 16, 0, ["dump: 4847464544434241 504f4e4d4c4b4a49"]),
        (2, 16, 1, 0, 1, []),
    ],
)  # fmt: skip
def test_a_dump_has_rows_of_numbers_and_what_they_are_as_text(
    kind: int, row: int, group: int, size: int, ascii_too: int, lines: list[str]
) -> None:
    logged = list[str]()
    machine = new_machine(logged)
    put_text(machine, b"\x016", FORMAT)
    put_text(machine, b"dump: ", OTHER)
    machine.memory.write(BUFFER, b"ABCDEFGHIJKLMNOPQ\0")
    run(machine, "print_hex_dump", FORMAT, OTHER, kind, row, group, BUFFER, size, ascii_too)
    assert logged == lines


def test_a_dump_with_addresses_shows_none_and_ends_somewhere() -> None:
    logged = list[str]()
    machine = new_machine(logged)
    data = run(machine, "vzalloc", 2 << 20)
    run(machine, "print_hex_dump", FORMAT, FORMAT, 1, 16, 1, data, 2 << 20, 0)
    assert len(logged) == (64 << 10) // 16
    assert f"{data:x}" not in logged[0]
    assert logged[0].endswith(": " + " ".join(["00"] * 16))
    with pytest.raises(Crash):
        run(machine, "print_hex_dump", FORMAT, FORMAT, 1, 16, 1, 8, 16, 0)


def check_silent(name: str) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    put_text(machine, b"text\n", FORMAT)
    assert run(machine, name, *[FORMAT] * 6) == 0
    assert lines == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("_printk", (8,)), ("snprintf", (8, 4, FORMAT)), ("_dev_info", (DEVICE, 8))],
)
def test_a_pointer_to_nowhere_is_an_oops(name: str, arguments: tuple[int, ...]) -> None:
    with pytest.raises(Crash, match="address: 0000000000000008"):
        run(new_machine(), name, *arguments)
