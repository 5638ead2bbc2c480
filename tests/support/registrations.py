# SPDX-License-Identifier: Apache-2.0
"""Functions of the kernel's that register something, those that take it back, and what both say."""

from dataclasses import dataclass

from tests.support.kernel_calls import error_pointer, held, run, unload
from tests.support.machine import ROOM, Machine, new_machine

_OBJECTS = ROOM + 4096, ROOM + 8192
_NUMBERS = 5, 6
_PARAMETERS = 8


@dataclass(frozen=True, slots=True)
class Pair:
    """A function that takes, and the one that gives back what is called ``kind`` on a ledger.

    What is taken is told by an address, or a ``number``, as the parameter ``at`` and ``given_at``,
    and not at all where it is ``counted``. ``again`` is the errno for taking it twice, ``missing``
    that for giving back what is not there; 0 is success.
    """

    take: str
    give: str
    kind: str
    at: int = 0
    given_at: int = 0
    number: bool = False
    counted: bool = False
    again: int = 0
    missing: int = 0


def pair_ids(pairs: tuple[Pair, ...]) -> list[str]:
    """Return what the tests of these are called."""
    return [each.take for each in pairs]


def _with(at: int, value: int) -> list[int]:
    words = [0] * _PARAMETERS
    words[at] = value
    return words


def _values(pair: Pair) -> tuple[int, int]:
    return (0, 0) if pair.counted else _NUMBERS if pair.number else _OBJECTS


def _kinds(machine: Machine) -> list[str]:
    return [kind for kind, _ in held(machine)]


def check_pair(pair: Pair) -> None:
    """See that something is on its module's account until it is given back, and nothing else."""
    machine = new_machine()
    one, two = _values(pair)
    assert run(machine, pair.take, *_with(pair.at, one)) == 0
    assert run(machine, pair.take, *_with(pair.at, two)) == 0
    assert _kinds(machine) == [pair.kind] * 2
    if not pair.give:
        unload(machine)
        assert held(machine) == []
        return
    assert run(machine, pair.give, *_with(pair.given_at, one)) == 0
    assert [each.key for each in machine.ledger.held("sample")] == [two]
    assert run(machine, pair.give, *_with(pair.given_at, two)) == 0
    assert held(machine) == []


def check_errors(pair: Pair) -> None:
    """See what is said of taking something twice, and of giving back what is not there."""
    machine = new_machine()
    one, two = _values(pair)
    assert run(machine, pair.give, *_with(pair.given_at, one)) == -pair.missing
    assert run(machine, pair.take, *_with(pair.at, one)) == 0
    if pair.again:
        assert run(machine, pair.take, *_with(pair.at, one)) == -pair.again
        assert len(held(machine)) == 1
    if not pair.counted:
        assert run(machine, pair.give, *_with(pair.given_at, two)) == -pair.missing
        assert len(held(machine)) == 1
    unload(machine)
    assert held(machine) == []
    assert run(machine, pair.give, *_with(pair.given_at, one)) == -pair.missing
    assert run(machine, pair.take, *_with(pair.at, one)) == 0


def check_maker(make: str, end: str, kind: str) -> None:
    """See that an object is made, zeros, on its module's account, and ended once."""
    machine = new_machine()
    made, other = (run(machine, make) for _ in range(2))
    assert 0 < made < error_pointer(4095)
    assert made != other
    assert machine.memory.read(made, 256) == bytes(256)
    assert _kinds(machine) == [kind] * 2
    if end:
        run(machine, end, made)
        run(machine, end, 0)
        assert machine.heap.size(made) is None
        assert [each.key for each in machine.ledger.held("sample")] == [other]
        again = run(machine, make)
        assert again == made
        run(machine, end, made + 8)
        assert len(held(machine)) == 2
    unload(machine)
    assert held(machine) == []


def check_nothing(name: str, result: int) -> None:
    """See that a function returns that, writes nothing and books nothing."""
    machine = new_machine()
    before = machine.memory.read(ROOM, 1024)
    arguments = [ROOM, ROOM + 256, ROOM + 512, ROOM + 768]
    assert run(machine, name, *arguments) == result
    assert machine.memory.read(ROOM, 1024) == before
    assert held(machine) == []
