# SPDX-License-Identifier: Apache-2.0
"""Locks that spin, RCU, preemption, calls through registers (kernel/locking, kernel/rcu).

On one processor where nobody is interrupted no lock is waited for.
"""

import errno

import pytest

from tests.support.kernel_calls import held, put_code, run, unload
from tests.support.machine import ROOM, new_machine

LOCK, RESULT, MASK = ROOM, ROOM + 256, ROOM + 512

SPINNING = (
    ("_raw_spin_lock", "_raw_spin_unlock"),
    ("_raw_spin_lock_bh", "_raw_spin_unlock_bh"),
    ("_raw_spin_lock_irq", "_raw_spin_unlock_irq"),
    ("_raw_spin_lock_irqsave", "_raw_spin_unlock_irqrestore"),
)

SUCCEED = """
    ww_mutex_lock init_srcu_struct __percpu_init_rwsem
"""
"""They return 0 once they have what they wait for."""

SAY_NOTHING = """
    __srcu_read_lock __cond_resched _cond_resched __SCT__cond_resched __SCT__might_resched
    get_state_synchronize_rcu debug_lockdep_rcu_enabled
"""
"""What they return is 0: flags, an index, a state, and no lock debugging."""

SAY_YES = """
    rtnl_trylock rtnl_is_locked cpus_read_trylock console_trylock is_console_locked
    __percpu_down_read rcu_is_watching rcu_read_lock_held lockdep_rtnl_is_held
    lockdep_rht_bucket_is_held
"""

RETURN = """
    __fentry__ __x86_return_thunk zen_untrain_ret mcount ww_mutex_unlock percpu_down_write
    __percpu_up_read percpu_up_write percpu_free_rwsem cpus_read_lock cpus_read_unlock rtnl_lock
    rtnl_unlock __rtnl_unlock genl_lock genl_unlock console_lock console_unlock lock_sock_nested
    release_sock synchronize_rcu synchronize_rcu_expedited synchronize_rcu_tasks synchronize_net
    synchronize_srcu synchronize_srcu_expedited rcu_barrier_tasks
    cleanup_srcu_struct __srcu_read_unlock __rcu_read_lock __rcu_read_unlock
    rcu_read_unlock_strict cond_synchronize_rcu local_bh_disable preempt_schedule
    preempt_schedule_notrace preempt_schedule_thunk __SCT__preempt_schedule
    __SCT__preempt_schedule_notrace __might_sleep __might_resched __might_fault migrate_disable
    migrate_enable __static_key_deferred_flush jump_label_rate_limit lockdep_init_map_type
    kernel_fpu_begin_mask kernel_fpu_end
"""
"""They come back at once and leave all as it was."""

REGISTERS = {
    "rax": "48b8",
    "rcx": "48b9",
    "rdx": "48ba",
    "rbx": "48bb",
    "rbp": "48bd",
    "rsi": "48be",
    "rdi": "48bf",
    "r8": "49b8",
    "r9": "49b9",
    "r10": "49ba",
    "r11": "49bb",
    "r12": "49bc",
    "r13": "49bd",
    "r14": "49be",
    "r15": "49bf",
}
"""x86 code: mov to that register of a number, 8 bytes that follow."""

THUNKS = """
    __x86_indirect_thunk_rax __x86_indirect_call_thunk_rax __x86_indirect_jump_thunk_rax
    __x86_indirect_thunk_rcx __x86_indirect_call_thunk_rcx __x86_indirect_jump_thunk_rcx
    __x86_indirect_thunk_rdx __x86_indirect_call_thunk_rdx __x86_indirect_jump_thunk_rdx
    __x86_indirect_thunk_rbx __x86_indirect_call_thunk_rbx __x86_indirect_jump_thunk_rbx
    __x86_indirect_thunk_rbp __x86_indirect_call_thunk_rbp __x86_indirect_jump_thunk_rbp
    __x86_indirect_thunk_rsi __x86_indirect_call_thunk_rsi __x86_indirect_jump_thunk_rsi
    __x86_indirect_thunk_rdi __x86_indirect_call_thunk_rdi __x86_indirect_jump_thunk_rdi
    __x86_indirect_thunk_r8 __x86_indirect_call_thunk_r8 __x86_indirect_jump_thunk_r8
    __x86_indirect_thunk_r9 __x86_indirect_call_thunk_r9 __x86_indirect_jump_thunk_r9
    __x86_indirect_thunk_r10 __x86_indirect_call_thunk_r10 __x86_indirect_jump_thunk_r10
    __x86_indirect_thunk_r11 __x86_indirect_call_thunk_r11 __x86_indirect_jump_thunk_r11
    __x86_indirect_thunk_r12 __x86_indirect_call_thunk_r12 __x86_indirect_jump_thunk_r12
    __x86_indirect_thunk_r13 __x86_indirect_call_thunk_r13 __x86_indirect_jump_thunk_r13
    __x86_indirect_thunk_r14 __x86_indirect_call_thunk_r14 __x86_indirect_jump_thunk_r14
    __x86_indirect_thunk_r15 __x86_indirect_call_thunk_r15 __x86_indirect_jump_thunk_r15
"""


