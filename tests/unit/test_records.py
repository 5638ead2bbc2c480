# SPDX-License-Identifier: Apache-2.0
"""A record is to its users what a frozen dataclass with slots is."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
from typing import Any

import pytest

from kmodd.records import field, kept, record, replace


@record
class Point:
    """A place."""

    x: int
    y: int = 2
    names: list[str] = field(default_factory=list)
    seen: int = field(default=0, compare=False)

    @property
    def total(self) -> int:
        """The sum."""
        return self.x + self.y


@dataclasses.dataclass(frozen=True, slots=True)
class Twin:
    x: int
    y: int = 2
    names: list[str] = dataclasses.field(default_factory=list)
    seen: int = dataclasses.field(default=0, compare=False)


@record(kw_only=True)
class Named:
    y: int = 1
    x: int


@record
class Pair:
    left: int
    right: tuple[str, ...]


@record
class Nothing:
    pass


@record(eq=False, slots=False)
class Config:
    text: str = ""

    @kept
    def words(self) -> list[str]:
        """The words."""
        return self.text.split()


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((1, 3), {}),
    ((1, 3, ["a"], 4), {}),
    ((), {"x": 1, "seen": 7}),
    ((1,), {"names": ["b"]}),
    ((), {}),
    ((1, 2, [], 3, 4), {}),
    ((1,), {"x": 2}),
    ((1,), {"z": 2}),
]


def outcome(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """The values of a new instance, or that the call was none."""
    try:
        made = cls(*args, **kwargs)
    except TypeError:
        return TypeError
    return made.x, made.y, made.names, made.seen


@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_it_takes_the_arguments_that_a_dataclass_takes(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert outcome(Point, args, kwargs) == outcome(Twin, args, kwargs)


def test_the_methods_are_written_anew_for_each_class() -> None:
    first: object = Pair(1, ())
    second: object = Point(1)
    assert Pair(1, ()) == first != second
    assert (Pair(2, ("a",)).right, Point(3).x) == (("a",), 3)


def test_records_are_equal_by_what_is_compared() -> None:
    assert Point(1, seen=3) == Point(1, seen=4)
    assert Point(1) != Point(2)
    twin: object = Twin(1)
    assert Point(1) != twin
    assert Nothing() == Nothing()
    assert {Pair(1, ("a",)), Pair(1, ("a",)), Pair(2, ())} == {Pair(1, ("a",)), Pair(2, ())}
    assert hash(Pair(1, ("a",))) == hash((1, ("a",)))


def test_one_with_a_value_that_cannot_be_hashed_cannot_either() -> None:
    with pytest.raises(TypeError):
        hash(Point(1))


def test_without_eq_an_instance_equals_itself_alone() -> None:
    config = Config("a")
    assert config == config
    assert config != Config("a")
    assert len({config, Config("a")}) == 2


@pytest.mark.parametrize("name", ["x", "total", "other"])
def test_nothing_of_it_can_be_set_or_deleted(name: str) -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        setattr(point, name, 2)
    with pytest.raises(AttributeError):
        delattr(point, name)
    assert point == Point(1)


def test_it_is_shown_as_a_dataclass_is() -> None:
    assert repr(Point(1)) == repr(Twin(1)).replace("Twin", "Point")
    assert repr(Nothing()) == "Nothing()"


def test_a_default_is_made_for_each_instance() -> None:
    assert Point(1).names is not Point(1).names


def test_with_kw_only_fields_come_by_name_in_any_order() -> None:
    assert Named(x=3) == Named(x=3, y=1)
    with pytest.raises(TypeError):
        Named(3)  # type: ignore[call-arg]
    assert Named.__match_args__ == ()


def test_a_pattern_takes_it_apart() -> None:
    match Pair(1, ("a",)):
        case Pair(left, (right,)):
            assert (left, right) == (1, "a")
        case _:
            pytest.fail("no match")


def test_dataclasses_takes_it_for_one_of_its_own() -> None:
    assert dataclasses.replace(Point(1, 5), x=7) == Point(7, 5)
    assert dataclasses.replace(Named(x=1), y=4) == Named(x=1, y=4)
    assert [each.name for each in dataclasses.fields(Point)] == ["x", "y", "names", "seen"]
    assert dataclasses.fields(Point)[1].default == 2
    with pytest.raises(TypeError):
        dataclasses.replace(Pair(1, ()), other=2)  # type: ignore[call-arg]
    assert dataclasses.is_dataclass(Pair)


def test_a_record_with_changes_is_another() -> None:
    point = Point(1, 5)
    assert replace(point, x=7, y=6) == Point(7, 6)
    assert replace(Named(x=1), y=4) == Named(x=1, y=4)
    assert point == Point(1, 5)
    with pytest.raises(TypeError):
        replace(point, other=2)  # type: ignore[call-arg]


def test_it_is_pickled_and_copied_whole() -> None:
    for each in (Point(1, 3, ["a"], 4), Named(x=2), Pair(1, ("b",)), Nothing()):
        assert pickle.loads(pickle.dumps(each)) == each
        assert copy.deepcopy(each) == each == copy.copy(each)
    assert copy.copy(Point(1, seen=9)).seen == 9


def test_it_takes_no_more_memory_than_a_dataclass() -> None:
    assert sys.getsizeof(Point(1)) == sys.getsizeof(Twin(1))
    assert not hasattr(Point(1), "__dict__")


def test_a_kept_property_is_found_once() -> None:
    config = Config("a b")
    assert config.words == ["a", "b"]
    assert config.words is config.words
    with pytest.raises(AttributeError):
        setattr(config, "words", [])  # noqa: B010


def test_it_keeps_what_its_author_wrote() -> None:
    assert Point.__doc__ == "A place."
    assert Point(1).total == 3
    assert Point.__module__ == __name__
