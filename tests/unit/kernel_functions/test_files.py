# SPDX-License-Identifier: Apache-2.0
"""Entries of /proc and debugfs (fs/proc/generic.c, fs/debugfs/inode.c)."""

import errno

import pytest

from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    error_pointer,
    held,
    oops,
    paths,
    put_text,
    run,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine

PROC_DIRECTORIES = ["proc_mkdir", "proc_mkdir_data", "_proc_mkdir", "proc_mkdir_mode"]
PROC_FILES = [
    *("proc_create", "proc_create_data", "proc_create_seq_private", "proc_create_single_data"),
    *("proc_create_net_data", "proc_create_net_data_write", "proc_create_net_single"),
    "proc_create_net_single_write",
]
DEBUG_FILES = [
    *("debugfs_create_file", "debugfs_create_file_unsafe", "debugfs_create_blob"),
    *("debugfs_create_file_full", "debugfs_create_file_short"),
]
DEBUG_VALUES = [
    *("debugfs_create_u8", "debugfs_create_u16", "debugfs_create_u32", "debugfs_create_u64"),
    *("debugfs_create_x8", "debugfs_create_x16", "debugfs_create_x32", "debugfs_create_x64"),
    *("debugfs_create_ulong", "debugfs_create_size_t", "debugfs_create_atomic_t"),
    "debugfs_create_bool",
]
NET, NET_STATISTICS = 168, 176
"""Where a name space has its directories in /proc."""

NAME_MAX = 255


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def mkdir(machine: Machine, name: str, parent: int = 0) -> int:
    return run(machine, "proc_mkdir", put_text(machine, name), parent)


def proc_file(
    machine: Machine, name: str, parent: int = 0, *, mode: int = 0, by: str = "proc_create"
) -> int:
    return run(machine, by, put_text(machine, name), mode, parent, ROOM, 0, 0)


def debug_file(
    machine: Machine, name: str, parent: int = 0, *, mode: int = 0o644, by: str = DEBUG_FILES[0]
) -> int:
    return run(machine, by, put_text(machine, name), mode, parent, ROOM, ROOM)


def debug_directory(machine: Machine, name: str, parent: int = 0) -> int:
    return run(machine, "debugfs_create_dir", put_text(machine, name), parent)


def modes(machine: Machine) -> dict[str, int]:
    listing = (*machine.mounts.proc.listing(), *machine.mounts.debugfs.listing())
    return {each.path: each.mode for each in listing}


@pytest.mark.parametrize("function", PROC_FILES)
@pytest.mark.parametrize(("mode", "shown"), [(0, 0o444), (0o640, 0o640), (0o100600, 0o600)])
def test_a_file_in_proc_can_be_read_by_all_where_nothing_else_is_said(
    machine: Machine, function: str, mode: int, shown: int
) -> None:
    above = mkdir(machine, "sample")
    entry = proc_file(machine, "state", above, mode=mode, by=function)
    assert modes(machine)["/proc/sample/state"] == shown
    assert ("proc entry", "/proc/sample/state") in held(machine)
    run(machine, "proc_remove", entry)
    assert paths(machine.mounts.proc) == ["/proc/sample/"]
    assert held(machine) == [("proc entry", "/proc/sample")]


@pytest.mark.parametrize("function", PROC_DIRECTORIES)
def test_a_directory_in_proc_goes_with_all_that_is_below(machine: Machine, function: str) -> None:
    rest = (0,) if function == "proc_mkdir" else (0o700, 0)
    above = run(machine, function, put_text(machine, "sample"), *rest)
    assert modes(machine) == {"/proc/sample": 0o555 if function == "proc_mkdir" else 0o700}
    below = proc_file(machine, "state", mkdir(machine, "deep", above))
    run(machine, "proc_remove", above)
    assert (paths(machine.mounts.proc), held(machine)) == ([], [])
    assert machine.heap.size(below) is None
    run(machine, "proc_remove", above)
    run(machine, "proc_remove", 0)


@pytest.mark.parametrize("function", PROC_DIRECTORIES[1:])
def test_a_directory_without_a_mode_is_open_to_all(machine: Machine, function: str) -> None:
    run(machine, function, put_text(machine, "sample"), 0, 0)
    assert modes(machine) == {"/proc/sample": 0o555}


def test_tens_of_thousands_of_entries_go_with_their_module(machine: Machine) -> None:
    count = 25_000
    for number in range(count):
        mkdir(machine, f"entry{number}")
    assert len(unload(machine)) == count
    assert paths(machine.mounts.proc) == []


