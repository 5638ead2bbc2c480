# SPDX-License-Identifier: Apache-2.0
"""The network: name spaces, sockets, what is registered. No packet ever comes or goes."""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ONE,
    RETURN_ZERO,
    function,
    machine_code,
    makers,
    pairs,
    reclaims,
)
from kmodd.kernel.emulated.abi.structures import (
    FRAGMENT_QUEUES,
    LIST_HEAD,
    PERNET_OPERATIONS,
    PROTOCOL,
    SOCK,
    SOCKET,
    SOCKET_OPERATIONS,
)
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.machine.machine import Machine

_SOCKET_SIZE = 4096
_SOCK_SIZE = 4096
_FIRST_ID = 3
_PRIVATE_MAX = 1 << 20
_FAMILIES, _SOCKET_TYPES = 46, 11
_KNOWN_FAMILIES = frozenset({1, 2, 10, 16})
"""Local, IPv4, IPv6 and netlink sockets, whose insides nobody but the kernel looks at."""
_OPERATIONS = "name space operations"


@dataclass(slots=True)
class NameSpaceIds:
    """The ``numbers`` of what has data in each name space, by its operations (net_generic)."""

    numbers: dict[int, int] = field(default_factory=dict)


def _register_operations(machine: Machine, operations: int) -> int:
    """Call the ``init`` of ``struct pernet_operations`` for the only name space there is."""
    memory = machine.memory
    identifier = memory.number(operations + PERNET_OPERATIONS.id)
    size = memory.number(operations + PERNET_OPERATIONS.data_size)
    space = machine.kernel_symbols.address("init_net")
    if identifier:
        known = machine.state(NameSpaceIds).numbers
        number = known.get(operations, 0)
        if not number:
            taken = set(known.values())
            number = next(each for each in range(_FIRST_ID, 4096) if each not in taken)
            known[operations] = number
        memory.put(identifier, number, 4)
        if size:
            _generic(machine, number, size)
    start = memory.number(operations + PERNET_OPERATIONS.init)
    if start:
        code = machine.call(start, space)
        if code:
            forget_operations(machine, operations)
            return code
    machine.ledger.take(_OPERATIONS, operations)
    return 0


@reclaims(_OPERATIONS)
def forget_operations(machine: Machine, operations: int) -> None:
    """Take back a subsystem's number and its data."""
    number = machine.state(NameSpaceIds).numbers.pop(operations, 0)
    if number:
        slot = machine.kernel_symbols.net_generic + 8 * number
        machine.heap.free(machine.memory.number(slot))
        machine.memory.put(slot, 0)


def _generic(machine: Machine, number: int, size: int) -> None:
    """Give a subsystem its data in the name space (net_generic)."""
    table = machine.kernel_symbols.net_generic
    machine.memory.put(table + 8 * number, machine.heap.allocate(min(size, _PRIVATE_MAX)))


@function(
    "int register_pernet_subsys(struct pernet_operations *ops)",
    "int register_pernet_device(struct pernet_operations *ops)",
)
def register_pernet(machine: Machine, operations: int) -> int:
    return _register_operations(machine, operations)


@function(
    "void unregister_pernet_subsys(struct pernet_operations *ops)",
    "void unregister_pernet_device(struct pernet_operations *ops)",
)
def unregister_pernet(machine: Machine, operations: int) -> None:
    memory = machine.memory
    space = machine.kernel_symbols.address("init_net")
    before = memory.number(operations + PERNET_OPERATIONS.pre_exit)
    end = memory.number(operations + PERNET_OPERATIONS.exit)
    batch = memory.number(operations + PERNET_OPERATIONS.exit_batch)
    for each in filter(None, (before, end)):
        machine.invoke(each, space)
    if batch:
        head, link = machine.kernel_symbols.net_exit_list()
        for one, other in ((head, link), (link, head)):
            memory.put(one + LIST_HEAD.next, other)
            memory.put(one + LIST_HEAD.previous, other)
        machine.invoke(batch, head)
    if machine.ledger.give(_OPERATIONS, operations) is not None:
        forget_operations(machine, operations)


