# SPDX-License-Identifier: Apache-2.0
"""What a kernel says of its types."""

import struct

import pytest

from kmodd.errors import KernelImageError
from kmodd.kernelimage.btf import (
    Btf,
    BtfKind,
    Enumerator,
    Field,
    FunctionType,
    Layouts,
    Member,
    Parameter,
    Variable,
)
from kmodd.kernelimage.questions import LayoutQuestion, answer
from tests.support.btf_writer import BtfWriter

UNSIGNED = -1 & 0xFFFFFFFF


def layouts(writer: BtfWriter) -> Layouts:
    return Layouts(Btf(writer.data(), "image"))


def small(order: str = "<") -> tuple[BtfWriter, int, int]:
    """Return types with a long and an int in them, and these."""
    writer = BtfWriter(order)
    return writer, writer.integer("long unsigned int", 8), writer.integer("int", 4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_fields_are_found_by_the_kernels_names(order: str) -> None:
    writer, long, number = small(order)
    pointer = writer.add(BtfKind.PTR, rest=long)
    count = writer.structure("lockref", 8, [("lock", number, 0), ("count", number, 32)])
    lists = writer.add(BtfKind.ARRAY, once=(pointer, number, 3))
    either = writer.structure(
        "", 8, [("d_lockref", count, 0), ("hash", long, 0)], kind=BtfKind.UNION
    )
    constant = writer.add(BtfKind.CONST, rest=either)
    writer.structure("dentry", 48, [("flags", number, 0), ("", constant, 64), ("next", lists, 128)])
    found = layouts(writer)
    assert found.structure_size("dentry") == 48
    assert found.field("dentry", "flags") == Field(0, 32, number)
    assert found.field("dentry", "d_lockref") == Field(64, 64, count)
    assert found.field("dentry", "d_lockref.count") == Field(96, 32, number)
    field = found.field("dentry", "next")
    assert field is not None
    assert (field.offset, field.size) == (16, 24)
    assert list(found.fields("dentry")) == ["flags", "next", "d_lockref", "hash"]
    assert found.fields("dentry")["hash"] == Field(64, 64, long)


def test_the_names_of_an_enum_are_found_by_its_own() -> None:
    writer, *_ = small()
    writer.add(BtfKind.ENUM, "mode", 4, parts=[("ABS", 0), ("SOFT", 4), ("BAD", -1)], flag=True)
    writer.add(BtfKind.ENUM64, "big", 8, parts=[("HIGH", 1, 2)])
    found = layouts(writer)
    assert [found.value("mode", each) for each in ("ABS", "SOFT", "HIGH")] == [0, 4, None]
    assert [found.value("big", "HIGH"), found.value("none", "HIGH")] == [1 | 2 << 32, None]
    asked = [
        LayoutQuestion(("none", "mode"), ("GONE", name), is_size=False) for name in ("SOFT", "BAD")
    ]
    asked.append(LayoutQuestion(("big",), ("HIGH",), is_size=False))
    assert answer(found, asked) == {asked[0]: 4}


def test_what_a_kernel_does_not_have_is_not_there() -> None:
    writer, _, number = small()
    writer.structure("known", 4, [("one", number, 0)])
    found = layouts(writer)
    assert found.field("known", "two") is None
    assert found.field("known", "one.more") is None
    assert found.field("known", "two.more") is None
    assert found.field("unknown", "one") is None
    assert found.fields("unknown") == {}
    assert found.structure_size("unknown") is None
    assert found.enumerator("UNKNOWN") is None
    assert found.prototype("unknown") is None
    assert found.variables(".unknown") == {}


def test_a_bit_field_has_bits() -> None:
    writer, _, number = small()
    writer.structure(
        "timer",
        8,
        [("a", number, 3 << 24), ("b", number, 5 << 24 | 3), ("c", number, 32)],
        flag=True,
    )
    found = layouts(writer)
    assert found.field("timer", "b") == Field(3, 5, number)
    assert found.field("timer", "c") == Field(32, 32, number)
    number_of = found.structure("timer")
    assert number_of is not None
    assert found.btf.members(number_of)[1] == Member("b", number, 3, 5)


def test_a_typedef_names_a_structure() -> None:
    writer, long, _ = small()
    hidden = writer.structure("", 8, [("counter", long, 0)])
    volatile = writer.add(BtfKind.VOLATILE, rest=hidden)
    writer.add(BtfKind.TYPEDEF, "atomic64_t", volatile)
    writer.add(BtfKind.TYPEDEF, "ulong", long)
    found = layouts(writer)
    assert found.structure_size("atomic64_t") == 8
    assert found.field("atomic64_t", "counter") == Field(0, 64, long)
    assert found.structure("ulong") is None


def test_enumerators_have_values_of_either_sign_and_size() -> None:
    writer, *_ = small()
    writer.add(BtfKind.ENUM, "mode", 4, parts=[("MODE_ABS", 0), ("MODE_MAX", UNSIGNED)])
    writer.add(BtfKind.ENUM, "", 4, parts=[("BELOW", -5)], flag=True)
    writer.add(BtfKind.ENUM64, "big", 8, parts=[("HIGH", 1, 2)])
    writer.add(BtfKind.ENUM64, "low", 8, parts=[("LOW", -2, -1)], flag=True)
    found = layouts(writer)
    values = {name: found.enumerator(name) for name in ("MODE_MAX", "BELOW", "HIGH", "LOW")}
    assert values == {"MODE_MAX": UNSIGNED, "BELOW": -5, "HIGH": 2 << 32 | 1, "LOW": -2}
    number = found.btf.find("mode", BtfKind.ENUM)
    assert number is not None
    assert found.btf.enumerators(number)[0] == Enumerator("MODE_ABS", 0)


def test_a_function_tells_what_it_takes() -> None:
    writer, long, number = small()
    plain = writer.add(BtfKind.FUNC_PROTO, "", number, parts=[("size", long), ("", number)])
    more = writer.add(BtfKind.FUNC_PROTO, "", 0, parts=[("fmt", long), (0, 0)])
    writer.add(BtfKind.FUNC, "kmalloc", plain)
    writer.add(BtfKind.FUNC, "printk", more)
    found = layouts(writer)
    taken = (Parameter("size", long), Parameter("", number))
    assert found.prototype("kmalloc") == FunctionType(number, taken, is_variadic=False)
    assert found.prototype("printk") == FunctionType(0, (Parameter("fmt", long),), is_variadic=True)


def test_variables_of_a_section_have_a_place() -> None:
    writer, long, number = small()
    one = writer.add(BtfKind.VAR, "current_task", long, once=(1,))
    two = writer.add(BtfKind.VAR, "preempt_count", number, once=(1,))
    writer.add(BtfKind.DATASEC, ".data..percpu", 64, parts=[(one, 0, 8), (two, 8, 4)])
    assert layouts(writer).variables(".data..percpu") == {
        "current_task": Variable("current_task", long, 0, 8),
        "preempt_count": Variable("preempt_count", number, 8, 4),
    }


def test_a_modules_types_go_on_where_its_kernels_end() -> None:
    writer, long, number = small()
    base = Btf(writer.data(), "image")
    split = BtfWriter(first=base.count, strings_first=base.strings_size)
    split.structure("mine", 16, [("theirs", long, 0), ("more", number, 64)])
    split.structure("int", 4, [("x", number, 0)])
    found = Layouts(Btf(split.data(), "module", base))
    assert found.field("mine", "more") == Field(64, 32, number)
    assert found.btf.name(long) == "long unsigned int"
    assert found.btf.find("int", BtfKind.INT) == number
    assert list(found.btf.find_all("int", BtfKind.STRUCT, BtfKind.INT)) == [number, 4]
    assert list(found.btf.all_of(BtfKind.INT)) == [long, number]


def test_a_name_may_be_the_tail_of_another() -> None:
    writer, *_ = small()
    writer.integer("unsigned int", 4)
    found = Btf(writer.data(), "image")
    number = found.find("int", BtfKind.INT)
    assert number is not None
    assert found.name(number) == "int"


def test_types_that_are_of_themselves_have_an_end() -> None:
    writer, _, number = small()
    writer.add(BtfKind.TYPEDEF, "round", 3)
    writer.structure("nested", 8, [("", 4, 0), ("", 4, 0)])
    writer.add(BtfKind.ARRAY, once=(5, number, 1 << 31))
    found = layouts(writer)
    with pytest.raises(KernelImageError, match="type 3 is of itself"):
        found.resolve(3)
    assert found.field("nested", "x") is None
    with pytest.raises(KernelImageError, match="nested has more than 1024 nameless parts"):
        found.fields("nested")
    with pytest.raises(KernelImageError, match="type 5 has no end"):
        found.size_of(5)


def test_a_question_about_no_such_type_is_refused() -> None:
    writer, long, number = small()
    pointer = writer.add(BtfKind.PTR, rest=99)
    found = layouts(writer)
    assert found.size_of(pointer) == 8
    assert found.size_of(0) == 0
    for question in (found.btf.kind, found.btf.name, found.btf.target, found.resolve):
        with pytest.raises(KernelImageError, match=r"\.BTF: there is no type 99"):
            question(99)
    with pytest.raises(KernelImageError, match="type 1 is INT, not STRUCT"):
        found.btf.members(long)
    with pytest.raises(KernelImageError, match="type 2 is no array"):
        found.btf.array(number)
    with pytest.raises(KernelImageError, match="no string ends behind 4096"):
        found.btf.string(4096)


def test_without_a_long_nobody_knows_how_large_a_pointer_is() -> None:
    writer = BtfWriter()
    pointer = writer.add(BtfKind.PTR)
    with pytest.raises(KernelImageError, match="no long"):
        layouts(writer).size_of(pointer)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x9f\xeb", "too short"),
        (struct.pack("<HBBI4I", 0x1234, 1, 0, 24, 0, 0, 0, 0), "magic"),
        (struct.pack("<HBBI4I", 0xEB9F, 2, 0, 24, 0, 0, 0, 0), "version 2"),
        (struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 1, 0, 0), "past its end"),
        (struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 0, 0, 9), "past its end"),
        (struct.pack("<HBBI4I", 0xEB9F, 1, 0, 20, 0, 0, 0, 0), "past its end"),
        (struct.pack("<HBBI4I3I", 0xEB9F, 1, 0, 24, 0, 12, 12, 0, 0, 31 << 24, 0), "kind 31"),
        (struct.pack("<HBBI4I3I", 0xEB9F, 1, 0, 24, 0, 12, 12, 0, 0, 0, 0), "kind 0"),
        (struct.pack("<HBBI4I3I", 0xEB9F, 1, 0, 24, 0, 12, 12, 0, 0, 1 << 24, 0), "cut short"),
        (struct.pack("<HBBI4I3I", 0xEB9F, 1, 0, 24, 0, 11, 12, 0, 0, 2 << 24, 0), "cut short"),
    ],
)
def test_what_is_not_btf_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(KernelImageError, match=why):
        Btf(data, "image")