def test_a_link_in_proc_is_open_to_all(machine: Machine) -> None:
    words = put_text(machine, "here"), 0, put_text(machine, "there")
    assert run(machine, "proc_symlink", *words) != 0
    assert modes(machine) == {"/proc/here": 0o777}
    assert run(machine, "proc_symlink", *words) == 0


@pytest.mark.parametrize("make", [*PROC_FILES, *PROC_DIRECTORIES])
@pytest.mark.parametrize(
    "name",
    [
        *("taken", "fs/taken", "sample/taken", "nowhere/state", "sample/deep/state", ""),
        *(".", "..", "sample/", "x" * (NAME_MAX + 1), "0", "12"),
    ],
)
def test_what_cannot_be_in_proc_is_null(make: str, name: str) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    above = mkdir(machine, "sample")
    for entry in ("taken", "fs/taken"):
        proc_file(machine, entry)
    proc_file(machine, "taken", above)
    before = paths(machine.mounts.proc)
    rest = (0,) if make == "proc_mkdir" else (0, 0)
    assert run(machine, make, put_text(machine, name), *rest, ROOM) == 0
    assert paths(machine.mounts.proc) == before
    assert len(held(machine)) == 4
    assert len(lines) == 1


@pytest.mark.parametrize("name", ["driver/state", "sample/state", "x" * NAME_MAX, "01", "1x"])
def test_a_name_in_proc_may_lead_through_what_is_there(machine: Machine, name: str) -> None:
    mkdir(machine, "sample")
    assert proc_file(machine, name) != 0
    assert f"/proc/{name}" in paths(machine.mounts.proc)


def test_a_name_of_digits_is_no_process_below_a_directory(machine: Machine) -> None:
    assert proc_file(machine, "12", mkdir(machine, "irqs")) != 0


def test_a_name_space_has_its_own_directories_in_proc(machine: Machine) -> None:
    space = machine.kernel_symbols.address("init_net")
    for name, offset in (("one", 0), ("one", NET), ("one", NET_STATISTICS)):
        parent = machine.memory.number(space + offset) if offset else 0
        assert proc_file(machine, name, parent) != 0
    files = [each for each in paths(machine.mounts.proc) if not each.endswith("/")]
    assert files == ["/proc/net/one", "/proc/net/stat/one", "/proc/one"]
    net = machine.memory.number(space + NET)
    run(machine, "remove_proc_entry", put_text(machine, "one"), net)
    assert "/proc/net/one" not in paths(machine.mounts.proc)


@pytest.mark.parametrize("function", ["remove_proc_entry", "remove_proc_subtree"])
def test_an_entry_in_proc_is_removed_by_its_name(machine: Machine, function: str) -> None:
    above = mkdir(machine, "sample")
    proc_file(machine, "state", above)
    proc_file(machine, "fs/own")
    assert run(machine, function, put_text(machine, "state"), above) == 0
    assert run(machine, function, put_text(machine, "fs/own"), 0) == 0
    assert paths(machine.mounts.proc) == ["/proc/sample/"]
    proc_file(machine, "state", above)
    assert run(machine, function, put_text(machine, "sample"), 0) == 0
    assert (paths(machine.mounts.proc), held(machine)) == ([], [])
    missing = run(machine, function, put_text(machine, "sample"), 0)
    assert missing == (-errno.ENOENT if function == "remove_proc_subtree" else 0)


@pytest.mark.parametrize("function", ["proc_set_size", "proc_set_user"])
def test_the_size_and_the_owner_of_an_entry_are_nobodys_affair(
    machine: Machine, function: str
) -> None:
    entry = proc_file(machine, "state")
    before = machine.memory.read(entry, 64)
    assert run(machine, function, entry, 7, 7) == 0
    assert machine.memory.read(entry, 64) == before


@pytest.mark.parametrize("function", DEBUG_FILES)
def test_a_file_in_debugfs_is_there_once_until_it_is_removed(
    machine: Machine, function: str
) -> None:
    above = debug_directory(machine, "sample")
    entry = debug_file(machine, "state", above, mode=0o640, by=function)
    assert modes(machine)["/sys/kernel/debug/sample/state"] == 0o640
    assert ("debugfs entry", "/sys/kernel/debug/sample/state") in held(machine)
    again = debug_file(machine, "state", above, by=function)
    assert again == error_pointer(errno.EEXIST)
    run(machine, "debugfs_remove", entry)
    assert paths(machine.mounts.debugfs) == ["/sys/kernel/debug/sample/"]
    run(machine, "debugfs_remove", above)
    assert (paths(machine.mounts.debugfs), held(machine)) == ([], [])


