# SPDX-License-Identifier: Apache-2.0
"""Families and protocols of the network, of which each number and each name is one's (net/)."""

import errno

import pytest

from tests.support.kernel_calls import NULL_DEREFERENCE, held, oops, put_structure, run, unload
from tests.support.machine import ROOM, Machine, new_machine

ONE, TWO = ROOM, ROOM + 64
TABLES = [
    ("inet_add_protocol", "inet_del_protocol", "IPv4 protocol 50"),
    ("inet6_add_protocol", "inet6_del_protocol", "IPv6 protocol 50"),
    ("inet_add_offload", "inet_del_offload", "IPv4 offload 50"),
    ("inet6_add_offload", "inet6_del_offload", "IPv6 offload 50"),
]
SSTHRESH, CONG_AVOID, CONG_CONTROL, UNDO_CWND, CONGESTION_NAME = 0, 8, 56, 64, 88
ENCAP_MAX = 10


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def family(machine: Machine, name: str) -> int:
    """Return a ``struct genl_family``."""
    made = put_structure(machine, 104, {})
    machine.memory.write(made + 8, name.encode())
    return made


def number(machine: Machine, made: int) -> int:
    return machine.memory.number(made, 4)


@pytest.mark.parametrize(("add", "remove", "name"), TABLES)
def test_a_protocols_number_is_its_own_until_it_is_deleted(
    machine: Machine, add: str, remove: str, name: str
) -> None:
    assert run(machine, add, ONE, 50) == 0
    assert [each for _, each in held(machine)] == [name]
    assert run(machine, add, TWO, 50) == -1
    assert run(machine, add, ONE, 51) == 0
    assert run(machine, remove, TWO, 50) == -1
    assert run(machine, remove, ONE, 52) == -1
    assert run(machine, remove, ONE, 50) == run(machine, remove, ONE, 51) == 0
    assert held(machine) == []
    assert run(machine, remove, ONE, 50) == -1
    run(machine, add, ONE, 50)
    unload(machine)
    assert run(machine, add, TWO, 50) == 0


@pytest.mark.parametrize("protocol", [6, 17])
@pytest.mark.parametrize(("add", "remove"), [each[:2] for each in TABLES[:2]])
def test_tcp_and_udp_are_the_kernels_own(
    machine: Machine, add: str, remove: str, protocol: int
) -> None:
    assert run(machine, add, ONE, protocol) == -1
    assert run(machine, remove, ONE, protocol) == -1
    assert run(machine, add, ONE, 256 + 50) == 0
    assert run(machine, add, ONE, 50) == -1


def test_a_light_tunnels_number_is_in_its_range_and_its_own(machine: Machine) -> None:
    add, remove = "lwtunnel_encap_add_ops", "lwtunnel_encap_del_ops"
    assert [run(machine, add, ONE, each) for each in (3, 3, ENCAP_MAX, ENCAP_MAX + 1)] == [
        *(0, -1, 0, -errno.ERANGE),
    ]
    assert [run(machine, remove, ONE, each) for each in (0, 3, 3, ENCAP_MAX + 1)] == [
        *(-errno.ERANGE, 0, -1, -errno.ERANGE),
    ]
    assert run(machine, remove, TWO, ENCAP_MAX) == -1
    assert [name for _, name in held(machine)] == [f"light tunnel {ENCAP_MAX}"]


@pytest.mark.parametrize(
    ("which", "code"),
    [(29, 0), (2, -errno.EEXIST), (45, 0), (46, -errno.ENOBUFS), (0xFFFFFFFF, -errno.ENOBUFS)],
)
def test_a_family_of_sockets_is_in_its_range_and_its_own(
    machine: Machine, which: int, code: int
) -> None:
    operations = put_structure(machine, 24, {0: which})
    assert run(machine, "sock_register", operations) == code
    assert len(held(machine)) == (not code)
    if not code:
        assert run(machine, "sock_register", operations) == -errno.EEXIST
        run(machine, "sock_unregister", which)
        assert held(machine) == []
        assert run(machine, "sock_register", operations) == 0
    assert oops(machine, "sock_register", 0).startswith(NULL_DEREFERENCE)


def test_a_generic_netlink_familys_name_is_its_own(machine: Machine) -> None:
    first, second = (family(machine, "sample") for _ in range(2))
    assert run(machine, "genl_register_family", first) == 0
    assert held(machine) == [("generic netlink family", "generic netlink family 'sample'")]
    assert run(machine, "genl_register_family", second) == -errno.EEXIST
    assert run(machine, "genl_unregister_family", second) == -errno.ENOENT
    assert run(machine, "genl_unregister_family", first) == 0
    assert held(machine) == []
    assert run(machine, "genl_unregister_family", first) == -errno.ENOENT
    run(machine, "genl_register_family", first)
    unload(machine)
    assert run(machine, "genl_register_family", second) == 0


def test_generic_netlink_families_have_numbers_of_their_own(machine: Machine) -> None:
    families = [family(machine, each) for each in ("one", "two", "three")]
    for each in families[:2]:
        run(machine, "genl_register_family", each)
    run(machine, "genl_unregister_family", families[1])
    run(machine, "genl_register_family", families[2])
    numbers = [number(machine, each) for each in families]
    assert len(set(numbers)) == 3
    assert all(19 <= each <= 1023 for each in numbers)
    quota = family(machine, "VFS_DQUOT")
    run(machine, "genl_register_family", quota)
    assert number(machine, quota) == 17


def test_there_are_only_so_many_generic_netlink_families(machine: Machine) -> None:
    codes = [
        run(machine, "genl_register_family", family(machine, f"f{each}"))
        for each in range(1023 - 19 + 2)
    ]
    assert codes == [0] * (1023 - 19 + 1) + [-errno.ENOSPC]


@pytest.mark.parametrize(
    ("has", "code"),
    [
        ((SSTHRESH, CONG_AVOID, UNDO_CWND), 0),
        ((SSTHRESH, CONG_CONTROL, UNDO_CWND), 0),
        ((CONG_AVOID, UNDO_CWND), -errno.EINVAL),
        ((SSTHRESH, UNDO_CWND), -errno.EINVAL),
        ((SSTHRESH, CONG_AVOID), -errno.EINVAL),
    ],
)
def test_a_congestion_control_says_what_to_do(
    machine: Machine, has: tuple[int, ...], code: int
) -> None:
    operations = put_structure(machine, 192, dict.fromkeys(has, ROOM))
    machine.memory.write(operations + CONGESTION_NAME, b"sample\0")
    assert run(machine, "tcp_register_congestion_control", operations) == code
    expected = ("congestion control", "congestion control 'sample'")
    assert held(machine) == ([] if code else [expected])
    if not code:
        again = run(machine, "tcp_register_congestion_control", operations)
        assert again == -errno.EEXIST
    run(machine, "tcp_unregister_congestion_control", operations)
    assert held(machine) == []