def _make_socket(machine: Machine, space: int) -> int:
    """Return a ``struct socket`` with its ``struct sock`` and operations that all succeed.

    ``space`` is the name space of the network that it is in.
    """
    memory = machine.memory
    made = machine.heap.allocate(_SOCKET_SIZE)
    sock, operations = made + 128, made + _SOCKET_SIZE - 512
    memory.put(made + SOCKET.sock, sock)
    memory.put(made + SOCKET.operations, operations)
    memory.put(sock + SOCK.socket, made)
    memory.put(sock + SOCK.space, space)
    memory.put(sock + SOCK.protocol, made + _SOCKET_SIZE - 1024)
    memory.write(
        operations + SOCKET_OPERATIONS.functions, addresses.TEXT.to_bytes(8, "little") * 40
    )
    machine.ledger.take("socket", made)
    return made


@function(
    "int sock_create_kern(struct net *net, int family, int type, int proto, struct socket **res)",
    "int __sock_create(struct net *net, int family, int type, int proto, struct socket **res, int kern)",
)
def sock_create_kern(
    machine: Machine, space: int, family: int, kind: int, _proto: int, result: int, *_kern: int
) -> int:
    if not 0 <= family < _FAMILIES:
        return -errno.EAFNOSUPPORT
    if not 0 <= kind < _SOCKET_TYPES:
        return -errno.EINVAL
    if family not in _KNOWN_FAMILIES:
        machine.note_unmodelled("sock_create_kern")
    machine.memory.put(result, _make_socket(machine, space))
    return 0


@function(
    "int inet_ctl_sock_create(struct sock **sk, unsigned short family, unsigned short type,"
    " unsigned char protocol, struct net *net)"
)
def inet_ctl_sock_create(
    machine: Machine, result: int, _family: int, _kind: int, _protocol: int, space: int
) -> int:
    machine.memory.put(result, machine.memory.number(_make_socket(machine, space) + SOCKET.sock))
    return 0


@function("void sock_release(struct socket *sock)")
def sock_release(machine: Machine, made: int) -> None:
    if machine.ledger.give("socket", made) is not None:
        machine.heap.free(made)


@function(
    "int fqdir_init(struct fqdir **fqdirp, struct inet_frags *f, struct net *net)",
)
def fqdir_init(machine: Machine, result: int, fragments: int, net: int) -> int:
    made = machine.heap.allocate(FRAGMENT_QUEUES.size)
    machine.memory.put(made + FRAGMENT_QUEUES.fragments, fragments)
    machine.memory.put(made + FRAGMENT_QUEUES.net, net)
    machine.memory.put(result, made)
    machine.ledger.take("fragment directory", made)
    return 0


@function("void fqdir_exit(struct fqdir *fqdir)")
def fqdir_exit(machine: Machine, made: int) -> None:
    if machine.ledger.give("fragment directory", made) is not None:
        machine.heap.free(made)


machine_code(
    RETURN_ZERO,
    """
    int kernel_bind(struct socket *sock, struct sockaddr *addr, int addrlen)
    int kernel_listen(struct socket *sock, int backlog)
    int kernel_connect(struct socket *sock, struct sockaddr *addr, int addrlen, int flags)
    int kernel_getsockname(struct socket *sock, struct sockaddr *addr)
    int kernel_sock_shutdown(struct socket *sock, enum sock_shutdown_cmd how)
    int sock_setsockopt(struct socket *sock, int level, int op, sockptr_t optval, unsigned int optlen)
    void inet_twsk_purge(struct inet_hashinfo *hashinfo) since 6.1
    void inet_twsk_purge(struct inet_hashinfo *hashinfo, int family) until 6.0
    struct sk_buff *skb_dequeue(struct sk_buff_head *list)
    """,
)
machine_code(
    RETURN_ONE,
    """
    bool ipv6_mod_enabled(void)
    """,
)