@pytest.mark.parametrize(("lock", "unlock"), SPINNING)
def test_a_spinlock_is_taken_until_it_is_given_back(lock: str, unlock: str) -> None:
    machine = new_machine()
    machine.memory.put(LOCK + 4, -1, 4)
    flags = run(machine, lock, LOCK)
    assert flags == (0x202 if lock.endswith("irqsave") else 0)
    assert machine.memory.number(LOCK) == 0xFFFFFFFF00000001
    run(machine, unlock, LOCK, flags)
    assert machine.memory.number(LOCK) == 0xFFFFFFFF00000000


READER, WRITER = 0x200, 0xFF
"""What a ``rwlock_t`` counts."""

READING_AND_WRITING = (
    *(
        ("_raw_read_lock", "_raw_read_unlock", READER),
        ("_raw_write_lock", "_raw_write_unlock", WRITER),
    ),
    ("_raw_read_lock_bh", "_raw_read_unlock_bh", READER),
    ("_raw_write_lock_bh", "_raw_write_unlock_bh", WRITER),
    ("_raw_read_lock_irq", "_raw_read_unlock_irq", READER),
    ("_raw_write_lock_irq", "_raw_write_unlock_irq", WRITER),
    ("_raw_read_lock_irqsave", "_raw_read_unlock_irqrestore", READER),
    ("_raw_write_lock_irqsave", "_raw_write_unlock_irqrestore", WRITER),
)


@pytest.mark.parametrize(("lock", "unlock", "count"), READING_AND_WRITING)
def test_a_lock_counts_its_readers_or_its_writer(lock: str, unlock: str, count: int) -> None:
    machine = new_machine()
    run(machine, lock, LOCK)
    assert machine.memory.number(LOCK) == count
    assert run(machine, "_raw_write_trylock", LOCK) == 0
    assert run(machine, "_raw_read_trylock", LOCK) == (count == READER)
    assert machine.memory.number(LOCK) == (2 * READER if count == READER else WRITER)
    for _ in range(1 + (count == READER)):
        run(machine, unlock, LOCK, 0)
    assert machine.memory.number(LOCK) == 0
    assert run(machine, "_raw_write_trylock", LOCK) == 1
    assert run(machine, "_raw_read_trylock", LOCK) == 0


@pytest.mark.parametrize("kind", ["spin", "read", "write"])
def test_interrupts_are_off_while_a_lock_says_so_and_then_as_they_were(kind: str) -> None:
    machine = new_machine()
    taken = run(machine, "kmalloc_trace", 0, 0, 64)

    def flags(*calls: str, rest: str = "") -> int:
        """Bit 9 (IF) behind some calls, of which each gets the lock and what the last returned."""
        code = "".join(
            # mov %rax, %rsi; movabs $taken, %rdi; movabs $function, %rax; call *%rax
            f"4889c648bf{taken.to_bytes(8, 'little').hex()}"
            f"48b8{machine.kernel_symbols.address(each).to_bytes(8, 'little').hex()}ffd0"
            for each in calls
        )
        start = put_code(machine, f"4883ec08{rest}{code}9c584883c408c3")  # pushf; pop %rax
        with machine.running("sample"):
            return machine.invoke(start) >> 9 & 1

    lock, unlock = f"_raw_{kind}_lock", f"_raw_{kind}_unlock"
    assert flags() == 1
    assert (flags(lock), flags(f"{lock}_irq"), flags(f"{lock}_irqsave")) == (1, 0, 0)
    assert flags(f"{lock}_irq", f"{unlock}_irq") == 1
    assert flags(f"{lock}_irqsave", f"{unlock}_irqrestore") == 1
    off = "fa"  # cli
    assert flags(f"{lock}_irqsave", f"{unlock}_irqrestore", rest=off) == 0
    assert flags(f"{lock}_irq", f"{unlock}_irq", rest=off) == 1


