# SPDX-License-Identifier: Apache-2.0
"""Tables of settings in /proc/sys (fs/proc/proc_sysctl.c). Nobody reads or sets them."""

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.abi.structures import SYSCTL_HEADER
from kmodd.kernel.emulated.machine.machine import Machine

_KIND = "sysctl table"
_HEADER_SIZE = 128


@function(
    "struct ctl_table_header *register_net_sysctl(struct net *net, const char *path,"
    " struct ctl_table *table)"
)
def register_net_sysctl(machine: Machine, _net: int, path: int, table: int) -> int:
    header = machine.heap.allocate(_HEADER_SIZE)
    if header:
        # Modules find in it the table that they have to free.
        machine.memory.put(header + SYSCTL_HEADER.table, table)
        machine.memory.put(header + SYSCTL_HEADER.table_argument, table)
        where = f" '{machine.memory.text(path, 64)}'" if path else ""
        machine.ledger.take(_KIND, header, f"{_KIND}{where}")
    return header


@function("struct ctl_table_header *register_sysctl(const char *path, struct ctl_table *table)")
def register_sysctl(machine: Machine, path: int, table: int) -> int | None:
    return register_net_sysctl(machine, 0, path, table)


@function("struct ctl_table_header *register_sysctl_table(struct ctl_table *table)")
def register_sysctl_table(machine: Machine, table: int) -> int | None:
    return register_net_sysctl(machine, 0, 0, table)


@function(
    "void unregister_net_sysctl_table(struct ctl_table_header *header)",
    "void unregister_sysctl_table(struct ctl_table_header *header)",
)
def unregister_sysctl_table(machine: Machine, header: int) -> None:
    if machine.ledger.give(_KIND, header) is not None:
        machine.heap.free(header)


@reclaims(_KIND)
def reclaim(machine: Machine, header: int) -> None:
    """Free what a module has left."""
    machine.heap.free(header)
