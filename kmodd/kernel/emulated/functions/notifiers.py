# SPDX-License-Identifier: Apache-2.0
"""Chains of those who are told of something (kernel/notifier.c): a module's own, and the kernel's of
the keyboard. A chain has each once, the highest priority first.
"""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.abi.structures import NOTIFIER
from kmodd.kernel.emulated.machine.machine import Machine

KEYBOARD, _REBOOT, _PLAIN = "keyboard notifier", "reboot notifier", "notifier"
_DONE, _STOP = 0, 0x8000


@dataclass(slots=True)
class NotifierChains:
    """The notifiers of each chain, by its head or its kind, in the order in which they are told."""

    chains: dict[int | str, list[int]] = field(default_factory=dict)


def _chain(machine: Machine, which: int | str) -> list[int]:
    return machine.state(NotifierChains).chains.setdefault(which, [])


def _register(machine: Machine, which: int | str, notifier: int, kind: str) -> int:
    chain = _chain(machine, which)
    if notifier in chain:
        return -errno.EEXIST

    def priority(each: int) -> int:
        return machine.memory.number(each + NOTIFIER.priority, 4, signed=True)

    own = priority(notifier)
    place = next((at for at, each in enumerate(chain) if priority(each) < own), len(chain))
    chain.insert(place, notifier)
    machine.ledger.take(kind, notifier, kind)
    return 0


def _unregister(machine: Machine, which: int | str, notifier: int, kind: str) -> int:
    chain = _chain(machine, which)
    if notifier not in chain:
        return -errno.ENOENT
    chain.remove(notifier)
    machine.ledger.give(kind, notifier)
    return 0


@reclaims(KEYBOARD, _REBOOT, _PLAIN)
def forget_notifier(machine: Machine, notifier: int) -> None:
    """Tell nothing to a module that is gone."""
    for chain in machine.state(NotifierChains).chains.values():
        if notifier in chain:
            chain.remove(notifier)


def tell(machine: Machine, which: int | str, action: int, data: int) -> int:
    """Call a chain, until one says that the others are not to be; return what the last said."""
    said = _DONE
    for notifier in tuple(_chain(machine, which)):
        code = machine.memory.number(notifier + NOTIFIER.function)
        said = machine.call(code, notifier, action, data)
        if said & _STOP:
            break
    return said


@function("int register_keyboard_notifier(struct notifier_block *nb)")
def register_keyboard_notifier(machine: Machine, notifier: int) -> int:
    return _register(machine, KEYBOARD, notifier, KEYBOARD)


@function("int unregister_keyboard_notifier(struct notifier_block *nb)")
def unregister_keyboard_notifier(machine: Machine, notifier: int) -> int:
    return _unregister(machine, KEYBOARD, notifier, KEYBOARD)


@function("int register_reboot_notifier(struct notifier_block *nb)")
def register_reboot_notifier(machine: Machine, notifier: int) -> int:
    """This kernel ends with its process, and tells nobody."""
    return _register(machine, _REBOOT, notifier, _REBOOT)


@function("int unregister_reboot_notifier(struct notifier_block *nb)")
def unregister_reboot_notifier(machine: Machine, notifier: int) -> int:
    return _unregister(machine, _REBOOT, notifier, _REBOOT)


@function(
    *(
        f"int {kind}_notifier_chain_register(struct {kind}_notifier_head *nh, struct notifier_block"
        " *nb)"
        for kind in ("blocking", "atomic", "raw", "srcu")
    )
)
def chain_register(machine: Machine, head: int, notifier: int) -> int:
    return _register(machine, head, notifier, _PLAIN)


@function(
    *(
        f"int {kind}_notifier_chain_unregister(struct {kind}_notifier_head *nh, struct"
        " notifier_block *nb)"
        for kind in ("blocking", "atomic", "raw", "srcu")
    )
)
def chain_unregister(machine: Machine, head: int, notifier: int) -> int:
    return _unregister(machine, head, notifier, _PLAIN)


@function(
    *(
        f"int {kind}_notifier_call_chain(struct {kind}_notifier_head *nh, unsigned long val, void"
        " *v)"
        for kind in ("blocking", "atomic", "raw", "srcu")
    )
)
def call_chain(machine: Machine, head: int, action: int, data: int) -> int:
    return tell(machine, head, action, data)


@function("bool atomic_notifier_call_chain_is_empty(struct atomic_notifier_head *nh)")
def call_chain_is_empty(machine: Machine, head: int) -> int:
    return int(not _chain(machine, head))
