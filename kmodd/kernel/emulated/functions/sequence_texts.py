# SPDX-License-Identifier: Apache-2.0
"""What a record of a file is put together from, and lists that are shown (fs/seq_file.c)."""

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import LIST_HEAD, SEQUENCE_FILE
from kmodd.kernel.emulated.functions.variadic import formatted, formatted_list
from kmodd.kernel.emulated.machine.machine import Machine

_WALKED_MAX = 1 << 20


def append(machine: Machine, sequence: int, text: bytes) -> int:
    """Put a text into the buffer; one for which there is no room fills it, and is asked for anew.

    Returns 0 or -1.
    """
    memory, at = machine.memory, sequence + SEQUENCE_FILE.count
    count, room = memory.number(at), memory.number(sequence + SEQUENCE_FILE.room)
    if count + len(text) >= room:
        memory.put(at, room)
        return -1
    memory.write(memory.number(sequence + SEQUENCE_FILE.buffer) + count, text)
    memory.put(at, count + len(text))
    return 0


@function("void seq_printf(struct seq_file *m, const char *f, ...)")
def seq_printf(machine: Machine, sequence: int, template: int) -> None:
    append(machine, sequence, formatted(machine, template, 2))


@function("void seq_vprintf(struct seq_file *m, const char *f, va_list args)")
def seq_vprintf(machine: Machine, sequence: int, template: int, arguments: int) -> None:
    append(machine, sequence, formatted_list(machine, template, arguments))


@function(
    "void seq_puts(struct seq_file *m, const char *s)",
    "void __seq_puts(struct seq_file *m, const char *s)",
)
def seq_puts(machine: Machine, sequence: int, text: int) -> None:
    append(machine, sequence, machine.memory.string(text))


@function("void seq_putc(struct seq_file *m, char c)")
def seq_putc(machine: Machine, sequence: int, letter: int) -> None:
    append(machine, sequence, bytes([letter & 0xFF]))


@function("int seq_write(struct seq_file *seq, const void *data, size_t len)")
def seq_write(machine: Machine, sequence: int, data: int, size: int) -> int:
    return append(machine, sequence, machine.memory.read(data, size))


def _delimited(machine: Machine, sequence: int, delimiter: int, number: str) -> None:
    mark = machine.memory.string(delimiter, 64) if delimiter else b""
    append(machine, sequence, mark + number.encode())


@function(
    "void seq_put_decimal_ull(struct seq_file *m, const char *delimiter, unsigned long long num)"
)
def seq_put_decimal_ull(machine: Machine, sequence: int, delimiter: int, number: int) -> None:
    _delimited(machine, sequence, delimiter, str(number))


@function(
    "void seq_put_decimal_ull_width(struct seq_file *m, const char *delimiter, unsigned long long"
    " num, unsigned int width)"
)
def seq_put_decimal_ull_width(
    machine: Machine, sequence: int, delimiter: int, number: int, width: int
) -> None:
    _delimited(machine, sequence, delimiter, str(number).rjust(min(width, 64)))


@function("void seq_put_decimal_ll(struct seq_file *m, const char *delimiter, long long num)")
def seq_put_decimal_ll(machine: Machine, sequence: int, delimiter: int, number: int) -> None:
    _delimited(machine, sequence, delimiter, str(number))


@function(
    "void seq_put_hex_ll(struct seq_file *m, const char *delimiter, unsigned long long v, unsigned"
    " int width)"
)
def seq_put_hex_ll(
    machine: Machine, sequence: int, delimiter: int, number: int, width: int
) -> None:
    _delimited(machine, sequence, delimiter, f"{number:x}".rjust(min(width, 64), "0"))


@function("void seq_pad(struct seq_file *m, char c)")
def seq_pad(machine: Machine, sequence: int, letter: int) -> None:
    """Fill up with blanks to the place that seq_setwidth has noted."""
    wanted = machine.memory.number(sequence + SEQUENCE_FILE.padding)
    count = machine.memory.number(sequence + SEQUENCE_FILE.count)
    text = b" " * max(min(wanted - count, 4096), 0)
    append(machine, sequence, text + (bytes([letter & 0xFF]) if letter else b""))


def _nth(machine: Machine, head: int, place: int, *, is_ring: bool) -> int:
    """Return the entry of a list at a place, 0 where it has fewer."""
    link = machine.memory.number(head)
    for _ in range(min(place, _WALKED_MAX)):
        if link in (0, head):
            return 0
        link = machine.memory.number(link)
    return 0 if is_ring and link == head else link


@function("struct list_head *seq_list_start(struct list_head *head, loff_t pos)")
def seq_list_start(machine: Machine, head: int, place: int) -> int:
    return _nth(machine, head + LIST_HEAD.next, max(place, 0), is_ring=True)


@function("struct list_head *seq_list_start_head(struct list_head *head, loff_t pos)")
def seq_list_start_head(machine: Machine, head: int, place: int) -> int:
    return seq_list_start(machine, head, place - 1) or 0 if place else head


@function("struct list_head *seq_list_next(void *v, struct list_head *head, loff_t *ppos)")
def seq_list_next(machine: Machine, record: int, head: int, index: int) -> int:
    machine.memory.put(index, machine.memory.number(index) + 1)
    link = machine.memory.number(record + LIST_HEAD.next)
    return 0 if link == head else link


@function(
    "struct hlist_node *seq_hlist_start(struct hlist_head *head, loff_t pos)",
    "struct hlist_node *seq_hlist_start_rcu(struct hlist_head *head, loff_t pos)",
)
def seq_hlist_start(machine: Machine, head: int, place: int) -> int:
    return _nth(machine, head, max(place, 0), is_ring=False)


@function(
    "struct hlist_node *seq_hlist_start_head(struct hlist_head *head, loff_t pos)",
    "struct hlist_node *seq_hlist_start_head_rcu(struct hlist_head *head, loff_t pos)",
)
def seq_hlist_start_head(machine: Machine, head: int, place: int) -> int:
    """The token of the start comes before the list."""
    return seq_hlist_start(machine, head, place - 1) or 0 if place else 1


@function(
    "struct hlist_node *seq_hlist_next(void *v, struct hlist_head *head, loff_t *ppos)",
    "struct hlist_node *seq_hlist_next_rcu(void *v, struct hlist_head *head, loff_t *ppos)",
)
def seq_hlist_next(machine: Machine, record: int, head: int, index: int) -> int:
    machine.memory.put(index, machine.memory.number(index) + 1)
    return machine.memory.number(head if record == 1 else record)
