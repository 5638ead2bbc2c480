# SPDX-License-Identifier: Apache-2.0
"""Locks that spin, RCU, preemption, barriers: on one processor, where nobody is interrupted, they
are never waited for."""

import errno

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ONE,
    RETURN_ZERO,
    function,
    machine_code,
)
from kmodd.kernel.emulated.functions.memory import allocate, release
from kmodd.kernel.emulated.machine.machine import Machine

_LOCK_SIZE = 4

_OFF, _ON = bytes.fromhex("fa"), bytes.fromhex("fb")
"""x86 code: cli, sti"""

_SAVE = bytes.fromhex("9c58") + _OFF
"""x86 code: pushf; pop %rax; cli"""

_RESTORE = bytes.fromhex("f7c6000200007401") + _ON
"""x86 code: test $0x200, %esi; jz over the sti: back to what the flags say"""

_LOCK, _UNLOCK = bytes.fromhex("c70701000000"), bytes.fromhex("c60700")
"""x86 code: movl $1, (%rdi), and movb $0: what ``spin_is_locked`` looks at."""

_TRY_LOCK = bytes.fromhex("b801000000870783f001")
"""x86 code: mov $1, %eax; xchg %eax, (%rdi); xor $1, %eax"""

_READ, _READ_NO_MORE = bytes.fromhex("810700020000"), bytes.fromhex("812f00020000")
"""x86 code: addl $0x200, (%rdi), and subl: one reader (asm-generic/qrwlock.h)."""

_WRITE, _WRITE_NO_MORE = bytes.fromhex("c707ff000000"), bytes.fromhex("c60700")
"""x86 code: movl $0xff, (%rdi), and movb $0: the writer."""

_TRY_READ = bytes.fromhex("31c0803f007508") + _READ + bytes.fromhex("ffc0")
"""x86 code: xor %eax, %eax; cmpb $0, (%rdi); jne to the end; a reader; inc %eax"""

_TRY_WRITE = bytes.fromhex("31c0833f007508") + _WRITE + bytes.fromhex("ffc0")
"""x86 code: xor %eax, %eax; cmpl $0, (%rdi); jne to the end; the writer; inc %eax"""


def _spinning(lock: bytes, unlock: bytes, kind: str, name: str) -> None:
    """Declare a lock's functions, which disable interrupts where their names say so."""
    before = f"void _raw_{name}_"
    for ending, code in (("", b""), ("_bh", b""), ("_irq", _OFF)):
        machine_code(code + lock + RETURN, f"{before}lock{ending}({kind} *lock)")
    for ending, code in (("", b""), ("_bh", b""), ("_irq", _ON)):
        machine_code(unlock + code + RETURN, f"{before}unlock{ending}({kind} *lock)")
    machine_code(_SAVE + lock + RETURN, f"unsigned long _raw_{name}_lock_irqsave({kind} *lock)")
    machine_code(
        unlock + _RESTORE + RETURN,
        f"{before}unlock_irqrestore({kind} *lock, unsigned long flags)",
    )


_spinning(_LOCK, _UNLOCK, "raw_spinlock_t", "spin")
_spinning(_READ, _READ_NO_MORE, "rwlock_t", "read")
_spinning(_WRITE, _WRITE_NO_MORE, "rwlock_t", "write")
machine_code(
    _TRY_LOCK + RETURN,
    """
    int _raw_spin_trylock(raw_spinlock_t *lock)
    int _raw_spin_trylock_bh(raw_spinlock_t *lock)
    """,
)
machine_code(_TRY_READ + RETURN, "int _raw_read_trylock(rwlock_t *lock)")
machine_code(_TRY_WRITE + RETURN, "int _raw_write_trylock(rwlock_t *lock)")
machine_code(
    RETURN_ZERO,
    """
    int __srcu_read_lock(struct srcu_struct *ssp)
    int init_srcu_struct(struct srcu_struct *ssp)
    int __percpu_init_rwsem(struct percpu_rw_semaphore *sem, const char *name, struct lock_class_key *rwsem_key)
    int __cond_resched|_cond_resched(void)
    int __SCT__cond_resched(void)
    int __SCT__might_resched(void)
    unsigned long get_state_synchronize_rcu(void)
    int debug_lockdep_rcu_enabled(void)
    int ww_mutex_lock(struct ww_mutex *lock, struct ww_acquire_ctx *ctx)
    """,
)

machine_code(
    RETURN_ONE,
    """
    int rtnl_trylock(void)
    int rtnl_is_locked(void)
    bool cpus_read_trylock(void)
    int console_trylock(void)
    int is_console_locked(void)
    bool __percpu_down_read(struct percpu_rw_semaphore *sem, bool try)
    bool __percpu_down_read(struct percpu_rw_semaphore *sem, bool try, bool freeze)
    bool rcu_is_watching(void)
    int rcu_read_lock_held(void)
    int lockdep_rtnl_is_held(void)
    int lockdep_rht_bucket_is_held(const void *tbl, u32 hash)
    """,
)

