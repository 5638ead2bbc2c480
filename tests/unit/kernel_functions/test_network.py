# SPDX-License-Identifier: Apache-2.0
"""Name spaces, sockets, and what modules register with the network (net/)."""

import errno

import pytest

from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    callback,
    having,
    held,
    oops,
    put_structure,
    run,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine
from tests.support.registrations import (
    Pair,
    check_errors,
    check_maker,
    check_nothing,
    check_pair,
    pair_ids,
)

INIT, PRE_EXIT, EXIT, EXIT_BATCH, ID, SIZE = 16, 24, 32, 40, 56, 64
NET_GENERIC = 3144
SOCKET_SOCK, SOCKET_OPERATIONS, SOCK_SOCKET = 24, 32, 624
SOCK_PROT, SOCK_NET, SOCK_CREATOR = 40, 48, 528
AF_INET, STREAM = 2, 1


def _notifier(take: str, give: str, kind: str, at: int = 0) -> Pair:
    return Pair(take, give, kind, at, at, again=errno.EEXIST, missing=errno.ENOENT)


PAIRS = (
    _notifier("register_netdevice_notifier", "unregister_netdevice_notifier", "network notifier"),
    _notifier(
        "register_netdevice_notifier_net",
        "unregister_netdevice_notifier_net",
        "network notifier",
        1,
    ),
    _notifier("register_netevent_notifier", "unregister_netevent_notifier", "netevent notifier"),
    _notifier("register_inetaddr_notifier", "unregister_inetaddr_notifier", "address notifier"),
    _notifier("register_inet6addr_notifier", "unregister_inet6addr_notifier", "address notifier"),
    _notifier(
        "register_inetaddr_validator_notifier",
        "unregister_inetaddr_validator_notifier",
        "address validator",
    ),
    _notifier(
        "register_inet6addr_validator_notifier",
        "unregister_inet6addr_validator_notifier",
        "address validator",
    ),
    _notifier("register_switchdev_notifier", "unregister_switchdev_notifier", "switch notifier"),
    _notifier(
        "register_switchdev_blocking_notifier",
        "unregister_switchdev_blocking_notifier",
        "switch notifier",
    ),
    _notifier("register_fib_notifier", "unregister_fib_notifier", "route notifier", 1),
    _notifier("register_nexthop_notifier", "unregister_nexthop_notifier", "next hop notifier", 1),
    _notifier("netlink_register_notifier", "netlink_unregister_notifier", "netlink notifier"),
    Pair("proto_register", "proto_unregister", "protocol"),
    Pair("dev_add_pack", "dev_remove_pack", "packet type"),
    Pair("dev_add_offload", "dev_remove_offload", "packet offload"),
    Pair("inet_register_protosw", "inet_unregister_protosw", "socket type"),
    Pair("inet6_register_protosw", "inet6_unregister_protosw", "socket type"),
    Pair("inet_frags_init", "inet_frags_fini", "fragment queue"),
    Pair("rtnl_af_register", "rtnl_af_unregister", "link address family"),
    Pair("nf_register_sockopt", "nf_unregister_sockopt", "socket option", again=errno.EBUSY),
    Pair("nf_register_net_hooks", "nf_unregister_net_hooks", "packet hook"),
    Pair("nf_register_net_hook", "nf_unregister_net_hook", "packet hook"),
    Pair("nf_log_register", "nf_log_unregister", "packet logger", at=1, again=errno.EEXIST),
    Pair("nf_register_queue_handler", "nf_unregister_queue_handler", "packet queue", counted=True),
    Pair("register_tcf_proto_ops", "unregister_tcf_proto_ops", "traffic class", again=errno.EEXIST),
    Pair(
        "tcf_register_action",
        "tcf_unregister_action",
        "traffic action",
        again=errno.EEXIST,
        missing=errno.ENOENT,
    ),
    Pair("tcf_em_register", "tcf_em_unregister", "traffic match", again=errno.EEXIST),
    Pair("register_qdisc", "unregister_qdisc", "queueing discipline", again=errno.EEXIST),
    Pair("tcp_register_ulp", "tcp_unregister_ulp", "upper layer protocol", again=errno.EEXIST),
    Pair("sock_diag_register", "sock_diag_unregister", "socket diagnosis", again=errno.EBUSY),
    Pair("sock_diag_register_inet_compat", "sock_diag_unregister_inet_compat", "socket diagnosis"),
    Pair("xfrm_register_type", "xfrm_unregister_type", "transformation", again=errno.EEXIST),
    Pair(
        "xfrm_register_type_offload",
        "xfrm_unregister_type_offload",
        "transformation",
        again=errno.EEXIST,
    ),
    Pair(
        "xfrm_input_register_afinfo",
        "xfrm_input_unregister_afinfo",
        "transformation input",
        again=errno.EEXIST,
    ),
    Pair(
        "xfrm4_protocol_register",
        "xfrm4_protocol_deregister",
        "transformation protocol",
        again=errno.EEXIST,
        missing=errno.ENOENT,
    ),
    Pair(
        "xfrm6_protocol_register",
        "xfrm6_protocol_deregister",
        "transformation protocol",
        again=errno.EEXIST,
        missing=errno.ENOENT,
    ),
    Pair("xfrm_register_km", "xfrm_unregister_km", "key manager"),
    Pair("xfrm_if_register_cb", "xfrm_if_unregister_cb", "transformation interface", counted=True),
    Pair("bpf_offload_dev_register", "", "BPF offload device"),
    Pair("cgroup_bpf_link_attach", "", "control group link"),
)
MAKERS = [
    ("__netlink_kernel_create", "netlink_kernel_release", "netlink socket"),
    ("__alloc_skb", "kfree_skb_reason", "packet buffer"),
    ("__netdev_alloc_skb", "consume_skb", "packet buffer"),
]
SUCCEEDS = [
    *("kernel_bind", "kernel_listen", "kernel_connect", "kernel_getsockname", "skb_dequeue"),
    *("kernel_sock_shutdown", "sock_setsockopt", "inet_twsk_purge", "rtnl_unregister_all"),
    *("netdev_boot_setup_check", "call_netdevice_notifiers", "dev_change_flags"),
    *("ethtool_set_ethtool_phy_ops", "vlan_ioctl_set", "brioctl_set", "clean_acked_data_flush"),
    *("ether_setup", "netif_carrier_off", "netif_carrier_on", "sock_init_data"),
    *("__dev_remove_pack", "net_ns_barrier"),
]


