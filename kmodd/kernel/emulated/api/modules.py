# SPDX-License-Identifier: Apache-2.0
"""Modules and their references, kallsyms, request_module (kernel/module, kernel/kmod.c)."""

import errno

from kmodd.kernel.emulated.api.table import RETURN, RETURN_ZERO, function, machine_code, pairs
from kmodd.kernel.emulated.cpu.machine import Machine

_NAME = 24


def _name_of(machine: Machine, module: int) -> str:
    return machine.memory.text(module + _NAME, 56)


@function("bool try_module_get(struct module *module)")
def try_module_get(machine: Machine, module: int) -> int:
    return int(not module or machine.services.hold(_name_of(machine, module)))


@function("void __module_get(struct module *module)")
def module_get(machine: Machine, module: int) -> None:
    if module:
        machine.services.hold(_name_of(machine, module))


@function("void module_put(struct module *module)")
def module_put(machine: Machine, module: int) -> None:
    if module:
        machine.services.release(_name_of(machine, module))


@function("int __request_module(bool wait, const char *fmt, ...)")
def request_module(machine: Machine, _wait: int, _template: int) -> int:
    """Nobody is asked for the module: it is as if there were none, and the log says so."""
    machine.note_stub("__request_module")
    return 0


@function("void *__symbol_get(const char *symbol)", "void *__symbol_get_gpl(const char *symbol)")
def symbol_get(_machine: Machine, _symbol: int) -> int:
    """Nobody is asked for symbols at run time: none is found."""
    return 0


@function("int sprint_symbol(char *buffer, unsigned long address)")
def sprint_symbol(machine: Machine, buffer: int, address: int) -> int:
    text = machine.symbol(address).encode()
    machine.memory.write(buffer, text[:500] + b"\0")
    return len(text)


machine_code(
    RETURN_ZERO,
    """
    unsigned long kallsyms_lookup_name(const char *name)
    int module_refcount(struct module *mod)
    struct module *__module_address(unsigned long addr)
    """,
)

machine_code(
    RETURN,
    """
    void __symbol_put(const char *symbol)
    void add_taint(unsigned flag, enum lockdep_ok lockdep_ok)
    void __module_put_and_kthread_exit(struct module *mod, long code)
    """,
)

pairs(
    "module notifier: int register_module_notifier(struct notifier_block *nb) / int unregister_module_notifier(struct notifier_block *nb)"
)

NOT_FOUND = -errno.ENOENT
