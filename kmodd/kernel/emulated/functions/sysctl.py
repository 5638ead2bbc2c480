# SPDX-License-Identifier: Apache-2.0
"""Tables of settings in /proc/sys (fs/proc/proc_sysctl.c). Nobody reads or sets them.

A table that says what cannot be, or a name that is there already, is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.abi.structures import SYSCTL_ENTRY, SYSCTL_HEADER
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

_KIND = "sysctl table"
_HEADER_SIZE = 128

_ENTRIES_MAX, _PERMISSIONS = 1024, 0o666


@dataclass(slots=True)
class SysctlNames:
    """The ``names`` of all settings, each with the header of its table."""

    names: dict[str, int] = field(default_factory=dict)


@function(
    "struct ctl_table_header *register_net_sysctl(struct net *net, const char *path,"
    " struct ctl_table *table)"
)
def register_net_sysctl(machine: Machine, _net: int, path: int, table: int) -> int:
    return _register(machine, path, table, _ENTRIES_MAX)


@function(
    "struct ctl_table_header *register_net_sysctl_sz(struct net *net, const char *path,"
    " struct ctl_table *table, size_t table_size)"
)
def register_net_sysctl_sz(machine: Machine, _net: int, path: int, table: int, count: int) -> int:
    return _register(machine, path, table, min(count, _ENTRIES_MAX))


def _register(machine: Machine, path: int, table: int, most: int) -> int:
    where = machine.memory.text(path, 64) if path else ""
    known = machine.state(SysctlNames).names
    names = list[str]()
    for entry in _entries(machine, table, most):
        name = (
            f"{where}/{machine.memory.text(machine.memory.number(entry + SYSCTL_ENTRY.name), 64)}"
        )
        if not _is_valid(machine, entry, name, is_known=name in known):
            return 0
        names.append(name)
    header = machine.heap.allocate(_HEADER_SIZE)
    # Modules find in it the table that they have to free.
    machine.memory.put(header + SYSCTL_HEADER.table, table)
    machine.memory.put(header + SYSCTL_HEADER.table_argument, table)
    known.update(dict.fromkeys(names, header))
    machine.ledger.take(_KIND, header, f"{_KIND} '{where}'" if where else _KIND)
    return header


def _entries(machine: Machine, table: int, most: int) -> Iterator[int]:
    """Yield the entries of a table, which ends where one has no name, or after so many."""
    for entry in range(table, table + SYSCTL_ENTRY.size * most, SYSCTL_ENTRY.size):
        if not machine.memory.number(entry + SYSCTL_ENTRY.name):
            return
        yield entry


def _is_valid(machine: Machine, entry: int, name: str, *, is_known: bool) -> bool:
    """Tell whether an entry can be taken, and log why not; a directory has entries of its own."""
    if SYSCTL_ENTRY.has("child") and machine.memory.number(entry + SYSCTL_ENTRY.child):
        return True
    why = ""
    if is_known:
        why = "it is there already"
    elif not machine.memory.number(entry + SYSCTL_ENTRY.handler):
        why = "it has no proc_handler"
    elif machine.memory.number(entry + SYSCTL_ENTRY.mode, 2) & ~_PERMISSIONS:
        why = "its mode permits what no setting can"
    if why:
        machine.log.write(Level.ERR, f"sysctl table check failed: {name.lstrip('/')}: {why}\n")
    return not why


def _forget(machine: Machine, header: int) -> None:
    """Let the names of a table be others', and free its header."""
    known = machine.state(SysctlNames).names
    for name in [name for name, of in known.items() if of == header]:
        del known[name]
    machine.heap.free(header)


@function("struct ctl_table_header *register_sysctl(const char *path, struct ctl_table *table)")
def register_sysctl(machine: Machine, path: int, table: int) -> int | None:
    return register_net_sysctl(machine, 0, path, table)


@function(
    "struct ctl_table_header *register_sysctl_sz(const char *path, struct ctl_table *table, size_t"
    " table_size)"
)
def register_sysctl_sz(machine: Machine, path: int, table: int, count: int) -> int:
    return _register(machine, path, table, min(count, _ENTRIES_MAX))


@function("struct ctl_table_header *register_sysctl_table(struct ctl_table *table)")
def register_sysctl_table(machine: Machine, table: int) -> int | None:
    return register_net_sysctl(machine, 0, 0, table)


@function(
    "void unregister_net_sysctl_table(struct ctl_table_header *header)",
    "void unregister_sysctl_table(struct ctl_table_header *header)",
)
def unregister_sysctl_table(machine: Machine, header: int) -> None:
    if machine.ledger.give(_KIND, header) is not None:
        _forget(machine, header)


@reclaims(_KIND)
def reclaim(machine: Machine, header: int) -> None:
    """Free what a module has left."""
    _forget(machine, header)