@pytest.fixture
def machine() -> Machine:
    return new_machine()


@pytest.mark.parametrize("pair", PAIRS, ids=pair_ids(PAIRS))
def test_what_is_registered_is_on_the_account_until_it_is_taken_back(pair: Pair) -> None:
    check_pair(pair)


TAKEN_BACK = tuple(each for each in PAIRS if each.give)


@pytest.mark.parametrize("pair", TAKEN_BACK, ids=pair_ids(TAKEN_BACK))
def test_what_is_there_already_or_is_not_there_has_its_error(pair: Pair) -> None:
    check_errors(pair)


@pytest.mark.parametrize(("make", "end", "kind"), MAKERS)
def test_an_object_is_there_until_it_is_ended(make: str, end: str, kind: str) -> None:
    check_maker(make, end, kind)


@pytest.mark.parametrize("name", SUCCEEDS)
def test_what_nobody_listens_to_succeeds(name: str) -> None:
    check_nothing(name, 0)


def test_the_sixth_version_of_the_internets_protocol_is_there() -> None:
    check_nothing("ipv6_mod_enabled", 1)


def operations(machine: Machine, **words: int) -> int:
    """Return a ``struct pernet_operations``."""
    offsets = {"init": INIT, "pre_exit": PRE_EXIT, "exit": EXIT, "exit_batch": EXIT_BATCH}
    offsets |= {"id": ID, "size": SIZE}
    return put_structure(machine, 72, {offsets[each]: value for each, value in words.items()})


