# SPDX-License-Identifier: Apache-2.0
"""Credentials and keys (kernel/cred.c, security/keys)."""

from kmodd.kernel.emulated.abi.function_table import RETURN, function, machine_code, reclaims
from kmodd.kernel.emulated.abi.structures import CREDENTIALS, TASK
from kmodd.kernel.emulated.functions.sync import current
from kmodd.kernel.emulated.machine.machine import Machine

_CREDENTIALS, _KEY_RING = "credentials", "key ring"
_SIZE = 8192


@function("struct cred *prepare_kernel_cred(struct task_struct *daemon)")
def prepare_kernel_cred(machine: Machine, _task: int) -> int:
    """Its count is of references, which modules give back by themselves."""
    made = machine.heap.allocate(_SIZE)
    machine.memory.put(made + CREDENTIALS.usage, 1, 4)
    machine.ledger.take(_CREDENTIALS, made)
    return made


@function("void __put_cred(struct cred *cred)")
def put_cred(machine: Machine, credentials: int) -> None:
    """They take the key ring of the thread that they are for with them."""
    if machine.ledger.give(_CREDENTIALS, credentials) is None:
        return
    ring = machine.memory.number(credentials + CREDENTIALS.thread_keyring)
    if ring:
        key_put(machine, ring)
    machine.heap.free(credentials)


@function(
    "struct key *keyring_alloc(const char *description, kuid_t uid, kgid_t gid, const struct cred"
    " *cred, u32 perm, unsigned long flags, struct key_restriction *restrict_link, struct key"
    " *dest)"
)
def keyring_alloc(machine: Machine, *_arguments: int) -> int:
    made = machine.heap.allocate(_SIZE)
    machine.ledger.take(_KEY_RING, made)
    return made


@function("void key_put(struct key *key)")
def key_put(machine: Machine, key: int) -> None:
    if machine.ledger.give(_KEY_RING, key) is not None:
        machine.heap.free(key)


@reclaims(_CREDENTIALS, _KEY_RING)
def forget(machine: Machine, made: int) -> None:
    """Free what a module has left."""
    machine.heap.free(made)


@function("const struct cred *override_creds(const struct cred *new)")
def override_creds(machine: Machine, fresh: int) -> int:
    """Let the task that runs have others, which are referred to once more."""
    where = current(machine) + TASK.credentials
    old = machine.memory.number(where)
    usage = fresh + CREDENTIALS.usage
    machine.memory.put(usage, machine.memory.number(usage, 4) + 1, 4)
    machine.memory.put(where, fresh)
    return old


@function("void revert_creds(const struct cred *old)")
def revert_creds(machine: Machine, old: int) -> None:
    where = current(machine) + TASK.credentials
    override = machine.memory.number(where)
    machine.memory.put(where, old)
    usage = override + CREDENTIALS.usage
    references = machine.memory.number(usage, 4) - 1
    machine.memory.put(usage, references, 4)
    if not references:
        put_cred(machine, override)


machine_code(RETURN, "void key_revoke(struct key *key)")