pairs(
    """
    network notifier: int register_netdevice_notifier(struct notifier_block *nb) / int unregister_netdevice_notifier(struct notifier_block *nb)
    network notifier: int register_netdevice_notifier_net(struct net *net, struct notifier_block *nb) / int unregister_netdevice_notifier_net(struct net *net, struct notifier_block *nb)
    netevent notifier: int register_netevent_notifier(struct notifier_block *nb) / int unregister_netevent_notifier(struct notifier_block *nb)
    address notifier: int register_inetaddr_notifier(struct notifier_block *nb) / int unregister_inetaddr_notifier(struct notifier_block *nb)
    address notifier: int register_inet6addr_notifier(struct notifier_block *nb) / int unregister_inet6addr_notifier(struct notifier_block *nb)
    address validator: int register_inetaddr_validator_notifier(struct notifier_block *nb) / int unregister_inetaddr_validator_notifier(struct notifier_block *nb)
    address validator: int register_inet6addr_validator_notifier(struct notifier_block *nb) / int unregister_inet6addr_validator_notifier(struct notifier_block *nb)
    switch notifier: int register_switchdev_notifier(struct notifier_block *nb) / int unregister_switchdev_notifier(struct notifier_block *nb)
    switch notifier: int register_switchdev_blocking_notifier(struct notifier_block *nb) / int unregister_switchdev_blocking_notifier(struct notifier_block *nb)
    route notifier: int register_fib_notifier(struct net *net, struct notifier_block *nb, void *cb, struct netlink_ext_ack *extack) / int unregister_fib_notifier(struct net *net, struct notifier_block *nb)
    next hop notifier: int register_nexthop_notifier(struct net *net, struct notifier_block *nb, struct netlink_ext_ack *extack) / int unregister_nexthop_notifier(struct net *net, struct notifier_block *nb)
    next hop notifier: int register_nexthop_notifier(struct net *net, struct notifier_block *nb) / int unregister_nexthop_notifier(struct net *net, struct notifier_block *nb)
    netlink notifier: int netlink_register_notifier(struct notifier_block *nb) / int netlink_unregister_notifier(struct notifier_block *nb)
    protocol: int proto_register(struct proto *prot, int alloc_slab) / void proto_unregister(struct proto *prot)
    packet type: void dev_add_pack(struct packet_type *pt) / void dev_remove_pack(struct packet_type *pt)
    packet offload: void dev_add_offload(struct packet_offload *po) / void dev_remove_offload(struct packet_offload *po)
    socket type: void inet_register_protosw(struct inet_protosw *p) / void inet_unregister_protosw(struct inet_protosw *p)
    socket type: int inet6_register_protosw(struct inet_protosw *p) / void inet6_unregister_protosw(struct inet_protosw *p)
    fragment queue: int inet_frags_init(struct inet_frags *f) / void inet_frags_fini(struct inet_frags *f)
    link address family: int rtnl_af_register(struct rtnl_af_ops *ops) / void rtnl_af_unregister(struct rtnl_af_ops *ops)
    socket option (EBUSY): int nf_register_sockopt(struct nf_sockopt_ops *reg) / void nf_unregister_sockopt(struct nf_sockopt_ops *reg)
    packet hook: int nf_register_net_hooks(struct net *net, const struct nf_hook_ops *reg, unsigned int n) / void nf_unregister_net_hooks(struct net *net, const struct nf_hook_ops *reg, unsigned int n)
    packet hook: int nf_register_net_hook(struct net *net, const struct nf_hook_ops *reg) / void nf_unregister_net_hook(struct net *net, const struct nf_hook_ops *reg)
    packet logger (EEXIST): int nf_log_register(u_int8_t pf, struct nf_logger *logger) / void nf_log_unregister(struct nf_logger *logger)
    packet queue: void nf_register_queue_handler(const struct nf_queue_handler *qh) / void nf_unregister_queue_handler(void)
    traffic class (EEXIST): int register_tcf_proto_ops(struct tcf_proto_ops *ops) / int unregister_tcf_proto_ops(struct tcf_proto_ops *ops)
    traffic action (EEXIST, ENOENT): int tcf_register_action(struct tc_action_ops *a, struct pernet_operations *ops) / int tcf_unregister_action(struct tc_action_ops *a, struct pernet_operations *ops)
    traffic match (EEXIST): int tcf_em_register(struct tcf_ematch_ops *ops) / void tcf_em_unregister(struct tcf_ematch_ops *ops)
    queueing discipline (EEXIST): int register_qdisc(struct Qdisc_ops *qops) / int unregister_qdisc(struct Qdisc_ops *qops)
    upper layer protocol (EEXIST): int tcp_register_ulp(struct tcp_ulp_ops *type) / void tcp_unregister_ulp(struct tcp_ulp_ops *type)
    socket diagnosis (EBUSY): int sock_diag_register(const struct sock_diag_handler *h) / void sock_diag_unregister(const struct sock_diag_handler *h)
    socket diagnosis: void sock_diag_register_inet_compat(void *fn) / void sock_diag_unregister_inet_compat(void *fn)
    transformation (EEXIST): int xfrm_register_type(const struct xfrm_type *type, unsigned short family) / void xfrm_unregister_type(const struct xfrm_type *type, unsigned short family)
    transformation (EEXIST): int xfrm_register_type_offload(const struct xfrm_type_offload *type, unsigned short family) / void xfrm_unregister_type_offload(const struct xfrm_type_offload *type, unsigned short family)
    transformation input (EEXIST): int xfrm_input_register_afinfo(const struct xfrm_input_afinfo *afinfo) / int xfrm_input_unregister_afinfo(const struct xfrm_input_afinfo *afinfo)
    transformation protocol (EEXIST, ENOENT): int xfrm4_protocol_register(struct xfrm4_protocol *handler, unsigned char protocol) / int xfrm4_protocol_deregister(struct xfrm4_protocol *handler, unsigned char protocol)
    transformation protocol (EEXIST, ENOENT): int xfrm6_protocol_register(struct xfrm6_protocol *handler, unsigned char protocol) / int xfrm6_protocol_deregister(struct xfrm6_protocol *handler, unsigned char protocol)
    key manager: int xfrm_register_km(struct xfrm_mgr *km) / int xfrm_unregister_km(struct xfrm_mgr *km)
    transformation interface: void xfrm_if_register_cb(const struct xfrm_if_cb *ifcb) / void xfrm_if_unregister_cb(void)
    BPF offload device: int bpf_offload_dev_register(void *dev)
    control group link: int cgroup_bpf_link_attach(void *attr, void *prog)
    """
)
makers(
    """
    netlink socket: struct sock *__netlink_kernel_create(struct net *net, int unit, struct module *module, struct netlink_kernel_cfg *cfg) / void netlink_kernel_release(struct sock *sk)
    packet buffer: struct sk_buff *__alloc_skb(unsigned int size, gfp_t gfp_mask, int flags, int node) / void kfree_skb_reason(struct sk_buff *skb, int reason)
    packet buffer: struct sk_buff *__netdev_alloc_skb(struct net_device *dev, unsigned int len, gfp_t gfp_mask) / void consume_skb(struct sk_buff *skb)
    """,
    size=4096,
)
makers("socket: / void sk_free(struct sock *sk)")


