# SPDX-License-Identifier: Apache-2.0
"""Strings, and bytes in memory (lib/string.c)."""

import errno

import pytest

from tests.support.kernel_calls import Crash, put_text, run
from tests.support.machine import ROOM, new_machine

ONE, OTHER, TARGET = ROOM, ROOM + 256, ROOM + 512
HUGE = (1 << 64) - 1


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


@pytest.mark.parametrize("name", ["memcpy", "__memcpy", "memmove"])
def test_bytes_are_copied(name: str) -> None:
    machine = new_machine()
    machine.memory.write(ONE, b"a\0bcde")
    assert run(machine, name, TARGET, ONE, 4) == TARGET
    assert machine.memory.read(TARGET, 6) == b"a\0bc\0\0"
    assert run(machine, name, TARGET, ONE, 0) == TARGET


def test_memmove_copies_what_overlaps() -> None:
    machine = new_machine()
    machine.memory.write(ONE, b"abcdef")
    run(machine, "memmove", ONE + 2, ONE, 4)
    assert machine.memory.read(ONE, 6) == b"ababcd"
    run(machine, "memmove", ONE, ONE + 2, 4)
    assert machine.memory.read(ONE, 6) == b"abcdcd"


@pytest.mark.parametrize("name", ["memset", "__memset"])
def test_bytes_are_set_to_the_lowest_of_an_int(name: str) -> None:
    machine = new_machine()
    assert run(machine, name, TARGET, 0x141, 3) == TARGET
    assert machine.memory.read(TARGET, 4) == b"AAA\0"


@pytest.mark.parametrize(
    ("name", "one", "other", "count", "expected"),
    [
        ("memcmp", b"a\0b", b"a\0c", (3,), -1),
        ("memcmp", b"a\0c", b"a\0b", (3,), 1),
        ("memcmp", b"a\0b", b"a\0c", (2,), 0),
        ("memcmp", b"\x80", b"\x7f", (1,), 1),
        ("memcmp", b"x", b"y", (0,), 0),
        ("strcmp", b"abc", b"abc", (), 0),
        ("strcmp", b"abc", b"abd", (), -1),
        ("strcmp", b"abc", b"ab", (), 1),
        ("strcmp", b"\xff", b"a", (), 1),
        ("strncmp", b"abc", b"abd", (2,), 0),
        ("strncmp", b"abc", b"abd", (3,), -1),
        ("strncmp", b"ab", b"ab", (HUGE,), 0),
        ("strncmp", b"b", b"a", (0,), 0),
        ("strcasecmp", b"ABC", b"abc", (), 0),
        ("strcasecmp", b"ABD", b"abc", (), 1),
        ("strcasecmp", b"_", b"A", (), -1),
        ("strncasecmp", b"ABx", b"aby", (2,), 0),
        ("strncasecmp", b"ABx", b"aby", (3,), -1),
    ],
)
def test_what_is_compared_comes_before_behind_or_is_the_same(
    name: str, one: bytes, other: bytes, count: tuple[int, ...], expected: int
) -> None:
    machine = new_machine()
    put_text(machine, one, ONE)
    put_text(machine, other, OTHER)
    assert sign(run(machine, name, ONE, OTHER, *count)) == expected


def test_bcmp_tells_whether_bytes_differ() -> None:
    machine = new_machine()
    put_text(machine, b"a\0b", ONE)
    put_text(machine, b"a\0c", OTHER)
    assert run(machine, "bcmp", ONE, OTHER, 3) != 0
    assert run(machine, "bcmp", ONE, OTHER, 2) == 0


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (b"on", b"on", 1),
        (b"on\n", b"on", 1),
        (b"on", b"on\n", 1),
        (b"on\n\n", b"on\n", 1),
        (b"on\n\n", b"on", 0),
        (b"on", b"off", 0),
        (b"on", b"on ", 0),
    ],
)
def test_a_line_feed_at_the_end_is_no_difference_in_sysfs(
    one: bytes, other: bytes, expected: int
) -> None:
    machine = new_machine()
    put_text(machine, one, ONE)
    put_text(machine, other, OTHER)
    assert run(machine, "sysfs_streq", ONE, OTHER) == expected