@pytest.mark.parametrize("function", DEBUG_VALUES)
def test_a_value_in_debugfs_has_a_file(machine: Machine, function: str) -> None:
    above = debug_directory(machine, "sample")
    debug_file(machine, "value", above, mode=0o444, by=function)
    debug_file(machine, "value", above, mode=0o666, by=function)
    debug_file(machine, "lost", error_pointer(errno.EEXIST), by=function)
    assert modes(machine)["/sys/kernel/debug/sample/value"] == 0o444
    assert len(held(machine)) == 2
    run(machine, "debugfs_remove", above)
    assert held(machine) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_what_cannot_be_in_debugfs_is_an_error(machine: Machine, name: str) -> None:
    denied = error_pointer(errno.EACCES)
    assert debug_file(machine, name) == denied
    assert debug_directory(machine, name) == denied
    too_long = error_pointer(errno.ENAMETOOLONG)
    assert debug_file(machine, "x" * (NAME_MAX + 1)) == too_long
    assert (paths(machine.mounts.debugfs), held(machine)) == ([], [])


def test_a_directory_in_debugfs_is_there_once_and_an_error_has_nothing_below(
    machine: Machine,
) -> None:
    assert modes(machine) == {}
    debug_directory(machine, "sample")
    assert modes(machine) == {"/sys/kernel/debug/sample": 0o755}
    again = debug_directory(machine, "sample")
    assert again == error_pointer(errno.EEXIST)
    assert debug_directory(machine, "deep", again) == again
    assert debug_file(machine, "state", again) == again
    assert len(held(machine)) == 1


def test_an_entry_in_debugfs_is_found_by_its_name(machine: Machine) -> None:
    above = debug_directory(machine, "sample")
    entry = debug_file(machine, "state", above)
    state = put_text(machine, "state")
    assert run(machine, "debugfs_lookup", state, above) == entry
    assert run(machine, "debugfs_lookup", put_text(machine, "sample"), 0) == above
    assert run(machine, "debugfs_lookup", state, 0) == 0
    assert run(machine, "debugfs_lookup", put_text(machine, "sample/state"), 0) == 0
    nowhere = error_pointer(errno.EEXIST)
    assert run(machine, "debugfs_lookup", put_text(machine, "sample"), nowhere) == 0
    run(machine, "debugfs_lookup_and_remove", state, 0)
    assert len(held(machine)) == 2
    run(machine, "debugfs_lookup_and_remove", state, above)
    assert paths(machine.mounts.debugfs) == ["/sys/kernel/debug/sample/"]


def test_nothing_is_removed_from_debugfs_of_nothing(machine: Machine) -> None:
    debug_directory(machine, "sample")
    for entry in (0, error_pointer(errno.EEXIST)):
        run(machine, "debugfs_remove", entry)
    assert len(held(machine)) == 1
    assert run(machine, "debugfs_initialized") == 1


@pytest.mark.parametrize(
    ("size", "count", "is_open"),
    [(4096, 8, True), (0, 8, False), (4096, 0, False), (1 << 31, 2, False)],
)
def test_a_relay_channel_has_buffers(
    machine: Machine, size: int, count: int, is_open: bool
) -> None:
    channel = run(machine, "relay_open", put_text(machine, "trace"), 0, size, count, ROOM, 0)
    assert (channel != 0) == is_open
    assert [kind for kind, _ in held(machine)] == ["relay channel"] * is_open
    run(machine, "relay_close", channel)
    run(machine, "relay_close", channel)
    assert held(machine) == []


@pytest.mark.parametrize(
    "function", ["proc_mkdir", "proc_create", "debugfs_create_dir", "debugfs_lookup"]
)
def test_a_name_that_is_nowhere_is_an_oops(machine: Machine, function: str) -> None:
    assert oops(machine, function, 8, 0, 0, ROOM).startswith(NULL_DEREFERENCE)
    assert held(machine) == []


def test_a_module_that_goes_without_its_entries_leaves_none_to_be_seen(
    machine: Machine,
) -> None:
    entry = proc_file(machine, "state", mkdir(machine, "sample"))
    debug_file(machine, "state", debug_directory(machine, "sample"))
    unload(machine)
    assert (paths(machine.mounts.proc), paths(machine.mounts.debugfs), held(machine)) == (
        [],
        [],
        [],
    )
    assert machine.heap.size(entry) is None
    assert mkdir(machine, "sample") != 0
    assert debug_directory(machine, "sample") < error_pointer(4095)