@pytest.mark.parametrize("name", ["_raw_spin_trylock", "_raw_spin_trylock_bh"])
def test_a_spinlock_that_is_taken_is_tried_in_vain(name: str) -> None:
    machine = new_machine()
    assert [run(machine, name, LOCK) for _ in range(3)] == [1, 0, 0]
    run(machine, "_raw_spin_unlock", LOCK)
    assert run(machine, name, LOCK) == 1
    assert machine.memory.number(LOCK, 4) == 1


@pytest.mark.parametrize("name", SUCCEED.split())
def test_what_is_waited_for_is_there_at_once(name: str) -> None:
    assert run(new_machine(), name, LOCK, 1) == 0


@pytest.mark.parametrize("name", SAY_NOTHING.split())
def test_there_is_nothing_to_tell_of_a_lock(name: str) -> None:
    assert run(new_machine(), name, LOCK, 1) == 0


@pytest.mark.parametrize("name", SAY_YES.split())
def test_a_lock_that_is_tried_is_taken_and_what_is_asked_for_is_held(name: str) -> None:
    assert run(new_machine(), name, LOCK) == 1


@pytest.mark.parametrize("name", RETURN.split())
def test_what_waits_for_nobody_returns_and_changes_nothing(name: str) -> None:
    machine = new_machine()
    machine.memory.write(LOCK, b"lock" * 16)
    run(machine, name, LOCK, RESULT)
    assert machine.memory.read(LOCK, 64) == b"lock" * 16
    assert held(machine) == []


def test_the_count_that_a_module_has_added_is_taken_back() -> None:
    machine = new_machine()
    with machine.running("sample"):
        machine.memory.put(machine.kernel_symbols.preempt_count, 0x203, 4)
        machine.invoke(machine.kernel_symbols.address("__local_bh_enable_ip"), 0, 0x200)
        assert machine.memory.number(machine.kernel_symbols.preempt_count, 4) == 3


@pytest.mark.parametrize("name", THUNKS.split())
def test_a_thunk_goes_where_its_register_points(name: str) -> None:
    machine = new_machine()
    target = put_code(machine, "b82a000000c3", at=256)
    thunk, register = machine.kernel_symbols.address(name), REGISTERS[name.rpartition("_")[2]]
    start = put_code(machine, register + target.to_bytes(8, "little").hex())
    jump = (thunk - start - 15).to_bytes(4, "little", signed=True).hex()
    put_code(machine, "e9" + jump, at=10)
    with machine.running("sample"):
        assert machine.call(start) == 42


@pytest.mark.parametrize(
    ("most", "for_each_processor", "count"), [(16, 0, 16), (16, 4, 4), (2, 4, 2), (1, 1, 1)]
)
def test_a_tables_locks_are_as_many_as_its_processors_need(
    most: int, for_each_processor: int, count: int
) -> None:
    machine = new_machine()
    arguments = (RESULT, MASK, most, for_each_processor, 0, 0, 0)
    assert run(machine, "__alloc_bucket_spinlocks", *arguments) == 0
    locks = machine.memory.number(RESULT)
    assert machine.memory.read(locks, 4 * count) == bytes(4 * count)
    assert machine.memory.number(MASK, 4) == count - 1
    assert held(machine) == [("memory", "bucket locks")]
    run(machine, "free_bucket_spinlocks", locks)
    assert held(machine) == []
    run(machine, "free_bucket_spinlocks", 0)


def test_a_tables_locks_are_not_without_number() -> None:
    machine = new_machine()
    machine.memory.put(RESULT, 5)
    arguments = (RESULT, MASK, 1 << 60, 0, 0, 0, 0)
    assert run(machine, "__alloc_bucket_spinlocks", *arguments) == -errno.ENOMEM
    assert (machine.memory.number(RESULT), held(machine)) == (5, [])


def test_a_tables_locks_that_are_left_are_reclaimed() -> None:
    machine = new_machine()
    run(machine, "__alloc_bucket_spinlocks", RESULT, MASK, 16, 0, 0, 0, 0)
    assert unload(machine) == [("memory", "bucket locks")]
    assert machine.heap.size(machine.memory.number(RESULT)) is None