@function(
    "struct sock *sk_alloc(struct net *net, int family, gfp_t priority, struct proto *prot, int"
    " kern)"
)
def sk_alloc(
    machine: Machine, space: int, family: int, _flags: int, protocol: int, _kern: int
) -> int:
    memory = machine.memory
    made = machine.heap.allocate(max(memory.number(protocol + PROTOCOL.size, 4), _SOCK_SIZE))
    memory.put(made + SOCK.family, family, 2)
    memory.put(made + SOCK.operations, protocol)
    memory.put(made + SOCK.protocol, protocol)
    memory.put(made + SOCK.space, space)
    machine.ledger.take("socket", made)
    return made


@function(
    "void sk_skb_reason_drop(struct sock *sk, struct sk_buff *skb, enum skb_drop_reason reason)"
)
def sk_skb_reason_drop(machine: Machine, _sock: int, packet: int, _reason: int) -> None:
    if machine.ledger.give("packet buffer", packet) is not None:
        machine.heap.free(packet)


machine_code(
    RETURN_ZERO,
    """
    void rtnl_unregister_all(int protocol)
    void *genlmsg_put(struct sk_buff *skb, u32 portid, u32 seq, const struct genl_family *family, int flags, u8 cmd)
    int netdev_boot_setup_check(struct net_device *dev)
    int call_netdevice_notifiers(unsigned long val, struct net_device *dev)
    int dev_change_flags(struct net_device *dev, unsigned int flags, struct netlink_ext_ack *extack)
    """,
)
machine_code(
    RETURN,
    """
    void ethtool_set_ethtool_phy_ops(const struct ethtool_phy_ops *ops)
    void vlan_ioctl_set(int (*hook)(struct net *, void *))
    void brioctl_set(int (*hook)(struct net *net, struct net_bridge *br, unsigned int cmd, struct ifreq *ifr, void *uarg))
    void clean_acked_data_flush(void)
    void ether_setup(struct net_device *dev)
    void netif_carrier_off(struct net_device *dev)
    void netif_carrier_on(struct net_device *dev)
    void sock_init_data(struct socket *sock, struct sock *sk)
    void __dev_remove_pack(struct packet_type *pt)
    void net_ns_barrier(void)
    """,
)
