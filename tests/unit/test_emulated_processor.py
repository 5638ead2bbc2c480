# SPDX-License-Identifier: Apache-2.0
"""The emulated processor by itself: what code may touch, and how long it may run."""

import threading

import pytest

from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.hardware import addresses, lockup_detector  # noqa: E402  # after the emulator
from kmodd.kernel.emulated.hardware.cpuid import FEATURES  # noqa: E402
from kmodd.kernel.emulated.hardware.events import Event, Faulted, Returned, Ticked  # noqa: E402
from kmodd.kernel.emulated.hardware.lockup_detector import LockupDetector  # noqa: E402
from kmodd.kernel.emulated.hardware.x86_64 import SLICE, X86_64, stack_of  # noqa: E402

HERE = addresses.MODULES
NOWHERE = 0xFFFFC80000000000
UNUSED = addresses.TEXT + 0x2468
LAST = addresses.DATA + addresses.DATA_SIZE

LOAD = bytes.fromhex("488b07c3")
"""mov (%rdi), %rax; ret"""
STORE = bytes.fromhex("48893731c0c3")
"""mov %rsi, (%rdi); xor %eax, %eax; ret"""
JUMP = bytes.fromhex("ffe7")
"""jmp *%rdi"""
PUSH_AND_POP = bytes.fromhex("5758 48ffcf 75f9 c3".replace(" ", ""))
"""1: push %rdi; pop %rax; dec %rdi; jnz 1b; ret"""
COUNT_DOWN = bytes.fromhex("31c0 ffc0 48ffcf 75f9 c3".replace(" ", ""))
"""xor %eax, %eax; 1: inc %eax; dec %rdi; jnz 1b; ret"""
INSTRUCTIONS = 3
"""Of a round of COUNT_DOWN."""


def call(cpu: X86_64, code: bytes, *arguments: int) -> Event:
    """Have a system call in which ``code`` is called; return its first event."""
    cpu.memory.write(HERE, code)
    cpu.forget_code()
    cpu.reset()
    return cpu.call(HERE, arguments, stack_of(cpu.memory, 0))


@pytest.mark.parametrize(
    ("code", "address", "access", "is_protection"),
    [
        (LOAD, NOWHERE + 0x123, "read", False),
        (STORE, NOWHERE + 0x123, "write", False),
        (JUMP, NOWHERE + 0x123, "execute", False),
        (LOAD, 8, "read", False),
        (STORE, UNUSED, "write", True),
        (JUMP, addresses.PER_CPU + 0x123, "execute", True),
        (LOAD, 1 << 60 | 0x123, "read", False),
    ],
)
def test_a_fault_names_the_very_address_and_what_was_wanted(
    code: bytes, address: int, access: str, is_protection: bool
) -> None:
    cpu = X86_64()
    at = address if access == "execute" else HERE
    expected = Faulted(at, access, address, is_protection)
    assert [call(cpu, code, address) for _ in range(2)] == [expected] * 2
    # What is allowed is allowed after it, and the registers are its own.
    assert call(cpu, STORE, addresses.DATA, 7) == Returned(0)
    assert call(cpu, LOAD, addresses.DATA) == Returned(7)
    assert call(cpu, LOAD, UNUSED) == Returned(0)


@pytest.mark.parametrize("code", [LOAD, STORE])
def test_what_reaches_beyond_the_last_page_is_a_fault(code: bytes) -> None:
    event = call(X86_64(), code, LAST - 4)
    assert isinstance(event, Faulted)
    assert LAST - 4 <= event.address <= LAST


def test_an_instruction_that_reaches_into_nothing_is_a_fault_of_the_page_behind() -> None:
    cpu = X86_64()
    end = HERE + addresses.MODULES_SIZE
    cpu.memory.write(end - 1, b"\x48")
    assert call(cpu, JUMP, end - 1) == Faulted(end - 1, "execute", end)


@pytest.mark.parametrize(
    ("word", "bit", "code"),
    [
        (4, 1, "660f3a44c100"),  # pclmulqdq
        (4, 9, "660f3800c1"),  # pshufb (SSSE3)
        (4, 12, "c4e2f198c1"),  # vfmadd132pd (FMA)
        (4, 19, "660f3840c1"),  # pmulld (SSE4.1)
        (4, 20, "f20f38f0c1"),  # crc32 (SSE4.2)
        (4, 22, "0f38f00424"),  # movbe
        (4, 23, "f30fb8c1"),  # popcnt
        (4, 25, "660f38dcc1"),  # aesenc
        (4, 29, "c4e27913c1"),  # vcvtph2ps (F16C)
        (4, 30, "0fc7f0"),  # rdrand
        (9, 3, "c4e278f2c1"),  # andn (BMI1)
        (9, 5, "c5f5efc1"),  # vpxor (AVX2)
        (9, 8, "c4e2fbf6c1"),  # mulx (BMI2)
        (9, 18, "0fc7f8"),  # rdseed
        (9, 19, "66480f38f6c1"),  # adcx
        (9, 20, "0f01cb"),  # stac
        (9, 23, "660fae3c24"),  # clflushopt
        (9, 24, "660fae3424"),  # clwb
        (9, 29, "0f38c9c1"),  # sha1msg1
    ],
)
def test_the_processor_has_what_it_says_it_has(word: int, bit: int, code: str) -> None:
    event = call(X86_64(), bytes.fromhex(code) + b"\xc3")
    assert isinstance(event, Returned) == bool(FEATURES[word] >> bit & 1)


def test_code_that_writes_and_reads_by_turns_is_given_each_page_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, asked = X86_64(), list[int]()
    permissions = cpu.memory.permissions

    def noted(address: int) -> int:
        asked.append(address)
        return permissions(address)

    monkeypatch.setattr(cpu.memory, "permissions", noted)
    assert call(cpu, PUSH_AND_POP, 1000) == Returned(1)
    # The trampoline and its mailbox, the code, the stack.
    assert len(asked) < 10


def test_a_run_that_takes_long_is_counted_from_there_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockup_detector, "LOOK_SECONDS", 0.001)
    cpu, rounds, ticks = X86_64(), 1 << 20, 0
    event = call(cpu, COUNT_DOWN, 1 << 62)
    assert isinstance(event, Ticked)
    assert HERE <= event.at < HERE + len(COUNT_DOWN)
    # The call is still the same one, and each slice is a tick.
    monkeypatch.setattr(lockup_detector, "LOOK_SECONDS", 5.0)
    event = cpu.call(HERE, (rounds,), stack_of(cpu.memory, 0))
    while isinstance(event, Ticked):
        ticks += 1
        event = cpu.run(event.at)
    assert event == Returned(rounds)
    assert ticks >= rounds * INSTRUCTIONS // SLICE
    # And the next one is not counted.
    assert call(cpu, COUNT_DOWN, rounds) == Returned(rounds)


def test_the_lockup_detector_ends_when_nobody_runs_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lockup_detector, "LOOK_SECONDS", 0.001)
    stopped = threading.Event()
    one = LockupDetector(stopped.set)
    for _ in range(2):
        others = set(threading.enumerate())
        one.watch()
        one.runs += 1
        (thread,) = set(threading.enumerate()) - others
        assert stopped.wait(30)
        one.runs += 1
        thread.join(30)
        assert not thread.is_alive()
        stopped.clear()
