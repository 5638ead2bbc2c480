# SPDX-License-Identifier: Apache-2.0
"""Network devices and types of link (net/core/dev.c, net/core/rtnetlink.c)."""

import errno

import pytest

from kmodd.kernel.emulated.abi.structures import NET_DEVICE
from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    callback,
    held,
    laid_out,
    oops,
    paths,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine

NAME, OPERATIONS, IS_FREED, DESTRUCTOR, SPACE, LINK = 0, 208, 1260, 1264, 1280, 2128
SIZE = 2432
REGISTERS = ["register_netdev", "register_netdevice"]
UNREGISTERS = ["unregister_netdev", "unregister_netdevice_queue"]
LINK_REGISTERS = ["rtnl_link_register", "__rtnl_link_register"]
LINK_UNREGISTERS = ["rtnl_link_unregister", "__rtnl_link_unregister"]
VALID = [("eth0", True), ("a.b-c_d", True), ("x" * 15, True), ("...", True), ("eth%d", True)]
INVALID = [
    (each, False) for each in ("", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\xa0", "x" * 16)
]


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def allocate(machine: Machine, name: str, setup: int = 0, private: int = 0) -> int:
    return run(machine, "alloc_netdev_mqs", private, put_text(machine, name), 0, setup, 1, 1)


def registered(machine: Machine, name: str) -> int:
    device = allocate(machine, name)
    assert run(machine, "register_netdev", device) == 0
    return device


def name_of(machine: Machine, device: int) -> str:
    return machine.memory.text(device + NAME, 16)


def kinds(machine: Machine) -> list[str]:
    return sorted(kind for kind, _ in held(machine))


def link_type(machine: Machine, kind: str) -> int:
    """Return a ``struct rtnl_link_ops``."""
    return put_structure(machine, 208, {16: put_text(machine, kind)})


def test_a_device_is_set_up_and_has_room_for_its_driver(machine: Machine) -> None:
    setup = callback(machine)
    device = allocate(machine, "dummy%d", setup.address, 100)
    assert (setup.calls, setup.arguments[0]) == (1, device)
    size = machine.heap.size(device)
    assert size is not None
    assert size >= SIZE + 100
    assert name_of(machine, device) == "dummy%d"
    assert kinds(machine) == ["network device"]
    run(machine, "free_netdev", device)
    assert (held(machine), machine.heap.size(device)) == ([], None)
    run(machine, "free_netdev", device)


def test_a_device_says_how_large_its_drivers_part_is_since_6_13(machine: Machine) -> None:
    with laid_out(NET_DEVICE, private_size=2000):
        device = allocate(machine, "dummy%d", 0, 100)
    assert machine.memory.number(device + 2000, 4) == 100


@pytest.mark.parametrize("queues", [(0, 1), (1, 0), (0, 0), (1 << 32, 1)])
def test_a_device_without_queues_is_null(queues: tuple[int, int]) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    arguments = 0, put_text(machine, "dummy0"), 0, 0, *queues
    assert run(machine, "alloc_netdev_mqs", *arguments) == 0
    assert run(machine, "alloc_etherdev_mqs", 0, *queues) == 0
    assert (held(machine), len(lines)) == ([], 2)


def test_an_ethernet_device_is_called_eth(machine: Machine) -> None:
    device = run(machine, "alloc_etherdev_mqs", 64, 1, 1)
    assert name_of(machine, device) == "eth%d"
    run(machine, "register_netdev", device)
    assert name_of(machine, device) == "eth0"


@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize("end", UNREGISTERS)
def test_a_registered_device_is_shown_until_it_is_unregistered(
    machine: Machine, register: str, end: str
) -> None:
    device = allocate(machine, "dummy0")
    assert run(machine, register, device) == 0
    assert machine.memory.number(device + SPACE) == machine.kernel_symbols.address("init_net")
    assert "/sys/class/net/dummy0/" in paths(machine.mounts.sysfs)
    assert kinds(machine) == ["network device", "registered network device"]
    run(machine, end, device, 0)
    assert "/sys/class/net/dummy0/" not in paths(machine.mounts.sysfs)
    assert kinds(machine) == ["network device"]
    run(machine, end, device, 0)
    assert kinds(machine) == ["network device"]
    run(machine, "free_netdev", device)
    assert held(machine) == []


def test_a_number_in_a_name_is_the_first_free_one(machine: Machine) -> None:
    devices = [registered(machine, "dummy%d") for _ in range(3)]
    assert [name_of(machine, each) for each in devices] == ["dummy0", "dummy1", "dummy2"]
    run(machine, "unregister_netdev", devices[1])
    assert name_of(machine, registered(machine, "dummy%d")) == "dummy1"
    assert name_of(machine, registered(machine, "v%dx")) == "v0x"


@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(("dummy0", -errno.EEXIST), ("lo", -errno.EEXIST), ("dummy", 0), ("", -errno.EINVAL)),
        *(("a b", -errno.EINVAL), ("x%s", -errno.EINVAL), ("%d%d", -errno.EINVAL)),
        ("x" * 14 + "%", -errno.EINVAL),
    ],
)
def test_a_devices_name_can_be_one_and_is_its_own(
    machine: Machine, register: str, name: str, code: int
) -> None:
    registered(machine, "dummy0")
    device = allocate(machine, name)
    assert run(machine, register, device) == code
    assert kinds(machine).count("registered network device") == (1 if code else 2)


