# SPDX-License-Identifier: Apache-2.0
"""The kernel's rules that a module has broken, in a sentence or two each."""

from kmodd.kernel.trials import Misstep

_OF_KINDS = {
    "oops": "Nobody catches what goes wrong in the kernel: check what a call has returned (NULL,"
    " IS_ERR) before it is used, and use nothing that was given back.",
    "stuck": "What is waited for must come, also where something has failed before; nothing else"
    " ends a wait in the kernel.",
    "unowned": "Only what was taken is given back, once, by one path: what was given back may be"
    " somebody else's by now.",
    "in use": "What was taken last is given back first: take away what points to memory, then free"
    " the memory.",
    "ignored": "Who calls what can fail looks at the result; an init that does not have what it"
    " needs gives back the rest and returns the error.",
    "undone": "An init that returns 0 has succeeded, and its exit will be called. One that has"
    " given up returns an errno below zero; PTR_ERR(NULL) is 0.",
    "bad result": "An init returns 0, or an errno below zero such as -ENOMEM.",
}
_LEAK_OF_INIT = (
    "After an init that has failed no exit is called, and the module's code is gone: init itself"
    " gives back what it took, in reverse order."
)
_LEAK_OF_EXIT = (
    "After the exit the module's code is gone: what is left then stays until the next boot, and"
    " may be called or followed though nothing is there."
)
_LEAK_OF_NAME = (
    "What was initialised (device_register, kobject_init_and_add) is given back with put_device()"
    " or kobject_put(), also where that failed: its name is freed there alone."
)


def rule_of(kind: str) -> str:
    """Return the rule of one of the KINDS but leaks."""
    return _OF_KINDS[kind]


def rule_broken(misstep: Misstep) -> str:
    """Return the rule that a misstep breaks."""
    if misstep.kind != "leak":
        return _OF_KINDS[misstep.kind]
    if misstep.what.startswith("the name of"):
        return _LEAK_OF_NAME
    return _LEAK_OF_INIT if misstep.phase == "init" else _LEAK_OF_EXIT
