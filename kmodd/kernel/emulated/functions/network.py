# SPDX-License-Identifier: Apache-2.0
"""The network: families, protocols, name spaces, link types. No packet ever comes or goes."""

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
    NET_DEVICE,
    NET_DEVICE_OPERATIONS,
    PERNET_OPERATIONS,
    SOCK,
    SOCKET,
    SOCKET_OPERATIONS,
)
from kmodd.kernel.emulated.functions.sysfs import add_device, net_directory, remove_directory
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.machine.machine import Machine

_SOCKET_SIZE = 4096
_FIRST_ID = 3
_PRIVATE_MAX = 1 << 20
_REGISTERED = "registered network device"


@dataclass(slots=True)
class Network:
    """What is registered: subsystems and families with their numbers, devices in their order."""

    subsystems: dict[int, int] = field(default_factory=dict)
    families: dict[int, int] = field(default_factory=dict)
    devices: dict[int, None] = field(default_factory=dict)


def _register_operations(machine: Machine, operations: int) -> int:
    """Call the ``init`` of ``struct pernet_operations`` for the only name space there is."""
    memory = machine.memory
    identifier = memory.number(operations + PERNET_OPERATIONS.id)
    size = memory.number(operations + PERNET_OPERATIONS.data_size)
    space = machine.kernel_symbols.address("init_net")
    if identifier:
        known = machine.state(Network).subsystems
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
            return code
    machine.ledger.take("name space operations", operations)
    return 0


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
    number = machine.state(Network).subsystems.pop(operations, 0)
    if number:
        slot = machine.kernel_symbols.net_generic + 8 * number
        machine.heap.free(memory.number(slot))
        memory.put(slot, 0)
    machine.ledger.give("name space operations", operations)


@function("int genl_register_family(struct genl_family *family)")
def genl_register_family(machine: Machine, family: int) -> int:
    known = machine.state(Network).families
    number = 16 + len(known)
    known[family] = number
    machine.memory.put(family, number, 4)
    machine.ledger.take("generic netlink family", family)
    return 0


@function("int genl_unregister_family(const struct genl_family *family)")
def genl_unregister_family(machine: Machine, family: int) -> int:
    machine.state(Network).families.pop(family, None)
    machine.ledger.give("generic netlink family", family)
    return 0


@function(
    "struct net_device *alloc_netdev_mqs(int sizeof_priv, const char *name, unsigned char"
    " name_assign_type, void (*setup)(struct net_device *), unsigned int txqs, unsigned int rxqs)"
)
def alloc_netdev(
    machine: Machine, private: int, name: int, _kind: int, setup: int, *_queues: int
) -> int:
    size = NET_DEVICE.size + 32 + min(max(private, 0), _PRIVATE_MAX)
    device = machine.heap.allocate(size)
    text = machine.memory.string(name, 15)
    if b"%d" in text:
        text = text.replace(b"%d", b"0")
    machine.memory.write(device + NET_DEVICE.name, text[:15])
    machine.memory.put(device + NET_DEVICE.address, machine.heap.allocate(32))
    machine.ledger.take("network device", device, f"network device '{text.decode('latin-1')}'")
    if setup:
        machine.invoke(setup, device)
    return device


@function(
    "struct net_device *alloc_etherdev_mqs(int sizeof_priv, unsigned int txqs, unsigned int rxqs)"
)
def alloc_etherdev(machine: Machine, private: int, *_queues: int) -> int:
    name = machine.heap.allocate(8)
    machine.memory.write(name, b"eth%d")
    try:
        return alloc_netdev(machine, private, name, 0, 0) or 0
    finally:
        machine.heap.free(name)


@function("void free_netdev(struct net_device *dev)")
def free_netdev(machine: Machine, device: int) -> None:
    if machine.ledger.give("network device", device) is not None:
        machine.heap.free(device)


@function(
    "int register_netdev(struct net_device *dev)", "int register_netdevice(struct net_device *dev)"
)
def register_netdev(machine: Machine, device: int) -> int:
    """The driver's ``ndo_init`` has a say, and its ``ndo_uninit`` and destructor at the end."""
    memory = machine.memory
    memory.put(device + NET_DEVICE.space, machine.kernel_symbols.address("init_net"))
    code = _operate(machine, device, NET_DEVICE_OPERATIONS.init)
    if code:
        return code
    machine.state(Network).devices[device] = None
    machine.ledger.take(_REGISTERED, device, f"the registration of {_shown(machine, device)}")
    name = memory.text(device + NET_DEVICE.name, 16)
    add_device(machine, device + NET_DEVICE.device, name, parent=net_directory(machine))
    return 0


def _operate(machine: Machine, device: int, which: int) -> int:
    """Call one of a driver's operations, if it has that."""
    operations = machine.memory.number(device + NET_DEVICE.operations)
    code = machine.memory.number(operations + which) if operations else 0
    return machine.call(code, device) if code else 0


def _shown(machine: Machine, device: int) -> str:
    return f"network device '{machine.memory.text(device + NET_DEVICE.name, 16)}'"