@pytest.mark.parametrize(("name", "is_valid"), VALID + INVALID)
def test_what_a_device_can_be_called(machine: Machine, name: str, is_valid: bool) -> None:
    words = machine.heap.allocate(32)
    machine.memory.write(words, name.encode("latin-1"))
    assert run(machine, "dev_valid_name", words) == is_valid


@pytest.mark.parametrize(
    ("said", "code"), [(0, 0), (-errno.ENOMEM, -errno.ENOMEM), (1, -errno.EIO)]
)
def test_a_driver_has_a_say_when_its_device_comes_and_goes(
    machine: Machine, said: int, code: int
) -> None:
    start, end, last = callback(machine, said), callback(machine), callback(machine)
    device = allocate(machine, "dummy0")
    operations = put_structure(machine, 64, {0: start.address, 8: end.address})
    machine.memory.put(device + OPERATIONS, operations)
    machine.memory.put(device + DESTRUCTOR, last.address)
    assert run(machine, "register_netdev", device) == code
    assert (start.calls, start.arguments[0]) == (1, device)
    run(machine, "unregister_netdev", device)
    assert (end.calls, last.calls) == ((0, 0) if code else (1, 1))


def test_a_device_that_says_so_is_freed_when_it_is_unregistered(machine: Machine) -> None:
    device = registered(machine, "dummy0")
    machine.memory.put(device + IS_FREED, 1, 1)
    run(machine, "unregister_netdev", device)
    assert (held(machine), machine.heap.size(device)) == ([], None)


def test_a_list_of_devices_that_are_gone_already_is_done(machine: Machine) -> None:
    registered(machine, "dummy0")
    run(machine, "unregister_netdevice_many", ROOM)
    assert "registered network device" in kinds(machine)


def test_what_is_nowhere_is_an_oops(machine: Machine) -> None:
    assert oops(machine, "register_netdev", 0).startswith(NULL_DEREFERENCE)
    assert oops(machine, "alloc_netdev_mqs", 0, 8, 0, 0, 1, 1).startswith(NULL_DEREFERENCE)
    assert oops(machine, "rtnl_link_register", 0).startswith(NULL_DEREFERENCE)


@pytest.mark.parametrize("register", LINK_REGISTERS)
@pytest.mark.parametrize("end", LINK_UNREGISTERS)
def test_a_type_of_link_is_there_once_and_its_devices_go_with_it(
    machine: Machine, register: str, end: str
) -> None:
    first, second = link_type(machine, "tunnel"), link_type(machine, "tunnel")
    assert run(machine, register, first) == 0
    assert held(machine) == [("link type", "link type 'tunnel'")]
    assert run(machine, register, second) == -errno.EEXIST
    mine, other = registered(machine, "mine"), registered(machine, "other")
    machine.memory.put(mine + LINK, first)
    run(machine, end, second)
    assert "link type" in kinds(machine)
    run(machine, end, first)
    assert "link type" not in kinds(machine)
    shown = [each for each in paths(machine.mounts.sysfs) if each.endswith(("/mine/", "/other/"))]
    assert shown == ["/sys/class/net/other/"]
    run(machine, "free_netdev", other)
    assert run(machine, register, second) == 0


def test_a_module_that_goes_without_them_leaves_their_names_free(machine: Machine) -> None:
    registered(machine, "dummy0")
    run(machine, "rtnl_link_register", link_type(machine, "tunnel"))
    unload(machine)
    assert held(machine) == []
    assert "/sys/class/net/dummy0/" not in paths(machine.mounts.sysfs)
    registered(machine, "dummy0")
    assert run(machine, "rtnl_link_register", link_type(machine, "tunnel")) == 0
