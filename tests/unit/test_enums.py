# SPDX-License-Identifier: Apache-2.0
"""An enumeration of ours is to its users what one of the library's is."""

from __future__ import annotations

import copy
import enum
import pickle

import pytest

from kmodd.enums import Enum, IntEnum, IntFlag


class Colour(Enum):
    """A colour."""

    RED = "red"
    GREEN = "green"
    """As grass."""

    @property
    def initial(self) -> str:
        """The first letter."""
        return str(self.value)[0]


class Number(IntEnum):
    NONE = 0
    THREE = 3


class Flags(IntFlag):
    NONE = 0
    ONE = 1
    TWO = 2


class Theirs(enum.Enum):
    RED = "red"
    GREEN = "green"


def test_a_member_is_had_by_its_name_and_by_its_value() -> None:
    assert Colour["RED"] is Colour("red") is Colour.RED
    assert (Colour.RED.name, Colour.RED.value) == ("RED", "red")
    assert Number(0) is Number.NONE
    assert Colour.GREEN.initial == "g"


def test_what_is_none_of_the_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="blue"):
        Colour("blue")
    with pytest.raises(ValueError, match="7"):
        Number(7)
    with pytest.raises(KeyError):
        Colour["BLUE"]


def test_the_members_come_in_the_order_of_their_lines() -> None:
    assert [each.name for each in Colour] == [each.name for each in Theirs]
    assert len(Colour) == 2
    assert list(Colour.__members__) == list(Theirs.__members__)
    assert Colour.__members__["RED"] is Colour.RED
    assert list(Number) == [0, 3]


def test_a_member_equals_itself_alone() -> None:
    others: list[object] = ["red", Theirs.RED, Colour.GREEN]
    assert Colour.RED not in others
    assert {Colour.RED: 1, Colour.GREEN: 2}[Colour("green")] == 2
    assert bool(Colour.RED)


def test_a_number_is_one() -> None:
    three: int = Number.THREE
    assert three == 3
    assert Number.THREE in (3, 4)
    assert not Number.NONE
    assert f"{Number.THREE} {Number.THREE!s}" == "3 3"
    assert isinstance(Number.THREE, int)


def test_flags_are_put_together_and_taken_apart() -> None:
    both = Flags.ONE | Flags.TWO
    assert isinstance(both, Flags)
    assert (both, int(both), bool(both & Flags.TWO)) == (3, 3, True)
    assert Flags(2) is Flags.TWO
    assert Flags(8) == 8
    assert not Flags.NONE & Flags.ONE
    assert {Flags(3)} == {both}


def test_a_member_is_the_same_when_it_is_pickled_or_copied() -> None:
    for member in (Colour.RED, Number.THREE, Flags.TWO):
        assert pickle.loads(pickle.dumps(member)) is member
        assert copy.deepcopy(member) is copy.copy(member) is member


def test_a_member_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Colour.RED.value = "blue"  # type: ignore[misc]


def test_it_is_shown_as_the_librarys_is() -> None:
    assert repr(Colour.RED) == repr(Theirs.RED).replace("Theirs", "Colour")
    assert f"{Colour.RED} {Colour.RED!s}" == "Colour.RED Colour.RED"