@reclaims(_REGISTERED, "network device")
def forget_netdev(machine: Machine, device: int) -> None:
    """Forget a device of a module that is gone."""
    machine.state(Network).devices.pop(device, None)


@function(
    "void unregister_netdev(struct net_device *dev)",
    "void unregister_netdevice_queue(struct net_device *dev, struct list_head *head)",
)
def unregister_netdev(machine: Machine, device: int, *_list: int) -> None:
    """A device that says so is freed then, when nobody looks at it any more."""
    known = machine.state(Network).devices
    if device not in known:
        return
    del known[device]
    machine.ledger.give(_REGISTERED, device)
    remove_directory(machine, device + NET_DEVICE.device)
    _operate(machine, device, NET_DEVICE_OPERATIONS.uninit)
    last = machine.memory.number(device + NET_DEVICE.destructor)
    is_freed = machine.memory.number(device + NET_DEVICE.is_freed, 1)

    def end() -> None:
        if last:
            machine.invoke(last, device)
        if is_freed:
            free_netdev(machine, device)

    machine.deferred.add(end)


machine_code(RETURN, "void unregister_netdevice_many(struct list_head *head)")


@function(
    "int rtnl_link_register(struct rtnl_link_ops *ops)",
    "int __rtnl_link_register(struct rtnl_link_ops *ops)",
)
def rtnl_link_register(machine: Machine, operations: int) -> int:
    machine.ledger.take("link type", operations)
    return 0


@function(
    "void rtnl_link_unregister(struct rtnl_link_ops *ops)",
    "void __rtnl_link_unregister(struct rtnl_link_ops *ops)",
)
def rtnl_link_unregister(machine: Machine, operations: int) -> None:
    """What devices there are of that type go with it."""
    memory = machine.memory
    for device in tuple(machine.state(Network).devices):
        if memory.number(device + NET_DEVICE.link_operations) == operations:
            unregister_netdev(machine, device)
    machine.ledger.give("link type", operations)


def _make_socket(machine: Machine) -> int:
    """Return a ``struct socket`` with its ``struct sock`` and operations that all succeed."""
    memory = machine.memory
    made = machine.heap.allocate(_SOCKET_SIZE)
    sock, operations = made + 128, made + _SOCKET_SIZE - 512
    memory.put(made + SOCKET.sock, sock)
    memory.put(made + SOCKET.operations, operations)
    memory.put(sock + SOCK.socket, made)
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
    machine: Machine, _net: int, _family: int, _type: int, _proto: int, result: int, *_kern: int
) -> int:
    machine.memory.put(result, _make_socket(machine))
    return 0


