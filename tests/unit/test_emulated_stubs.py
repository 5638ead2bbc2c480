# SPDX-License-Identifier: Apache-2.0
"""What functions give that nobody has modelled, and how a failure after that is told."""

import errno
from collections.abc import Iterator

import pytest

from kmodd.kernel.emulated.abi.function_table import DEFAULT_VERSION, adopt
from kmodd.kernel.emulated.abi.stub_values import OBJECT_MAX, StubValue, stub_value
from kmodd.kernel.emulated.reporting.refusal import NAMED, ours
from tests.support.kernel_calls import add_module, error_pointer, put_calls
from tests.support.machine import Machine, new_machine
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.machine.stubs import NOT_KNOWN, OBJECTS_MAX  # noqa: E402

ALL_BITS = (1 << 64) - 1


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave this process with the functions of 6.1."""
    yield
    adopt(DEFAULT_VERSION, "6.1.0", {})


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("do_it", "vp", StubValue(0)),
        ("do_it", "ip", StubValue(0)),
        ("count_all", "8", StubValue(0)),
        ("make_it", "pp:752", StubValue(object_size=752)),
        ("make_it", f"pp:{OBJECT_MAX + 1}", StubValue(error_pointer(errno.ENOSYS))),
        ("make_it", "pp", StubValue(error_pointer(errno.ENOSYS))),
        ("pci_get_device", "p44p:2632=", StubValue(0)),
        ("thing_get", "pp:96=", StubValue(0)),
        ("bus_find_device", "ppppp:752", StubValue(0)),
        ("dev_get_by_name", "ppp", StubValue(0)),
        ("cpumask_next", "4ip", StubValue(ALL_BITS)),
        ("find_it", "ip", StubValue(0)),
        ("walk_next", "vp", StubValue(0)),
        ("do_it", "s4", StubValue(is_known=False)),
        ("do_it", None, StubValue(is_known=False)),
    ],
)
def test_what_is_returned_decides_what_is_given(
    name: str, word: str | None, value: StubValue
) -> None:
    assert stub_value(name, word) == value


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def machine(lines: list[str]) -> Machine:
    made = new_machine(lines)
    add_module(made)
    return made


def call(machine: Machine, name: str, *arguments: int) -> int:
    """Have the module "sample" call a function, and return all that the register has."""
    with machine.running("sample"):
        return machine.invoke(put_calls(machine, (name, *arguments)))


def test_a_structure_is_given_as_an_object_of_its_size(machine: Machine) -> None:
    adopt(DEFAULT_VERSION, "", {"make_it": "pp:752"})
    one, other = call(machine, "make_it"), call(machine, "make_it")
    assert one != other
    assert machine.heap.size(one) == 752
    assert machine.memory.read(one, 752) == bytes(752)
    assert machine.ledger.held("sample") == ()
    machine.stubs.forget("sample")
    assert machine.heap.size(one) is None
    assert machine.stubs.called_by("sample") == ()


def test_objects_without_end_are_none_at_last(machine: Machine) -> None:
    adopt(DEFAULT_VERSION, "", {"make_it": f"p:{OBJECT_MAX}"})
    made = [call(machine, "make_it") for _ in range(OBJECTS_MAX // OBJECT_MAX + 2)]
    assert [bool(each) for each in made] == [True] * (OBJECTS_MAX // OBJECT_MAX) + [False] * 2


def test_it_is_told_where_it_is_not_known_what_is_returned(
    machine: Machine, lines: list[str]
) -> None:
    adopt(DEFAULT_VERSION, "", {"make_it": "ip"})
    assert [call(machine, each) for each in ("make_it", "guess_it", "guess_it")] == [0, 0, 0]
    assert lines == [
        "kmodd: sample: stubbed: make_it",
        f"kmodd: sample: stubbed: guess_it ({NOT_KNOWN})",
    ]
    assert machine.stubs.called_by("sample") == ("make_it", "guess_it")


def test_a_failure_names_a_few_functions() -> None:
    assert ours(()) == ""
    assert ours(("one",)) == "; that may be kmodd's fault, which does not model one"
    names = tuple(f"do_{number}" for number in range(NAMED + 2))
    assert ours(names).endswith(", ".join(names[:NAMED]) + " and 2 more")
