# SPDX-License-Identifier: Apache-2.0
"""Tables of settings in /proc/sys (fs/proc/proc_sysctl.c)."""

import struct

import pytest

from tests.support.kernel_calls import NULL_DEREFERENCE, held, oops, put_text, run, unload
from tests.support.machine import ROOM, Machine, new_machine

HANDLER, DIRECTORY = ROOM, ROOM + 64
REGISTERS = [
    *("register_sysctl", "register_net_sysctl", "register_sysctl_table"),
    *("register_sysctl_sz", "register_net_sysctl_sz"),
]


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def table(
    machine: Machine, *names: str, mode: int = 0o644, child: int = 0, handler: int = HANDLER
) -> int:
    """Return an array of ``struct ctl_table``."""
    layout = "<2QiHxxQQ24x"
    rows = [(put_text(machine, each), 0, 0, mode, child, handler) for each in names]
    data = b"".join(struct.pack(layout, *row) for row in rows) + bytes(64)
    address = machine.heap.allocate(len(data))
    machine.memory.write(address, data)
    return address


def register(
    machine: Machine, function: str, settings: int, path: str = "net/sample", count: int = 99
) -> int:
    if function == "register_sysctl_table":
        return run(machine, function, settings)
    before = (0,) if "_net_" in function else ()
    return run(machine, function, *before, put_text(machine, path), settings, count)


@pytest.mark.parametrize("function", REGISTERS)
@pytest.mark.parametrize("end", ["unregister_sysctl_table", "unregister_net_sysctl_table"])
def test_a_tables_header_is_on_the_account_until_it_is_unregistered(
    machine: Machine, function: str, end: str
) -> None:
    settings = table(machine, "one", "two")
    header = register(machine, function, settings)
    assert [machine.memory.number(header + at) for at in (0, 32)] == [settings, settings]
    ((kind, name),) = held(machine)
    assert kind == "sysctl table"
    assert name.endswith("'net/sample'") == (function != "register_sysctl_table")
    run(machine, end, header)
    assert held(machine) == []
    assert machine.heap.size(header) is None
    run(machine, end, header)
    run(machine, end, 0)
    assert register(machine, function, settings) != 0


@pytest.mark.parametrize("function", ["register_sysctl_sz", "register_net_sysctl_sz"])
def test_of_a_table_with_a_size_no_more_is_taken(machine: Machine, function: str) -> None:
    settings = table(machine, "one", "two")
    register(machine, function, settings, count=1)
    assert register(machine, "register_sysctl", settings) == 0
    assert register(machine, "register_sysctl", table(machine, "two")) != 0


@pytest.mark.parametrize("function", REGISTERS)
def test_a_setting_is_there_once(function: str) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    first = register(machine, function, table(machine, "one"))
    assert first != 0
    assert register(machine, function, table(machine, "two", "one")) == 0
    assert (len(held(machine)), len(lines)) == (1, 1)
    assert register(machine, function, table(machine, "two")) != 0


def test_a_setting_of_the_same_name_may_be_elsewhere(machine: Machine) -> None:
    settings = table(machine, "one")
    assert register(machine, "register_sysctl", settings, "net/a") != 0
    assert register(machine, "register_sysctl", settings, "net/b") != 0


@pytest.mark.parametrize("function", REGISTERS)
@pytest.mark.parametrize("wrong", [{"mode": 0o755}, {"mode": 0o4644}, {"handler": 0}])
def test_a_setting_that_cannot_be_is_refused(
    machine: Machine, function: str, wrong: dict[str, int]
) -> None:
    assert register(machine, function, table(machine, "one", **wrong)) == 0
    assert held(machine) == []


def test_a_directory_may_have_any_mode_and_no_handler(machine: Machine) -> None:
    settings = table(machine, "sub", mode=0o555, child=DIRECTORY, handler=0)
    assert run(machine, "register_sysctl_table", settings) != 0


@pytest.mark.parametrize("function", REGISTERS)
def test_a_table_that_is_nowhere_is_an_oops(machine: Machine, function: str) -> None:
    with_path = (put_text(machine, "net"),) * (function != "register_sysctl_table")
    before = (0,) if "_net_" in function else ()
    assert oops(machine, function, *before, *with_path, 8, 1).startswith(NULL_DEREFERENCE)
    assert held(machine) == []


def test_a_module_that_goes_without_its_table_leaves_the_names_free(machine: Machine) -> None:
    header = register(machine, "register_sysctl", table(machine, "one"))
    unload(machine)
    assert held(machine) == []
    assert machine.heap.size(header) is None
    assert register(machine, "register_sysctl", table(machine, "one")) != 0
