# SPDX-License-Identifier: Apache-2.0
"""Families and protocols of the network: each number, and each name, is one's.

net/socket.c, net/ipv4/protocol.c, net/core/lwtunnel.c, net/netlink, net/ipv4/tcp_cong.c
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.abi.structures import CONGESTION, NETLINK_FAMILY, PROTOCOL_FAMILY
from kmodd.kernel.emulated.machine.machine import Machine

_FAMILY, _FAMILIES = "protocol family", 46
_OWN_FAMILIES = frozenset({1, 2, 10, 16, 17})
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET: the kernel's own."""

_NOT_MINE = -1
"""What the functions say that swap a pointer for another, and find neither."""

_TUNNEL, _TUNNEL_MAX = "light tunnel", 10

_NETLINK = "generic netlink family"
_NETLINK_FIRST, _NETLINK_MAX = 19, 1023
_NETLINK_FIXED = {"VFS_DQUOT": 17, "pmcraid": 18}

_CONGESTION = "congestion control"


@dataclass(slots=True)
class Protocols:
    """Who has which number: the ``tables`` of protocols, the ``families`` of generic netlink.

    ``last_family`` is the number that a family was given last.
    """

    tables: dict[tuple[str, int], int] = field(default_factory=dict)
    families: dict[int, str] = field(default_factory=dict)
    last_family: int = _NETLINK_FIRST - 1


@function("int sock_register(const struct net_proto_family *ops)")
def sock_register(machine: Machine, operations: int) -> int:
    family = machine.memory.number(operations + PROTOCOL_FAMILY.number, 4)
    if family >= _FAMILIES:
        return -errno.ENOBUFS
    if family in _OWN_FAMILIES or machine.ledger.find(_FAMILY, family) is not None:
        return -errno.EEXIST
    machine.ledger.take(_FAMILY, family, f"{_FAMILY} {family}")
    return 0


@function("void sock_unregister(int family)")
def sock_unregister(machine: Machine, family: int) -> None:
    machine.ledger.give(_FAMILY, family)


def _taker(kind: str, own: frozenset[int]) -> Callable[[Machine, int, int], int]:
    """Return what puts a protocol into a table by its number; the kernel has its ``own``."""

    def take(machine: Machine, protocol: int, number: int) -> int:
        if number in own or machine.ledger.find(kind, number) is not None:
            return _NOT_MINE
        machine.state(Protocols).tables[kind, number] = protocol
        machine.ledger.take(kind, number, f"{kind} {number}")
        return 0

    return take


def _giver(kind: str) -> Callable[[Machine, int, int], int]:
    """Return what takes a protocol out of a table where it is that one."""

    def give(machine: Machine, protocol: int, number: int) -> int:
        is_there = machine.ledger.find(kind, number) is not None
        if not is_there or machine.state(Protocols).tables[kind, number] != protocol:
            return _NOT_MINE
        machine.ledger.give(kind, number)
        return 0

    return give


_TABLES = (
    ("IPv4 protocol", "inet_{}_protocol", "struct net_protocol", {1, 2, 6, 17, 136}),
    ("IPv6 protocol", "inet6_{}_protocol", "struct inet6_protocol", {6, 17, 43, 44, 58, 59, 60}),
    ("IPv4 offload", "inet_{}_offload", "struct net_offload", set[int]()),
    ("IPv6 offload", "inet6_{}_offload", "struct net_offload", set[int]()),
)
for _kind, _name, _type, _own in _TABLES:
    _prototype = f"int {_name}(const {_type} *prot, unsigned char num)"
    function(_prototype.format("add"))(_taker(_kind, frozenset(_own)))
    function(_prototype.format("del"))(_giver(_kind))


@function("int lwtunnel_encap_add_ops(const struct lwtunnel_encap_ops *op, unsigned int num)")
def lwtunnel_encap_add_ops(machine: Machine, operations: int, number: int) -> int:
    if number > _TUNNEL_MAX:
        return -errno.ERANGE
    return _taker(_TUNNEL, frozenset())(machine, operations, number)


@function("int lwtunnel_encap_del_ops(const struct lwtunnel_encap_ops *op, unsigned int num)")
def lwtunnel_encap_del_ops(machine: Machine, operations: int, number: int) -> int:
    if not 0 < number <= _TUNNEL_MAX:
        return -errno.ERANGE
    return _giver(_TUNNEL)(machine, operations, number)


def _families(machine: Machine) -> dict[int, str]:
    """Return the families of generic netlink that there are, by number."""
    return machine.state(Protocols).families


@function("int genl_register_family(struct genl_family *family)")
def genl_register_family(machine: Machine, family: int) -> int:
    known = _families(machine)
    name = machine.memory.text(family + NETLINK_FAMILY.name, NETLINK_FAMILY.name_size)
    if name in known.values():
        return -errno.EEXIST
    number = _NETLINK_FIXED.get(name) or _next_number(machine, known)
    if not number:
        return -errno.ENOSPC
    known[number] = name
    machine.memory.put(family + NETLINK_FAMILY.number, number, 4)
    machine.ledger.take(_NETLINK, number, f"{_NETLINK} '{name}'")
    return 0


def _next_number(machine: Machine, known: dict[int, str]) -> int:
    """Return a free number, none before all others have been used; 0 where there is none."""
    protocols = machine.state(Protocols)
    behind = protocols.last_family + 1
    places = (*range(behind, _NETLINK_MAX + 1), *range(_NETLINK_FIRST, behind))
    number = next((each for each in places if each not in known), 0)
    protocols.last_family = number or protocols.last_family
    return number


@function("int genl_unregister_family(const struct genl_family *family)")
def genl_unregister_family(machine: Machine, family: int) -> int:
    number = machine.memory.number(family + NETLINK_FAMILY.number, 4)
    if _families(machine).pop(number, None) is None:
        return -errno.ENOENT
    machine.ledger.give(_NETLINK, number)
    return 0


@reclaims(_NETLINK)
def forget_family(machine: Machine, number: int) -> None:
    """Forget a family of a module that is gone."""
    _families(machine).pop(number, None)


@function("int tcp_register_congestion_control(struct tcp_congestion_ops *ca)")
def tcp_register_congestion_control(machine: Machine, operations: int) -> int:
    """It has to say what to do at least when packets are lost, and when they were not."""
    threshold, avoid, control, undo = (
        machine.memory.number(operations + each)
        for each in (CONGESTION.threshold, CONGESTION.avoid, CONGESTION.control, CONGESTION.undo)
    )
    if not (threshold and undo and (avoid or control)):
        return -errno.EINVAL
    if machine.ledger.find(_CONGESTION, operations) is not None:
        return -errno.EEXIST
    name = machine.memory.text(operations + CONGESTION.name, 16)
    machine.ledger.take(_CONGESTION, operations, f"{_CONGESTION} '{name}'")
    return 0


@function("void tcp_unregister_congestion_control(struct tcp_congestion_ops *ca)")
def tcp_unregister_congestion_control(machine: Machine, operations: int) -> None:
    machine.ledger.give(_CONGESTION, operations)