PERNET = [
    ("register_pernet_subsys", "unregister_pernet_subsys"),
    ("register_pernet_device", "unregister_pernet_device"),
]


@pytest.mark.parametrize(("register", "end"), PERNET)
def test_a_subsystem_is_told_of_the_name_space_when_it_comes_and_goes(
    machine: Machine, register: str, end: str
) -> None:
    space = machine.kernel_symbols.address("init_net")
    init, before, leaving, batch = (callback(machine) for _ in range(4))
    made = operations(
        machine,
        init=init.address,
        pre_exit=before.address,
        exit=leaving.address,
        exit_batch=batch.address,
    )
    assert run(machine, register, made) == 0
    assert (init.calls, init.arguments[0]) == (1, space)
    assert [kind for kind, _ in held(machine)] == ["name space operations"]
    assert (before.calls, leaving.calls, batch.calls) == (0, 0, 0)
    run(machine, end, made)
    assert (before.calls, leaving.calls, batch.calls) == (1, 1, 1)
    assert before.arguments[0] == leaving.arguments[0] == space
    head = batch.arguments[0]
    assert machine.memory.number(machine.memory.number(head)) == head
    assert held(machine) == []


@pytest.mark.parametrize(("register", "end"), PERNET)
def test_a_subsystem_has_data_of_its_own_in_the_name_space(
    machine: Machine, register: str, end: str
) -> None:
    place, other = ROOM, ROOM + 8
    first, second = (operations(machine, id=each, size=100) for each in (place, other))
    for each in (first, second):
        assert run(machine, register, each) == 0
    numbers = [machine.memory.number(each, 4) for each in (place, other)]
    assert len({*numbers}) == 2
    space = machine.kernel_symbols.address("init_net")
    table = machine.memory.number(space + NET_GENERIC)
    data = machine.memory.number(table + 8 * numbers[0])
    assert machine.heap.size(data) == 100
    run(machine, end, first)
    assert machine.heap.size(data) is None
    assert machine.memory.number(table + 8 * numbers[0]) == 0
    unload(machine)
    assert machine.memory.number(table + 8 * numbers[1]) == 0


@pytest.mark.parametrize("register", [each for each, _ in PERNET])
def test_a_subsystem_that_does_not_begin_leaves_nothing(machine: Machine, register: str) -> None:
    init = callback(machine, -errno.ENOMEM)
    made = operations(machine, init=init.address, id=ROOM, size=100)
    assert run(machine, register, made) == -errno.ENOMEM
    assert held(machine) == []
    table = machine.memory.number(machine.kernel_symbols.address("init_net") + NET_GENERIC)
    assert machine.memory.number(table + 8 * machine.memory.number(ROOM, 4)) == 0
    assert oops(machine, register, 0).startswith(NULL_DEREFERENCE)


@pytest.mark.parametrize("function", ["sock_create_kern", "__sock_create"])
def test_a_socket_and_its_sock_know_each_other(machine: Machine, function: str) -> None:
    assert run(machine, function, 0, AF_INET, STREAM, 6, ROOM, 1) == 0
    socket = machine.memory.number(ROOM)
    sock = machine.memory.number(socket + SOCKET_SOCK)
    assert machine.memory.number(sock + SOCK_SOCKET) == socket
    assert [kind for kind, _ in held(machine)] == ["socket"]
    release = machine.memory.number(machine.memory.number(socket + SOCKET_OPERATIONS) + 16)
    with machine.running("sample"):
        assert machine.call(release, socket) == 0
    run(machine, "sock_release", socket)
    assert (held(machine), machine.heap.size(socket)) == ([], None)
    run(machine, "sock_release", socket)


