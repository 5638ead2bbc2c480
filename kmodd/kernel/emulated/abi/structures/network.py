# SPDX-License-Identifier: Apache-2.0
"""The network: its only name space, devices, sockets."""

from typing import Final

from kmodd.kernel.emulated.abi.structures.declaring import Structure, at, bytes_of, since_6_1, whole


class _Net(Structure, of="net"):
    """``struct net``; ``devices`` and the lists are list heads"""

    list: int = at(32)
    exit_list: int = at(48)
    devices: int = at(152, "dev_base_head")
    proc: int = at(168, "proc_net")
    proc_stat: int = at(176, "proc_net_stat")
    loopback: int = at(336, "loopback_dev")
    generic: int = at(3144, "gen")


class _PernetOperations(Structure, of="pernet_operations"):
    """``struct pernet_operations``; ``data_size`` is that of what it has in each name space"""

    init: int = at(16)
    pre_exit: int = at(24)
    exit: int = at(32)
    exit_batch: int = at(40)
    id: int = at(56)
    data_size: int = at(64, "size")


class _NetDevice(Structure, of="net_device"):
    """``struct net_device``"""

    name: int = at(0)
    address: int = at(816, "dev_addr")
    operations: int = at(208, "netdev_ops")
    is_freed: int = at(1260, "needs_free_netdev")
    destructor: int = at(1264, "priv_destructor")
    space: int = at(1280, "nd_net")
    device: int = at(1336, "dev")
    link_operations: int = at(2128, "rtnl_link_ops")
    private_size: int = since_6_1("priv_len")
    size: int = whole(2432)


class _NetDeviceOperations(Structure, of="net_device_ops"):
    """``struct net_device_ops``"""

    init: int = at(0, "ndo_init")
    uninit: int = at(8, "ndo_uninit")


class _Socket(Structure, of="socket"):
    """``struct socket``"""

    sock: int = at(24, "sk")
    operations: int = at(32, "ops")


class _Sock(Structure, of="sock"):
    """``struct sock``"""

    protocol: int = at(528, "sk_prot_creator")
    operations: int = at(40, "__sk_common.skc_prot")
    space: int = at(48, "__sk_common.skc_net.net")
    family: int = at(16, "__sk_common.skc_family")
    socket: int = at(624, "sk_socket")


class _Protocol(Structure, of="proto"):
    """``struct proto``"""

    size: int = at(352, "obj_size")


class _SocketOperations(Structure, of="proto_ops"):
    """``struct proto_ops``; ``functions`` is where nothing but functions begins"""

    functions: int = at(16, "release")


class _FragmentQueues(Structure, of="fqdir"):
    """``struct fqdir``"""

    fragments: int = at(24, "f")
    net: int = at(32)
    size: int = whole(320)


class _LinkOperations(Structure, of="rtnl_link_ops"):
    """``struct rtnl_link_ops``"""

    kind: int = at(16)


class _ProtocolFamily(Structure, of="net_proto_family"):
    """``struct net_proto_family``"""

    number: int = at(0, "family")


class _NetlinkFamily(Structure, of="genl_family"):
    """``struct genl_family``; ``name`` has ``name_size`` bytes with its NUL (GENL_NAMSIZ)"""

    number: int = at(0, "id")
    name: int = at(8)
    name_size: int = bytes_of(16, "name")


class _Congestion(Structure, of="tcp_congestion_ops"):
    """``struct tcp_congestion_ops``"""

    threshold: int = at(0, "ssthresh")
    avoid: int = at(8, "cong_avoid")
    control: int = at(56, "cong_control")
    undo: int = at(64, "undo_cwnd")
    name: int = at(88)


NET: Final = _Net()
PERNET_OPERATIONS: Final = _PernetOperations()
NET_DEVICE: Final = _NetDevice()
NET_DEVICE_OPERATIONS: Final = _NetDeviceOperations()
SOCKET: Final = _Socket()
PROTOCOL: Final = _Protocol()
SOCK: Final = _Sock()
SOCKET_OPERATIONS: Final = _SocketOperations()
FRAGMENT_QUEUES: Final = _FragmentQueues()
LINK_OPERATIONS: Final = _LinkOperations()
PROTOCOL_FAMILY: Final = _ProtocolFamily()
NETLINK_FAMILY: Final = _NetlinkFamily()
CONGESTION: Final = _Congestion()
