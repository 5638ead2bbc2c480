# SPDX-License-Identifier: Apache-2.0
"""Network devices and their types of link (net/core/dev.c, rtnetlink.c)."""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import RETURN, function, machine_code, reclaims
from kmodd.kernel.emulated.abi.structures import LINK_OPERATIONS, NET_DEVICE, NET_DEVICE_OPERATIONS
from kmodd.kernel.emulated.functions.sysfs import add_device, net_directory, remove_directory
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

_PRIVATE_MAX = 1 << 20
_NAME_SIZE, _NUMBERS_MAX = 16, 1 << 15
_LINK_TYPE = "link type"
_REGISTERED = "registered network device"


@dataclass(slots=True)
class NetDevices:
    """The devices that are ``registered``, in their order, and the ``link_types`` by name."""

    registered: dict[int, None] = field(default_factory=dict)
    link_types: dict[int, str] = field(default_factory=dict)


@function(
    "struct net_device *alloc_netdev_mqs(int sizeof_priv, const char *name, unsigned char"
    " name_assign_type, void (*setup)(struct net_device *), unsigned int txqs, unsigned int rxqs)"
)
def alloc_netdev(
    machine: Machine, private: int, name: int, _kind: int, setup: int, *queues: int
) -> int:
    if not all(queues):
        machine.log.write(Level.ERR, "alloc_netdev: Unable to allocate device with zero queues\n")
        return 0
    size = NET_DEVICE.size + 32 + min(max(private, 0), _PRIVATE_MAX)
    device = machine.heap.allocate(size)
    text = machine.memory.string(name, _NAME_SIZE - 1)
    machine.memory.write(device + NET_DEVICE.name, text)
    machine.memory.put(device + NET_DEVICE.address, machine.heap.allocate(32))
    if NET_DEVICE.has("private_size"):
        machine.memory.put(device + NET_DEVICE.private_size, max(private, 0), 4)
    machine.ledger.take("network device", device, f"network device '{text.decode('latin-1')}'")
    if setup:
        machine.invoke(setup, device)
    return device


@function(
    "struct net_device *alloc_etherdev_mqs(int sizeof_priv, unsigned int txqs, unsigned int rxqs)"
)
def alloc_etherdev(machine: Machine, private: int, *queues: int) -> int:
    name = machine.heap.allocate(8)
    machine.memory.write(name, b"eth%d")
    try:
        return alloc_netdev(machine, private, name, 0, 0, *queues) or 0
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
    code = _give_name(machine, device)
    if code:
        return code
    memory.put(device + NET_DEVICE.space, machine.kernel_symbols.address("init_net"))
    code = _operate(machine, device, NET_DEVICE_OPERATIONS.init)
    if code:
        return code if code < 0 else -errno.EIO
    machine.state(NetDevices).registered[device] = None
    machine.ledger.take(_REGISTERED, device, f"the registration of {_shown(machine, device)}")
    name = memory.text(device + NET_DEVICE.name, 16)
    add_device(machine, device + NET_DEVICE.device, name, parent=net_directory(machine))
    return 0


def _give_name(machine: Machine, device: int) -> int:
    """Give a device its name, with the first free number for %d; returns 0 or an errno below 0."""
    memory = machine.memory
    name = memory.string(device + NET_DEVICE.name, _NAME_SIZE)
    if not _is_name(name):
        return -errno.EINVAL
    registered = machine.state(NetDevices).registered
    names = {b"lo", *(memory.string(each + NET_DEVICE.name, _NAME_SIZE) for each in registered)}
    if b"%" not in name:
        return -errno.EEXIST if name in names else 0
    before, _, behind = name.partition(b"%")
    if not behind.startswith(b"d") or b"%" in behind:
        return -errno.EINVAL
    free = (before + b"%d" % each + behind[1:] for each in range(_NUMBERS_MAX))
    chosen = next((each for each in free if each not in names), b"")
    if not 0 < len(chosen) < _NAME_SIZE:
        return -errno.ENFILE
    memory.write(device + NET_DEVICE.name, chosen.ljust(_NAME_SIZE, b"\0"))
    return 0


def _is_name(name: bytes) -> bool:
    """Tell whether a network device can be called so."""
    if not 0 < len(name) < _NAME_SIZE or name in (b".", b".."):
        return False
    return not any(each in b"/: \t\n\v\f\r\xa0" for each in name)


@function("bool dev_valid_name(const char *name)")
def dev_valid_name(machine: Machine, name: int) -> int:
    return _is_name(machine.memory.string(name, _NAME_SIZE))


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
    machine.state(NetDevices).registered.pop(device, None)


@function(
    "void unregister_netdev(struct net_device *dev)",
    "void unregister_netdevice_queue(struct net_device *dev, struct list_head *head)",
)
def unregister_netdev(machine: Machine, device: int, *_list: int) -> None:
    """A device that says so is freed then, when nobody looks at it any more."""
    known = machine.state(NetDevices).registered
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
    kind = machine.memory.text(machine.memory.number(operations + LINK_OPERATIONS.kind), 64)
    known = machine.state(NetDevices).link_types
    if kind in known.values():
        return -errno.EEXIST
    known[operations] = kind
    machine.ledger.take(_LINK_TYPE, operations, f"{_LINK_TYPE} '{kind}'")
    return 0


@reclaims(_LINK_TYPE)
def forget_link_type(machine: Machine, operations: int) -> None:
    """Forget a type of a module that is gone."""
    machine.state(NetDevices).link_types.pop(operations, None)


@function(
    "void rtnl_link_unregister(struct rtnl_link_ops *ops)",
    "void __rtnl_link_unregister(struct rtnl_link_ops *ops)",
)
def rtnl_link_unregister(machine: Machine, operations: int) -> None:
    """What devices there are of that type go with it."""
    memory = machine.memory
    for device in tuple(machine.state(NetDevices).registered):
        if memory.number(device + NET_DEVICE.link_operations) == operations:
            unregister_netdev(machine, device)
    if machine.ledger.give(_LINK_TYPE, operations) is not None:
        forget_link_type(machine, operations)