@pytest.mark.parametrize(
    ("name", "text", "arguments", "expected"),
    [
        ("memchr", b"a\0bb", (ord("b"), 4), 2),
        ("memchr", b"a\0bb", (ord("b"), 2), None),
        ("memchr", b"abc", (0x100 | ord("c"), 3), 2),
        ("memscan", b"a\0bb", (ord("b"), 4), 2),
        ("memscan", b"a\0bb", (ord("c"), 4), 4),
        ("memscan", b"abc", (0, 0), 0),
        ("memchr_inv", b"aaab", (ord("a"), 4), 3),
        ("memchr_inv", b"aaab", (ord("a"), 3), None),
        ("memchr_inv", b"b", (ord("a"), 0), None),
        ("strchr", b"abcabc", (ord("c"),), 2),
        ("strchr", b"abc", (ord("d"),), None),
        ("strchr", b"abc", (0,), 3),
        ("strrchr", b"abcabc", (ord("c"),), 5),
        ("strrchr", b"abc", (ord("d"),), None),
        ("strrchr", b"abc", (0,), 3),
        ("strnchr", b"abc", (3, ord("c")), 2),
        ("strnchr", b"abc", (2, ord("c")), None),
        ("strnchr", b"abc", (4, 0), 3),
        ("strnchr", b"abc", (3, 0), None),
        ("strnchr", b"abc", (HUGE, ord("x")), None),
        ("skip_spaces", b" \t\n\v\f\r x ", (), 7),
        ("skip_spaces", b"x", (), 0),
        ("skip_spaces", b"  ", (), 2),
    ],
)
def test_a_letter_is_found(
    name: str, text: bytes, arguments: tuple[int, ...], expected: int | None
) -> None:
    machine = new_machine()
    put_text(machine, text, ONE)
    found = run(machine, name, ONE, *arguments)
    assert found == (0 if expected is None else ONE + expected)


@pytest.mark.parametrize(
    ("name", "text", "wanted", "count", "expected"),
    [
        ("strstr", b"abcabd", b"abd", (), 3),
        ("strstr", b"abc", b"abd", (), None),
        ("strstr", b"abc", b"", (), 0),
        ("strnstr", b"abcabd", b"abd", (6,), 3),
        ("strnstr", b"abcabd", b"abd", (5,), None),
        ("strnstr", b"abc", b"", (0,), 0),
        ("strpbrk", b"key=value", b"#=", (), 3),
        ("strpbrk", b"key", b"#=", (), None),
        ("strpbrk", b"key", b"", (), None),
    ],
)
def test_a_text_is_found(
    name: str, text: bytes, wanted: bytes, count: tuple[int, ...], expected: int | None
) -> None:
    machine = new_machine()
    put_text(machine, text, ONE)
    put_text(machine, wanted, OTHER)
    found = run(machine, name, ONE, OTHER, *count)
    assert found == (0 if expected is None else ONE + expected)


@pytest.mark.parametrize(
    ("name", "text", "letters", "expected"),
    [
        ("strspn", b"aabbc", b"ba", 4),
        ("strspn", b"abc", b"", 0),
        ("strspn", b"abc", b"xyz", 0),
        ("strspn", b"abc", b"cba", 3),
        ("strcspn", b"aabbc", b"cb", 2),
        ("strcspn", b"abc", b"", 3),
        ("strcspn", b"abc", b"a", 0),
    ],
)
def test_letters_are_counted(name: str, text: bytes, letters: bytes, expected: int) -> None:
    machine = new_machine()
    put_text(machine, text, ONE)
    put_text(machine, letters, OTHER)
    assert run(machine, name, ONE, OTHER) == expected


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("strlen", (), 5),
        ("strnlen", (3,), 3),
        ("strnlen", (5,), 5),
        ("strnlen", (0,), 0),
        ("strnlen", (HUGE,), 5),
    ],
)
def test_the_length_is_that_before_the_nul(
    name: str, count: tuple[int, ...], expected: int
) -> None:
    machine = new_machine()
    assert run(machine, name, put_text(machine, b"hello", ONE), *count) == expected


@pytest.mark.parametrize(
    ("name", "size", "result", "stored"),
    [
        ("strcpy", (), TARGET, b"hello\0##"),
        ("strncpy", (3,), TARGET, b"hel#####"),
        ("strncpy", (7,), TARGET, b"hello\0\0#"),
        ("strncpy", (0,), TARGET, b"########"),
        ("strlcpy", (8,), 5, b"hello\0##"),
        ("strlcpy", (3,), 5, b"he\0#####"),
        ("strlcpy", (0,), 5, b"########"),
        ("strscpy", (8,), 5, b"hello\0##"),
        ("strscpy", (6,), 5, b"hello\0##"),
        ("strscpy", (5,), -errno.E2BIG, b"hell\0###"),
        ("strscpy", (1,), -errno.E2BIG, b"\0#######"),
        ("strscpy", (0,), -errno.E2BIG, b"########"),
        ("strscpy", (1 << 31,), -errno.E2BIG, b"########"),
        ("strscpy_pad", (8,), 5, b"hello\0\0\0"),
        ("strscpy_pad", (5,), -errno.E2BIG, b"hell\0###"),
        ("strscpy_pad", (0,), -errno.E2BIG, b"########"),
    ],
)
def test_a_string_is_copied_as_far_as_there_is_room(
    name: str, size: tuple[int, ...], result: int, stored: bytes
) -> None:
    machine = new_machine()
    put_text(machine, b"hello", ONE)
    machine.memory.write(TARGET, b"########")
    assert run(machine, name, TARGET, ONE, *size) == result
    assert machine.memory.read(TARGET, 8) == stored


