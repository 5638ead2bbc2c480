# SPDX-License-Identifier: Apache-2.0
"""Copies to and from the memory of users (lib/usercopy.c, mm/util.c)."""

from errno import EFAULT, EINVAL, ERANGE

import pytest

from tests.support.kernel_calls import error_pointer, held, put_code, run
from tests.support.machine import ROOM, Machine, new_machine

NUMBERS = {
    "kstrtou8": (1, b"255"),
    "kstrtos8": (1, b"-128"),
    "kstrtou16": (2, b"65535"),
    "kstrtos16": (2, b"-32768"),
    "kstrtouint": (4, b"4294967295"),
    "kstrtoint": (4, b"-7"),
    "kstrtoul": (8, b"18446744073709551615"),
    "kstrtol": (8, b"-1"),
    "kstrtoll": (8, b"-9"),
    "kstrtoull": (8, b"5\n"),
}
NAMES = [
    *("kstrtou8_from_user", "kstrtos8_from_user", "kstrtou16_from_user", "kstrtos16_from_user"),
    *("kstrtouint_from_user", "kstrtoint_from_user", "kstrtoul_from_user", "kstrtol_from_user"),
    *("kstrtoull_from_user", "kstrtoll_from_user"),
]
GETTERS = {"__get_user_1": 1, "__get_user_2": 2, "__get_user_4": 4, "__get_user_8": 8} | {
    "__get_user_nocheck_1": 1,
    "__get_user_nocheck_2": 2,
    "__get_user_nocheck_4": 4,
    "__get_user_nocheck_8": 8,
}
PUTTERS = {"__put_user_1": 1, "__put_user_2": 2, "__put_user_4": 4, "__put_user_8": 8} | {
    "__put_user_nocheck_1": 1,
    "__put_user_nocheck_2": 2,
    "__put_user_nocheck_4": 4,
    "__put_user_nocheck_8": 8,
}
KEPT = (0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57)
KERNEL_ADDRESS = ROOM


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def test_what_is_copied_ends_with_the_users_buffer(machine: Machine) -> None:
    buffer = bytearray(b"0123456789")
    machine.memory.write(ROOM, b"abcdef")
    with machine.users.lending(buffer) as user:
        assert run(machine, "_copy_to_user", user + 2, ROOM, 3) == 0
        assert buffer == b"01abc56789"
        assert run(machine, "_copy_to_user", user + 8, ROOM, 6) == 4
        assert buffer == b"01abc567ab"
        assert run(machine, "_copy_from_user", ROOM, user + 7, 5) == 2
        assert machine.memory.read(ROOM, 6) == b"7ab\0\0f"
        assert run(machine, "clear_user", user + 9, 3) == 2
        assert buffer[9] == 0
    for nobodys in (user, 0, KERNEL_ADDRESS, (1 << 64) - 8):
        assert run(machine, "_copy_to_user", nobodys, ROOM, 4) == 4
        assert run(machine, "_copy_from_user", ROOM, nobodys, 4) == 4
        assert run(machine, "clear_user", nobodys, 4) == 4


def test_a_users_buffers_are_apart(machine: Machine) -> None:
    first, second = bytearray(4096), bytearray(8)
    with machine.users.lending(first) as one, machine.users.lending(second) as other:
        assert other >= one + 2 * 4096
        assert run(machine, "_copy_to_user", one + 4090, ROOM, 16) == 10


def test_an_iterator_goes_through_a_users_buffer(machine: Machine) -> None:
    buffer = bytearray(b"abcdef")
    with machine.users.lending(buffer) as user:
        machine.memory.put(ROOM, 6, 1)
        machine.memory.put(ROOM + 16, 6)
        machine.memory.put(ROOM + 24, user)
        assert run(machine, "_copy_from_iter", ROOM + 64, 2, ROOM) == 2
        assert machine.memory.read(ROOM + 64, 2) == b"ab"
        run(machine, "iov_iter_advance", ROOM, 1)
        assert run(machine, "_copy_to_iter", ROOM + 64, 2, ROOM) == 2
        assert bytes(buffer) == b"abcabf"
        run(machine, "iov_iter_revert", ROOM, 3)
        assert run(machine, "_copy_from_iter", ROOM + 64, 9, ROOM) == 4
        assert machine.memory.read(ROOM + 64, 4) == b"cabf"
        assert run(machine, "_copy_to_iter", ROOM + 64, 2, ROOM) == 0


def test_texts_of_users_end_with_their_nul(machine: Machine) -> None:
    with machine.users.lending(bytearray(b"word\0rest")) as user:
        assert run(machine, "strncpy_from_user", ROOM, user, 100) == 4
        assert machine.memory.read(ROOM, 5) == b"word\0"
        assert run(machine, "strncpy_from_user", ROOM, user, 2) == 2
        assert run(machine, "strncpy_from_user", ROOM, user + 5, 100) == -EFAULT
        assert run(machine, "strncpy_from_user", ROOM, user, 0) == 0
        assert run(machine, "strnlen_user", user, 100) == 5
        assert run(machine, "strnlen_user", user + 5, 100) == 0
        text = run(machine, "strndup_user", user, 100)
        assert machine.memory.string(text) == b"word"
        assert run(machine, "strndup_user", user, 4) == error_pointer(EINVAL)
        assert run(machine, "strndup_user", user + 5, 100) == error_pointer(EFAULT)
    assert held(machine) == [("memory", "5 bytes of memory")]