machine_code(
    RETURN,
    """
    void __fentry__(void)
    void __x86_return_thunk(void)
    void zen_untrain_ret(void)
    void mcount(void)
    void __percpu_up_read(struct percpu_rw_semaphore *sem)
    void ww_mutex_unlock(struct ww_mutex *lock)
    void percpu_down_write(struct percpu_rw_semaphore *sem)
    void percpu_up_write(struct percpu_rw_semaphore *sem)
    void percpu_free_rwsem(struct percpu_rw_semaphore *sem)
    void cpus_read_lock(void)
    void cpus_read_unlock(void)
    void rtnl_lock(void)
    void rtnl_unlock(void)
    void __rtnl_unlock(void)
    void genl_lock(void)
    void genl_unlock(void)
    void console_lock(void)
    void console_unlock(void)
    void lock_sock_nested(struct sock *sk, int subclass)
    void release_sock(struct sock *sk)
    void synchronize_rcu(void)
    void synchronize_rcu_expedited(void)
    void synchronize_rcu_tasks(void)
    void synchronize_net(void)
    void synchronize_srcu(struct srcu_struct *ssp)
    void synchronize_srcu_expedited(struct srcu_struct *ssp)
    void rcu_barrier_tasks(void)
    void cleanup_srcu_struct(struct srcu_struct *ssp)
    void __srcu_read_unlock(struct srcu_struct *ssp, int idx)
    void __rcu_read_lock(void)
    void __rcu_read_unlock(void)
    void rcu_read_unlock_strict(void)
    void cond_synchronize_rcu(unsigned long oldstate)
    void local_bh_disable(void)
    void preempt_schedule(void)
    void preempt_schedule_notrace(void)
    void preempt_schedule_thunk(void)
    void __SCT__preempt_schedule(void)
    void __SCT__preempt_schedule_notrace(void)
    void __might_sleep(const char *file, int line)
    void __might_resched(const char *file, int line, unsigned int offsets)
    void __might_fault(const char *file, int line)
    void migrate_disable(void)
    void migrate_enable(void)
    void __static_key_deferred_flush(void *key, struct delayed_work *work)
    void jump_label_rate_limit(struct static_key_deferred *key, unsigned long rl)
    void lockdep_init_map_type(struct lockdep_map *lock, const char *name, struct lock_class_key *key, int subclass, u8 inner, u8 outer, u8 lock_type)
    void kernel_fpu_begin_mask(unsigned int kfpu_mask)
    void kernel_fpu_end(void)
    """,
)


@function("void __local_bh_enable_ip(unsigned long ip, unsigned int cnt)")
def enable_bottom_halves(machine: Machine, _ip: int, cnt: int) -> None:
    """Take back what a module's own code, which calls nothing for it, has added before."""
    address = machine.kernel_symbols.preempt_count
    machine.memory.put(address, machine.memory.number(address, 4) - cnt, 4)


def _thunks() -> None:
    """What calls through a register are made of: ``jmp *REGISTER`` (retpoline.S)."""
    registers = [
        "rax",
        "rcx",
        "rdx",
        "rbx",
        "rsp",
        "rbp",
        "rsi",
        "rdi",
        "r8",
        "r9",
        "r10",
        "r11",
        "r12",
        "r13",
        "r14",
        "r15",
    ]
    for number, register in enumerate(registers):
        prefix = b"\x41" if number >= 8 else b""
        code = prefix + bytes([0xFF, 0xE0 | number & 7])
        for kind in ("", "call_", "jump_"):
            name = f"__x86_indirect_{kind}thunk_{register}"
            machine_code(code, f"void {name}(void)")


_thunks()


@function(
    "int __alloc_bucket_spinlocks(spinlock_t **locks, unsigned int *mask, size_t max_size,"
    " unsigned int cpu_mult, gfp_t gfp, const char *name, struct lock_class_key *key)"
)
def alloc_bucket_spinlocks(
    machine: Machine, result: int, mask: int, most: int, for_each_cpu: int, *_rest: int
) -> int:
    count = min(for_each_cpu, most) if for_each_cpu else most
    locks = allocate(machine, _LOCK_SIZE * count, what="bucket locks")
    if not locks:
        return -errno.ENOMEM
    machine.memory.put(result, locks)
    machine.memory.put(mask, count - 1, 4)
    return 0


@function("void free_bucket_spinlocks(spinlock_t *locks)")
def free_bucket_spinlocks(machine: Machine, locks: int) -> None:
    release(machine, locks)