@pytest.mark.parametrize("function", ["sock_create_kern", "__sock_create"])
@pytest.mark.parametrize(
    ("family", "kind", "code"),
    [
        *((-1, STREAM, -errno.EAFNOSUPPORT), (46, STREAM, -errno.EAFNOSUPPORT)),
        *((AF_INET, -1, -errno.EINVAL), (AF_INET, 11, -errno.EINVAL)),
    ],
)
def test_a_socket_of_no_family_or_type_is_refused(
    machine: Machine, function: str, family: int, kind: int, code: int
) -> None:
    machine.memory.put(ROOM, 7)
    assert run(machine, function, 0, family, kind, 0, ROOM, 1) == code
    assert (machine.memory.number(ROOM), held(machine)) == (7, [])


def test_a_sock_is_as_large_as_its_protocol_has_it_and_knows_its_name_space(
    machine: Machine,
) -> None:
    protocol = put_structure(machine, 512, {352: 5000})
    sock = run(machine, "sk_alloc", 0xBA0, AF_INET, 0, protocol, 1)
    assert machine.heap.size(sock) == 5000
    pointers = [machine.memory.number(sock + at) for at in (SOCK_PROT, SOCK_NET, SOCK_CREATOR)]
    assert pointers == [protocol, 0xBA0, protocol]
    assert machine.memory.number(sock + 16, 2) == AF_INET
    run(machine, "sk_free", sock)
    assert (held(machine), machine.heap.size(sock)) == ([], None)
    assert oops(machine, "sk_alloc", 0, AF_INET, 0, 0, 0).startswith(NULL_DEREFERENCE)


def test_a_socket_that_the_kernel_makes_is_in_a_name_space(machine: Machine) -> None:
    run(machine, "sock_create_kern", 0xBA0, AF_INET, STREAM, 6, ROOM)
    sock = machine.memory.number(machine.memory.number(ROOM) + SOCKET_SOCK)
    run(machine, "inet_ctl_sock_create", ROOM, AF_INET, 3, 1, 0xBA8)
    other = machine.memory.number(ROOM)
    assert [machine.memory.number(each + SOCK_NET) for each in (sock, other)] == [0xBA0, 0xBA8]


def test_a_packet_is_dropped_for_a_reason(machine: Machine) -> None:
    packet = run(machine, "__alloc_skb", 100, 0, 0, 0)
    for _ in range(2):
        run(machine, "sk_skb_reason_drop", 0, packet, 2)
    assert (held(machine), machine.heap.size(packet)) == ([], None)


def test_a_message_that_nobody_listens_to_has_no_room(machine: Machine) -> None:
    assert run(machine, "genlmsg_put", ROOM, 0, 0, ROOM, 0, 1) == 0


def test_a_control_sock_is_released_as_its_socket(machine: Machine) -> None:
    assert run(machine, "inet_ctl_sock_create", ROOM, AF_INET, 3, 1, 0) == 0
    sock = machine.memory.number(ROOM)
    run(machine, "sock_release", machine.memory.number(sock + SOCK_SOCKET))
    assert held(machine) == []
    assert oops(machine, "inet_ctl_sock_create", 8, 2, 3, 1).startswith(NULL_DEREFERENCE)


def test_a_directory_of_fragments_knows_whose_it_is(machine: Machine) -> None:
    assert run(machine, "fqdir_init", ROOM, 0xF00, 0xBA0) == 0
    made = machine.memory.number(ROOM)
    assert [machine.memory.number(made + at) for at in (24, 32)] == [0xF00, 0xBA0]
    assert [kind for kind, _ in held(machine)] == ["fragment directory"]
    run(machine, "fqdir_exit", made)
    assert (held(machine), machine.heap.size(made)) == ([], None)


def test_a_next_hop_notifier_is_not_told_why_it_fails_until_5_11(machine: Machine) -> None:
    with having(register_nexthop_notifier="ipp"):
        assert run(machine, "register_nexthop_notifier", 0xBA0, ROOM) == 0
        assert run(machine, "register_nexthop_notifier", 0xBA0, ROOM) == -errno.EEXIST
    assert run(machine, "unregister_nexthop_notifier", 0xBA0, ROOM) == 0
    assert held(machine) == []
