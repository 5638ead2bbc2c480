# SPDX-License-Identifier: Apache-2.0
"""Modules and their references, kallsyms, request_module (kernel/module, kernel/kmod.c)."""

import errno

from kmodd.kernel.emulated.abi.function_table import (
    FUNCTIONS,
    RETURN_ZERO,
    function,
    machine_code,
    pairs,
)
from kmodd.kernel.emulated.abi.structures import MODULE
from kmodd.kernel.emulated.functions.variadic import formatted
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level
from kmodd.kernel.taints import LETTERS


def _name_of(machine: Machine, module: int) -> str:
    return machine.memory.text(module + MODULE.name, MODULE.name_size)


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
def request_module(machine: Machine, wait: int, template: int) -> int:
    name = formatted(machine, template, 2)
    if len(name) >= MODULE.name_size:
        return -errno.ENAMETOOLONG
    return machine.requests.request(name.decode("utf-8", "replace"), wait=bool(wait))


@function("void *__symbol_get(const char *symbol)", "void *__symbol_get_gpl(const char *symbol)")
def symbol_get(machine: Machine, symbol: int) -> int:
    """The symbol of a module that stays while it is used, or the kernel's own."""
    name = machine.memory.text(symbol, 255)
    image = machine.images.exporter(name)
    if image is not None and name not in image.gpl_only:
        machine.log.write(Level.WARNING, f"failing symbol_get of non-GPLONLY symbol {name}.\n")
        return 0
    if image is not None:
        return image.exports[name] if machine.services.hold(image.name) else 0
    return machine.kernel_symbols.address(name) if name in FUNCTIONS else 0


@function("void __symbol_put(const char *symbol)")
def symbol_put(machine: Machine, symbol: int) -> None:
    image = machine.images.exporter(machine.memory.text(symbol, 255))
    if image is not None:
        machine.services.release(image.name)


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
    """,
)


@function("struct module *__module_address(unsigned long addr)")
def module_address(machine: Machine, address: int) -> int:
    image = machine.images.at(address)
    return image.this_module if image else 0


@function("void add_taint(unsigned int flag, enum lockdep_ok lockdep_ok)")
def add_taint(machine: Machine, flag: int, _lockdep: int) -> None:
    for letter in LETTERS[flag : flag + 1]:
        machine.services.taint(letter)


pairs(
    """
    module notifier: int register_module_notifier(struct notifier_block *nb) / int unregister_module_notifier(struct notifier_block *nb)
    """
)
