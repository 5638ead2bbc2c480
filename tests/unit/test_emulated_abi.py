# SPDX-License-Identifier: Apache-2.0
"""What the emulated kernel's functions are made of: prototypes, printf, scanf, heap, ledger."""

import pytest

from kmodd.kernel.emulated.abi.printf import Arguments, format_text
from kmodd.kernel.emulated.abi.prototype import parse_prototype
from kmodd.kernel.emulated.functions.scan import scan
from kmodd.kernel.emulated.hardware.memory import BadAddress, Memory, Region
from kmodd.kernel.emulated.machine.heap import Heap
from kmodd.kernel.emulated.machine.pseudo_filesystem import PseudoFilesystem
from kmodd.kernel.emulated.machine.resource_ledger import ResourceLedger

BASE = 0xFFFF888000000000
MINUS_ONE = (1 << 64) - 1


class Named:
    """A memory with a page, and a name for every address."""

    def __init__(self) -> None:
        self.memory = Memory(lambda _region: None)
        self.memory.add(BASE, 4096, 3)

    def symbol(self, address: int, *, offset: bool) -> str:
        return f"name+{address - BASE:#x}/0x10" if offset else "name"


def test_a_prototype_tells_name_types_and_signs() -> None:
    parsed = parse_prototype(
        "int sort_it(void *base, size_t num, int (*cmp)(const void *, const void *), s8 how, ...)"
    )
    assert (parsed.name, parsed.is_variadic) == ("sort_it", True)
    assert [name for name, _ in parsed.parameters] == ["base", "num", "cmp", "how"]
    assert [kind.is_pointer for _, kind in parsed.parameters] == [True, False, True, False]
    assert parsed.parameters[3][1].take(0x1FF) == -1
    assert parsed.parameters[1][1].take(MINUS_ONE) == MINUS_ONE
    assert parse_prototype("void nothing(void)").parameters == ()
    with pytest.raises(ValueError, match="not a prototype"):
        parse_prototype("int x")


@pytest.mark.parametrize(
    ("template", "arguments", "expected"),
    [
        (b"%d %u %x %#x %o", (MINUS_ONE, MINUS_ONE, 255, 255, 8), b"-1 4294967295 ff 0xff 10"),
        (
            b"%ld %llu %hhd %hu",
            (MINUS_ONE, MINUS_ONE, 0xFF, 0x1FFFF),
            b"-1 %d -1 65535" % MINUS_ONE,
        ),
        (b"[%5d|%-5d|%05d|%.3d|%+d]", (42, 42, 42, 7, 1), b"[   42|42   |00042|007|+1]"),
        (b"[%*d|%-*d]", (4, 1, 4, 2), b"[   1|2   ]"),
        (b"%c%% %s", (65, BASE), b"A% text"),
        (b"%.2s|%6s|%s", (BASE, BASE, 0), b"te|  text|(null)"),
        (b"%s %pI4 %pM", (1 << 47, BASE + 16, BASE + 16), b"(efault) 1.2.3.4 01:02:03:04:05:06"),
        (b"%pS %ps %px", (BASE + 4, BASE, 0x12), b"name+0x4/0x10 name 0000000000000012"),
        (b"%*ph %pe", (3, BASE + 16, (1 << 64) - 19), b"01 02 03 -ENODEV"),
        (
            b"%pe %pe %pe",
            ((1 << 64) - 517, (1 << 64) - 95, (1 << 64) - 35),
            b"-EPROBE_DEFER -EOPNOTSUPP -EDEADLK",
        ),
        (b"%pe", ((1 << 64) - 4000,), b"-4000"),
        (b"%12pE", (BASE + 16,), rb"\001\002\003\004\005\006\a\010\t\n\v\f"),
        (b"%6pE", (BASE + 40,), b"a\\\\x7f".replace(b"x7f", b"177") + b"\xe9\\0\\e"),
        (b"100%", (), b"100%"),
    ],
)
def test_printf_does_as_the_kernels_does(
    template: bytes, arguments: tuple[int, ...], expected: bytes
) -> None:
    symbols = Named()
    symbols.memory.write(BASE, b"text\0")
    symbols.memory.write(BASE + 16, bytes(range(1, 17)))
    symbols.memory.write(BASE + 40, b"a\\\x7f\xe9\0\x1b")
    assert format_text(symbols, template, Arguments(iter(arguments))) == expected


def test_printf_makes_no_text_without_an_end() -> None:
    text = format_text(Named(), b"%999999d" * 1000, Arguments(iter(())))
    assert len(text) <= 8192


@pytest.mark.parametrize("template", [b"a %pV", b"a %5pV", b"a %-*.3pV"])
def test_printf_does_not_follow_a_format_within_a_format_within_a_format(template: bytes) -> None:
    symbols = Named()
    # struct va_format: a format, which speaks of the same again, and its arguments.
    symbols.memory.write(BASE, template + b"\0")
    symbols.memory.put(BASE + 64, BASE)
    symbols.memory.put(BASE + 72, BASE + 128)
    assert format_text(symbols, b"%pV", Arguments(iter((BASE + 64,)))) == template