@function(
    "int inet_ctl_sock_create(struct sock **sk, unsigned short family, unsigned short type,"
    " unsigned char protocol, struct net *net)"
)
def inet_ctl_sock_create(machine: Machine, result: int, *_rest: int) -> int:
    machine.memory.put(result, machine.memory.number(_make_socket(machine) + SOCKET.sock))
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
    void inet_twsk_purge(struct inet_hashinfo *hashinfo, int family)
    struct sk_buff *skb_dequeue(struct sk_buff_head *list)
    """,
)
machine_code(
    RETURN_ONE,
    """
    bool ipv6_mod_enabled(void)
    bool dev_valid_name(const char *name)
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
    netlink notifier: int netlink_register_notifier(struct notifier_block *nb) / int netlink_unregister_notifier(struct notifier_block *nb)
    protocol family: int sock_register(const struct net_proto_family *ops) / void sock_unregister(int family)
    protocol: int proto_register(struct proto *prot, int alloc_slab) / void proto_unregister(struct proto *prot)
    packet type: void dev_add_pack(struct packet_type *pt) / void dev_remove_pack(struct packet_type *pt)
    packet offload: void dev_add_offload(struct packet_offload *po) / void dev_remove_offload(struct packet_offload *po)
    internet protocol: int inet_add_protocol(const struct net_protocol *prot, unsigned char num) / int inet_del_protocol(const struct net_protocol *prot, unsigned char num)
    internet protocol: int inet6_add_protocol(const struct inet6_protocol *prot, unsigned char num) / int inet6_del_protocol(const struct inet6_protocol *prot, unsigned char num)
    internet offload: int inet_add_offload(const struct net_offload *prot, unsigned char num) / int inet_del_offload(const struct net_offload *prot, unsigned char num)
    internet offload: int inet6_add_offload(const struct net_offload *prot, unsigned char num) / int inet6_del_offload(const struct net_offload *prot, unsigned char num)
    socket type: void inet_register_protosw(struct inet_protosw *p) / void inet_unregister_protosw(struct inet_protosw *p)
    socket type: int inet6_register_protosw(struct inet_protosw *p) / void inet6_unregister_protosw(struct inet_protosw *p)
    fragment queue: int inet_frags_init(struct inet_frags *f) / void inet_frags_fini(struct inet_frags *f)
    link address family: void rtnl_af_register(struct rtnl_af_ops *ops) / void rtnl_af_unregister(struct rtnl_af_ops *ops)
    socket option (EBUSY): int nf_register_sockopt(struct nf_sockopt_ops *reg) / void nf_unregister_sockopt(struct nf_sockopt_ops *reg)
    packet hook: int nf_register_net_hooks(struct net *net, const struct nf_hook_ops *reg, unsigned int n) / void nf_unregister_net_hooks(struct net *net, const struct nf_hook_ops *reg, unsigned int n)
    packet hook: int nf_register_net_hook(struct net *net, const struct nf_hook_ops *reg) / void nf_unregister_net_hook(struct net *net, const struct nf_hook_ops *reg)
    packet logger (EEXIST): int nf_log_register(u_int8_t pf, struct nf_logger *logger) / void nf_log_unregister(struct nf_logger *logger)
    packet queue: void nf_register_queue_handler(const struct nf_queue_handler *qh) / void nf_unregister_queue_handler(void)
    traffic class (EEXIST): int register_tcf_proto_ops(struct tcf_proto_ops *ops) / void unregister_tcf_proto_ops(struct tcf_proto_ops *ops)
    traffic action (EEXIST, ENOENT): int tcf_register_action(struct tc_action_ops *a, struct pernet_operations *ops) / int tcf_unregister_action(struct tc_action_ops *a, struct pernet_operations *ops)
    traffic match (EEXIST): int tcf_em_register(struct tcf_ematch_ops *ops) / void tcf_em_unregister(struct tcf_ematch_ops *ops)
    queueing discipline (EEXIST): int register_qdisc(struct Qdisc_ops *qops) / void unregister_qdisc(struct Qdisc_ops *qops)
    congestion control (EEXIST): int tcp_register_congestion_control(struct tcp_congestion_ops *ca) / void tcp_unregister_congestion_control(struct tcp_congestion_ops *ca)
    upper layer protocol (EEXIST): int tcp_register_ulp(struct tcp_ulp_ops *type) / void tcp_unregister_ulp(struct tcp_ulp_ops *type)
    socket diagnosis (EBUSY): int sock_diag_register(const struct sock_diag_handler *h) / void sock_diag_unregister(const struct sock_diag_handler *h)
    socket diagnosis: void sock_diag_register_inet_compat(void *fn) / void sock_diag_unregister_inet_compat(void *fn)
    transformation (EEXIST): int xfrm_register_type(const struct xfrm_type *type, unsigned short family) / void xfrm_unregister_type(const struct xfrm_type *type, unsigned short family)
    transformation (EEXIST): int xfrm_register_type_offload(const struct xfrm_type_offload *type, unsigned short family) / void xfrm_unregister_type_offload(const struct xfrm_type_offload *type, unsigned short family)
    transformation input (EEXIST): int xfrm_input_register_afinfo(const struct xfrm_input_afinfo *afinfo) / int xfrm_input_unregister_afinfo(const struct xfrm_input_afinfo *afinfo)
    transformation protocol (EEXIST, ENOENT): int xfrm4_protocol_register(struct xfrm4_protocol *handler, unsigned char protocol) / int xfrm4_protocol_deregister(struct xfrm4_protocol *handler, unsigned char protocol)
    transformation protocol (EEXIST, ENOENT): int xfrm6_protocol_register(struct xfrm6_protocol *handler, unsigned char protocol) / int xfrm6_protocol_deregister(struct xfrm6_protocol *handler, unsigned char protocol)
    key manager: int xfrm_register_km(struct xfrm_mgr *km) / int xfrm_unregister_km(struct xfrm_mgr *km)
    transformation interface: int xfrm_if_register_cb(const struct xfrm_if_cb *ifcb) / void xfrm_if_unregister_cb(void)
    light tunnel: int lwtunnel_encap_add_ops(const struct lwtunnel_encap_ops *op, unsigned int num) / int lwtunnel_encap_del_ops(const struct lwtunnel_encap_ops *op, unsigned int num)
    tunnel: int bpf_offload_dev_register(void *dev)
    control group class: int cgroup_bpf_link_attach(void *attr, void *prog)
    """
)
makers(
    """
    netlink socket: struct sock *__netlink_kernel_create(struct net *net, int unit, struct module *module, struct netlink_kernel_cfg *cfg) / void netlink_kernel_release(struct sock *sk)
    packet buffer: struct sk_buff *__alloc_skb(unsigned int size, gfp_t gfp_mask, int flags, int node) / void kfree_skb_reason(struct sk_buff *skb, int reason)
    packet buffer: struct sk_buff *__netdev_alloc_skb(struct net_device *dev, unsigned int len, gfp_t gfp_mask) / void consume_skb(struct sk_buff *skb)
    socket: struct sock *sk_alloc(struct net *net, int family, gfp_t priority, struct proto *prot, int kern) / void sk_free(struct sock *sk)
    """,
    size=4096,
)
machine_code(
    RETURN_ZERO,
    """
    void rtnl_unregister_all(int protocol)
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