def test_what_is_duplicated_is_the_callers(machine: Machine) -> None:
    with machine.users.lending(bytearray(b"data")) as user:
        for name in ("memdup_user", "vmemdup_user", "memdup_user_nul"):
            made = run(machine, name, user, 4)
            assert machine.memory.read(made, 4) == b"data"
            assert run(machine, name, user, 5) == error_pointer(EFAULT)
        assert machine.memory.read(made, 5) == b"data\0"
    assert len(held(machine)) == 3


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_read_out_of_users_texts(machine: Machine, name: str) -> None:
    size, text = NUMBERS[name.removesuffix("_from_user")]
    with machine.users.lending(bytearray(text)) as user:
        assert run(machine, name, user, len(text), 0, ROOM) == 0
        signed = text.startswith(b"-")
        assert machine.memory.number(ROOM, size, signed=signed) == int(text)
        assert run(machine, name, user, len(text) + 1, 0, ROOM) == -EFAULT
    with machine.users.lending(bytearray(b"9" * 40 + b"x")) as user:
        assert run(machine, name, user, 40, 0, ROOM) == -ERANGE
        assert run(machine, name, user, 41, 0, ROOM) == -EINVAL


def test_a_yes_is_read_out_of_a_users_text(machine: Machine) -> None:
    with machine.users.lending(bytearray(b"Yes")) as user:
        assert run(machine, "kstrtobool_from_user", user, 3, ROOM) == 0
        assert machine.memory.number(ROOM, 1) == 1
        assert run(machine, "kstrtobool_from_user", user, 4, ROOM) == -EFAULT
    with machine.users.lending(bytearray(b"?")) as user:
        assert run(machine, "kstrtobool_from_user", user, 1, ROOM) == -EINVAL


def _loads() -> str:
    """Return code that puts numbers into registers which are not to be changed."""
    # mov $n, %rsi; %rdi; %r8; %r9; %r10; %r11
    registers = ("48c7c6", "48c7c7", "49c7c0", "49c7c1", "49c7c2", "49c7c3")
    return "".join(f"{each}{n:02x}000000" for each, n in zip(registers, KEPT, strict=False))


def _adds() -> str:
    """Return code that adds them up into rsi."""
    # add %rdi, %rsi; %r8; %r9; %r10; %r11
    return "4801fe4c01c64c01ce4c01d64c01de"


@pytest.mark.parametrize("name", GETTERS)
def test_a_value_of_a_users_is_given_in_a_register_and_the_others_stay(
    machine: Machine, name: str
) -> None:
    size, address = GETTERS[name], machine.kernel_symbols.address(name)
    # mov $5, %ecx; mov %rdi, %rax; <loads>; movabs $name, %rbx; call *%rbx; <adds>; add %rcx, %rsi;
    # movabs $ROOM, %rbx; mov %rdx, (%rbx); mov %rsi, 8(%rbx); ret
    call = f"48bb{address.to_bytes(8, 'little').hex()}ffd3"
    store = f"48bb{ROOM.to_bytes(8, 'little').hex()}4889134889 7308".replace(" ", "")
    code = put_code(machine, f"53b9050000004889f8{_loads()}{call}{_adds()}4801ce{store}5bc3")
    with machine.users.lending(bytearray(range(1, size + 1))) as user:
        with machine.running("sample"):
            assert machine.call(code, user) == 0
        assert machine.memory.number(ROOM) == int.from_bytes(bytes(range(1, size + 1)), "little")
        assert machine.memory.number(ROOM + 8) == sum(KEPT[:6]) + 5
        with machine.running("sample"):
            assert machine.call(code, user + 1) == -EFAULT
    assert machine.memory.number(ROOM) == 0


@pytest.mark.parametrize("name", PUTTERS)
def test_a_value_is_put_into_a_users_memory_and_the_registers_stay(
    machine: Machine, name: str
) -> None:
    size, address = PUTTERS[name], machine.kernel_symbols.address(name)
    # mov %rdi, %rcx; movabs $value, %rax; mov $9, %edx; <loads>; call; <adds>; add %rdx, %rsi;
    # add %rax, %rsi; movabs $ROOM, %rbx; mov %rsi, (%rbx); mov %ecx, %eax; ret
    value = 0x0807060504030201
    call = f"48bb{address.to_bytes(8, 'little').hex()}ffd3"
    store = f"48bb{ROOM.to_bytes(8, 'little').hex()}48893389c8"
    move = f"4889f948b8{value.to_bytes(8, 'little').hex()}ba09000000"
    code = put_code(machine, f"53{move}{_loads()}{call}{_adds()}4801d64801c6{store}5bc3")
    buffer = bytearray(size)
    with machine.users.lending(buffer) as user:
        with machine.running("sample"):
            assert machine.call(code, user) == 0
        assert buffer == bytes(range(1, size + 1))
        assert machine.memory.number(ROOM) == sum(KEPT[:6]) + 9 + value
        with machine.running("sample"):
            assert machine.call(code, user + size) == -EFAULT