@pytest.mark.parametrize(
    ("text", "template", "expected"),
    [
        (b"12 0x1f", b"%d %x", [(4, 12), (4, 31)]),
        (b"eth12:7", b"eth%u:%hhu", [(4, 12), (1, 7)]),
        (b"word rest", b"%s %4s", [(4, b"word"), (4, b"rest")]),
        (b"7", b"%d %d", [(4, 7)]),
        (b"x", b"%d", []),
    ],
)
def test_scanf_finds_what_its_format_says(
    text: bytes, template: bytes, expected: list[tuple[int, int | bytes]]
) -> None:
    assert scan(text, template) == expected


def test_the_heap_gives_zeros_again_and_knows_what_is_free() -> None:
    region = Region(BASE, 1 << 20)
    heap = Heap(region, BASE + 64)
    first = heap.allocate(100)
    assert (heap.size(first), heap.room(first)) == (100, 128)
    region.buffer[first - BASE : first - BASE + 4] = b"used"
    assert heap.free(first)
    assert not heap.free(first)
    again = heap.allocate(120)
    assert again == first
    assert region.buffer[first - BASE : first - BASE + 4] == bytes(4)
    assert heap.allocate(5000) % 4096 == 0
    assert heap.allocate(2 << 20) == 0


def test_memory_refuses_what_is_not_there() -> None:
    memory = Named().memory
    memory.put(BASE, -2, 4)
    assert (memory.number(BASE, 4), memory.number(BASE, 4, signed=True)) == (0xFFFFFFFE, -2)
    for address in (0, BASE - 1, BASE + 4096, 1 << 64):
        with pytest.raises(BadAddress):
            memory.number(address)
    memory.fill(BASE, 4096, 0x41)
    with pytest.raises(BadAddress):
        memory.string(BASE)


def test_the_ledger_knows_who_holds_what_and_forgets_with_the_module() -> None:
    takers = [("one", 1)]
    ledger = ResourceLedger(lambda: takers[-1])
    ledger.take("memory", 7)
    ledger.take("memory", 8, "eight")
    takers.append(("two", 2))
    ledger.take("timer", 7)
    assert ledger.give("memory", 7) is not None
    assert ledger.give("memory", 7) is None
    (left,) = ledger.close("one")
    assert (left.name, left.taken_at) == ("eight", 1)
    assert ledger.held("one") == ()
    assert [each.kind for each in ledger.held("two")] == ["timer"]


def test_entries_of_one_name_are_found_oldest_first_and_go_one_by_one() -> None:
    tree = PseudoFilesystem("entry", "/proc")
    for entry in (1, 2):
        tree.add(entry, 0, "same", is_directory=True)
        tree.add(entry + 10, entry, "below", is_directory=False)
    assert (tree.find(0, "same"), tree.child(0, "same")) == (1, 2)
    assert tree.find(0, "same/below") == 11
    assert tree.remove(2) == (2, 12)
    assert (tree.child(0, "same"), tree.find(0, "same/below")) == (1, 11)
    tree.rename(1, "other")
    assert (tree.find(0, "same"), tree.find(0, "other/below")) == (None, 11)
    assert (tree.remove(1), len(tree)) == ((1, 11), 0)


def test_an_entry_whose_name_has_a_slash_is_found_by_its_path() -> None:
    tree = PseudoFilesystem("entry", "/proc")
    tree.add(1, 0, "driver/mine", is_directory=True)  # there is no 'driver' of a module's
    tree.add(2, 1, "state", is_directory=False)
    assert (tree.find(0, "driver/mine"), tree.find(0, "driver/mine/state")) == (1, 2)
    assert tree.find(0, "driver") is tree.find(0, "driver/min") is None


def test_a_tree_goes_with_all_that_is_below() -> None:
    tree = PseudoFilesystem("entry", "/proc")
    assert tree.add(1, 0, "driver", is_directory=True) == "/proc/driver"
    assert tree.add(2, 1, "state", is_directory=False) == "/proc/driver/state"
    tree.add(3, 0, "other", is_directory=False)
    assert tree.find(0, "driver/state") == tree.find(1, "state") == 2
    assert tree.remove(1) == (1, 2)
    assert [each.path for each in tree.listing()] == ["/proc/other"]
    assert tree.remove(9) == ()


def test_a_name_may_lead_through_directories_and_all_goes_with_its_module() -> None:
    tree = PseudoFilesystem("entry", "/proc")
    tree.add(1, 0, "driver", is_directory=True, module="one")
    tree.add(2, 0, "driver/state", is_directory=False, mode=0o440, module="two")
    tree.add(3, 0, "nowhere/state", is_directory=False, module="two")
    state, nowhere = list(tree.listing())[1:]
    assert (state.path, state.mode, state.module) == ("/proc/driver/state", 0o440, "two")
    assert nowhere.path == "/proc/nowhere/state"
    assert tree.remove(1) == (1, 2)
    tree.forget("two")
    assert len(tree) == 0