@pytest.mark.parametrize(
    ("name", "size", "result", "stored"),
    [
        ("strcat", (), TARGET, b"ab-cde\0#"),
        ("strncat", (2,), TARGET, b"ab-cd\0##"),
        ("strncat", (9,), TARGET, b"ab-cde\0#"),
        ("strncat", (0,), TARGET, b"ab-\0####"),
        ("strlcat", (8,), 6, b"ab-cde\0#"),
        ("strlcat", (5,), 6, b"ab-c\0###"),
        ("strlcat", (4,), 6, b"ab-\0####"),
    ],
)
def test_a_string_is_put_behind_another(
    name: str, size: tuple[int, ...], result: int, stored: bytes
) -> None:
    machine = new_machine()
    put_text(machine, b"cde", ONE)
    machine.memory.write(TARGET, b"ab-\0####")
    assert run(machine, name, TARGET, ONE, *size) == result
    assert machine.memory.read(TARGET, 8) == stored


def test_a_string_that_is_full_already_is_a_bug_of_the_callers() -> None:
    machine = new_machine()
    put_text(machine, b"abc", TARGET)
    with pytest.raises(Crash, match="strlcat cannot make sense of its arguments"):
        run(machine, "strlcat", TARGET, TARGET, 3)


def test_a_string_is_cut_into_words() -> None:
    machine = new_machine()
    machine.memory.put(TARGET, put_text(machine, b"a,b;;c", ONE))
    put_text(machine, b";,", OTHER)
    words = [run(machine, "strsep", TARGET, OTHER) for _ in range(5)]
    assert [each and machine.memory.string(each) for each in words] == [b"a", b"b", b"", b"c", 0]
    assert machine.memory.number(TARGET) == 0


@pytest.mark.parametrize(
    ("text", "start", "left"),
    [(b" \ta b\n ", 2, b"a b"), (b"ab", 0, b"ab"), (b"   ", 0, b""), (b"", 0, b"")],
)
def test_white_space_is_cut_off(text: bytes, start: int, left: bytes) -> None:
    machine = new_machine()
    put_text(machine, text, ONE)
    assert run(machine, "strim", ONE) == ONE + start
    assert machine.memory.string(ONE + start) == left


def test_a_letter_is_replaced_everywhere_and_the_end_is_told() -> None:
    machine = new_machine()
    put_text(machine, b"a/b/c", ONE)
    assert run(machine, "strreplace", ONE, ord("/"), ord("!")) == ONE + 5
    assert machine.memory.string(ONE) == b"a!b!c"


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        (b"one", 3, 0),
        (b"two", 3, 1),
        (b"two", 1, -errno.EINVAL),
        (b"tw", 3, -errno.EINVAL),
        (b"three", HUGE, -errno.EINVAL),
    ],
)
def test_a_string_is_looked_for_in_an_array_that_a_null_may_end(
    text: bytes, count: int, expected: int
) -> None:
    machine = new_machine()
    for at, each in enumerate((b"one", b"two")):
        machine.memory.put(TARGET + 8 * at, put_text(machine, each, OTHER + 16 * at))
    assert run(machine, "match_string", TARGET, count, put_text(machine, text, ONE)) == expected


@pytest.mark.parametrize("name", ["memmove", "memcmp", "memchr", "memchr_inv", "strncpy"])
def test_a_count_beyond_all_memory_is_an_oops(name: str) -> None:
    with pytest.raises(Crash):
        run(new_machine(), name, TARGET, ONE, HUGE)


@pytest.mark.parametrize("name", ["strlen", "strcmp", "strchr", "strcpy", "memcpy"])
def test_no_string_at_all_is_an_oops(name: str) -> None:
    with pytest.raises(Crash, match="address: 0000000000000008"):
        run(new_machine(), name, 8, 8, 8)
