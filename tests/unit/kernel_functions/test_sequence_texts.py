# SPDX-License-Identifier: Apache-2.0
"""What a record of a file is put together from (fs/seq_file.c)."""

import pytest

from tests.support.kernel_calls import put_arguments, put_text, run
from tests.support.machine import ROOM, Machine, new_machine

BUFFER, ROOM_AT, COUNT, PADDING = 0, 8, 24, 32
SIZE, ROOM_SIZE = 120, 16


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def new_sequence(machine: Machine, room: int = ROOM_SIZE) -> int:
    """Return a file with an empty buffer."""
    sequence = machine.heap.allocate(SIZE)
    machine.memory.put(sequence + BUFFER, machine.heap.allocate(room))
    machine.memory.put(sequence + ROOM_AT, room)
    return sequence


def shown(machine: Machine, sequence: int) -> bytes:
    buffer, count = (machine.memory.number(sequence + at) for at in (BUFFER, COUNT))
    return machine.memory.read(buffer, count)


def test_texts_come_one_behind_the_other(machine: Machine) -> None:
    sequence = new_sequence(machine, 256)
    run(machine, "seq_puts", sequence, put_text(machine, "one "))
    run(machine, "__seq_puts", sequence, put_text(machine, "two "))
    run(machine, "seq_putc", sequence, ord("!"))
    assert run(machine, "seq_write", sequence, put_text(machine, "abcd"), 3) == 0
    run(machine, "seq_printf", sequence, put_text(machine, " %d-%s"), 7, put_text(machine, "x"))
    arguments = put_arguments(machine, ROOM, 9)
    run(machine, "seq_vprintf", sequence, put_text(machine, " %u"), arguments)
    comma = put_text(machine, ", ")
    run(machine, "seq_put_decimal_ull", sequence, comma, (1 << 64) - 1)
    run(machine, "seq_put_decimal_ll", sequence, comma, -5)
    run(machine, "seq_put_decimal_ull_width", sequence, 0, 6, 3)
    run(machine, "seq_put_hex_ll", sequence, comma, 0xAB, 4)
    text = b"one two !abc 7-x 9, 18446744073709551615, -5  6, 00ab"
    assert shown(machine, sequence) == text
    machine.memory.put(sequence + PADDING, len(text) + 4)
    run(machine, "seq_pad", sequence, ord("\n"))
    assert shown(machine, sequence) == text + b"    \n"


def test_a_text_without_room_fills_the_buffer(machine: Machine) -> None:
    sequence = new_sequence(machine)
    data = put_text(machine, "0123456789abcdef")
    assert run(machine, "seq_write", sequence, data, 8) == 0
    assert run(machine, "seq_write", sequence, data, 8) == -1
    assert machine.memory.number(sequence + COUNT) == ROOM_SIZE
    assert shown(machine, sequence)[:8] == b"01234567"


def ring(machine: Machine, count: int) -> list[int]:
    """Return the head of a list and its entries."""
    links = [machine.heap.allocate(16) for _ in range(count + 1)]
    for link, after in zip(links, [*links[1:], links[0]], strict=True):
        machine.memory.put(link, after)
        machine.memory.put(after + 8, link)
    return links


def test_a_ring_is_shown_from_any_place_to_its_end(machine: Machine) -> None:
    head, *entries = ring(machine, 3)
    for place in range(5):
        found = (entries[place : place + 1] or [0])[0]
        assert run(machine, "seq_list_start", head, place) == found
        assert run(machine, "seq_list_start_head", head, place + 1) == found
    assert run(machine, "seq_list_start_head", head, 0) == head
    machine.memory.put(ROOM, 0)
    for link, after in zip([head, *entries], [*entries, 0], strict=True):
        assert run(machine, "seq_list_next", link, head, ROOM) == after
    assert machine.memory.number(ROOM) == 4


@pytest.mark.parametrize("end", ["", "_rcu"])
def test_a_chain_is_shown_behind_a_token(machine: Machine, end: str) -> None:
    head, first, second = (machine.heap.allocate(16) for _ in range(3))
    machine.memory.put(head, first)
    machine.memory.put(first, second)
    start, begin = f"seq_hlist_start{end}", f"seq_hlist_start_head{end}"
    assert [run(machine, start, head, n) for n in range(3)] == [first, second, 0]
    assert [run(machine, begin, head, n) for n in range(4)] == [1, first, second, 0]
    machine.memory.put(ROOM, 0)
    following = [run(machine, f"seq_hlist_next{end}", n, head, ROOM) for n in (1, first, second)]
    assert following == [first, second, 0]
