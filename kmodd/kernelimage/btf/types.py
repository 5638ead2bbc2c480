# SPDX-License-Identifier: Apache-2.0
"""What types are made of. Types are numbers; 0 is ``void``."""

from enum import IntEnum
from typing import NamedTuple


class BtfKind(IntEnum):
    """What a type is (``enum`` of BTF_KIND_*, include/uapi/linux/btf.h)."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


class Member(NamedTuple):
    """A member of a structure or union; offset and size are in bits.

    ``bit_size`` is 0 for one that is no bit field: its type tells its size. ``name`` is empty for a
    structure or union whose members are reached as those of the outer one.
    """

    name: str
    type: int
    bit_offset: int
    bit_size: int


class Enumerator(NamedTuple):
    """A name of an enum, and its value."""

    name: str
    value: int


class Parameter(NamedTuple):
    """What a function takes; without a name where its prototype has none."""

    name: str
    type: int


class FunctionType(NamedTuple):
    """What a function takes and returns; ``is_variadic`` where more may follow."""

    returns: int
    parameters: tuple[Parameter, ...]
    is_variadic: bool


class Variable(NamedTuple):
    """A variable of a section, such as ``.data..percpu``; offset and size are in bytes."""

    name: str
    type: int
    offset: int
    size: int


class Array(NamedTuple):
    """An array: the type of its elements, and how many there are (its ``length``)."""

    type: int
    length: int
