# SPDX-License-Identifier: Apache-2.0
"""The network: its only name space, devices, sockets."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class _Net:
    """``struct net``; ``devices`` and the lists are list heads"""

    list: int = 32
    exit_list: int = 48
    devices: int = 152
    proc: int = 168
    proc_stat: int = 176
    loopback: int = 336
    generic: int = 3144


@dataclass(frozen=True, slots=True)
class _PernetOperations:
    """``struct pernet_operations``; ``data_size`` is that of what it has in each name space"""

    init: int = 16
    pre_exit: int = 24
    exit: int = 32
    exit_batch: int = 40
    id: int = 56
    data_size: int = 64


@dataclass(frozen=True, slots=True)
class _NetDevice:
    """``struct net_device``"""

    name: int = 0
    address: int = 816
    operations: int = 208
    is_freed: int = 1260
    destructor: int = 1264
    space: int = 1280
    device: int = 1336
    link_operations: int = 2128
    size: int = 2432


@dataclass(frozen=True, slots=True)
class _NetDeviceOperations:
    """``struct net_device_ops``"""

    init: int = 0
    uninit: int = 8


@dataclass(frozen=True, slots=True)
class _Socket:
    """``struct socket``"""

    sock: int = 24
    operations: int = 32


@dataclass(frozen=True, slots=True)
class _Sock:
    """``struct sock``"""

    protocol: int = 528
    socket: int = 624


@dataclass(frozen=True, slots=True)
class _SocketOperations:
    """``struct proto_ops``; ``functions`` is where nothing but functions begins"""

    functions: int = 16


@dataclass(frozen=True, slots=True)
class _FragmentQueues:
    """``struct fqdir``"""

    fragments: int = 24
    net: int = 32
    size: int = 320


@dataclass(frozen=True, slots=True)
class _LinkOperations:
    """``struct rtnl_link_ops``"""

    kind: int = 16


@dataclass(frozen=True, slots=True)
class _ProtocolFamily:
    """``struct net_proto_family``"""

    number: int = 0


@dataclass(frozen=True, slots=True)
class _NetlinkFamily:
    """``struct genl_family``; ``name`` has ``name_size`` bytes with its NUL (GENL_NAMSIZ)"""

    number: int = 0
    name: int = 8
    name_size: int = 16


@dataclass(frozen=True, slots=True)
class _Congestion:
    """``struct tcp_congestion_ops``"""

    threshold: int = 0
    avoid: int = 8
    control: int = 56
    undo: int = 64
    name: int = 88


NET: Final = _Net()
PERNET_OPERATIONS: Final = _PernetOperations()
NET_DEVICE: Final = _NetDevice()
NET_DEVICE_OPERATIONS: Final = _NetDeviceOperations()
SOCKET: Final = _Socket()
SOCK: Final = _Sock()
SOCKET_OPERATIONS: Final = _SocketOperations()
FRAGMENT_QUEUES: Final = _FragmentQueues()
LINK_OPERATIONS: Final = _LinkOperations()
PROTOCOL_FAMILY: Final = _ProtocolFamily()
NETLINK_FAMILY: Final = _NetlinkFamily()
CONGESTION: Final = _Congestion()
