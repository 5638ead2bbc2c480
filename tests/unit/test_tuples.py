# SPDX-License-Identifier: Apache-2.0
"""A named tuple of ours is to its users what one of typing's is."""

from __future__ import annotations

import copy
import pickle
import sys
import typing
from typing import Any

import pytest

from kmodd.tuples import NamedTuple


class Stamp(NamedTuple):
    """When."""

    inode: int
    size: int = 2
    name: str = ""

    def doubled(self) -> Stamp:
        """The same, twice as large."""
        return self._replace(size=2 * self.size)


class Twin(typing.NamedTuple):
    inode: int
    size: int = 2
    name: str = ""


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((1, 3, "a"), {}),
    ((), {"inode": 1, "name": "b"}),
    ((1,), {"size": 4}),
    ((), {}),
    ((1, 2, "", 3), {}),
    ((1,), {"other": 2}),
]


def outcome(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """A new tuple as a plain one, or that the call was none."""
    try:
        return tuple(cls(*args, **kwargs))
    except TypeError:
        return TypeError


@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_it_takes_the_arguments_that_typings_takes(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert outcome(Stamp, args, kwargs) == outcome(Twin, args, kwargs)


def test_it_is_a_tuple_whose_items_have_names() -> None:
    inode, *rest = Stamp(1, name="a")
    assert (inode, rest) == (1, [2, "a"])
    assert (Stamp(1).inode, Stamp(1).size, Stamp(1, 2, "n").name) == (1, 2, "n")
    assert Stamp(1) == (1, 2, "")
    assert hash(Stamp(1)) == hash((1, 2, ""))
    assert isinstance(Stamp(1), tuple)
    assert Stamp(1) < Stamp(2)


def test_no_item_can_be_set() -> None:
    with pytest.raises(AttributeError):
        Stamp(1).inode = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Stamp(1).other = 2  # type: ignore[attr-defined]


def test_it_is_made_of_any_values_of_the_right_number() -> None:
    assert Stamp._make(iter((1, 2, "c"))) == Stamp(1, 2, "c")
    with pytest.raises(TypeError):
        Stamp._make((1, 2))


def test_it_is_made_again_with_changes() -> None:
    assert Stamp(1)._replace(size=7) == (1, 7, "")
    assert Stamp(1).doubled() == Stamp(1, 4)
    with pytest.raises((TypeError, ValueError)):
        Stamp(1)._replace(other=1)  # type: ignore[call-arg]


def test_it_is_shown_with_names() -> None:
    assert repr(Stamp(1)) == repr(Twin(1)).replace("Twin", "Stamp")
    assert Stamp(1)._asdict() == Twin(1)._asdict()
    assert Stamp._fields == Twin._fields
    assert Stamp.__match_args__ == Stamp._fields


def test_it_is_pickled_and_copied_whole() -> None:
    for made in (pickle.loads(pickle.dumps(Stamp(1, 3))), copy.deepcopy(Stamp(1, 3))):
        assert made == Stamp(1, 3)
        assert type(made) is Stamp


def test_it_takes_no_more_memory_than_typings() -> None:
    assert sys.getsizeof(Stamp(1)) == sys.getsizeof(Twin(1))
    assert not hasattr(Stamp(1), "__dict__")
