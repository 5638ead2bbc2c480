# SPDX-License-Identifier: Apache-2.0
"""Module parameters, as the kernel cuts and checks them."""

import errno

import pytest

from kmodd.kernel.emulated.modules.param_table import (
    UNSAFE,
    ModuleParameter,
    ParameterTable,
    read_parameters,
)
from kmodd.kernel.emulated.modules.params import CHARP_MAX, Remark, set_parameters, split_arguments
from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns
from kmodd.kernel.emulated.reporting.log import Level
from kmodd.modulefile import ModuleFile
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.modules import SOURCES
from tests.support.param_writer import Param


def table(*parameters: ModuleParameter) -> ParameterTable:
    return ParameterTable(list(parameters))


def of_kind(kind: str, **changes: object) -> ParameterTable:
    """A table with the one parameter ``p``; "array of int" is one of up to eight."""
    is_array = kind.startswith("array of ")
    parameter = ModuleParameter("p", kind.removeprefix("array of "), 0o644, is_array=is_array)
    parameter.maximum = 8 if is_array else None
    for name, value in changes.items():
        setattr(parameter, name, value)
    return table(parameter)


def errors(remarks: list[Remark]) -> list[int]:
    return [remark.errno for remark in remarks if remark.errno]


def texts(remarks: list[Remark]) -> list[str]:
    return [remark.text for remark in remarks]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", []),
        ("  a=1   b ", [("a", "1"), ("b", None)]),
        ('a="two words" b=', [("a", "two words"), ("b", "")]),
        ('"a=two words" b=1', [("a", "two words"), ("b", "1")]),
        ('a=x"y z"w', [("a", 'x"y z"w')]),
        ("a=1=2", [("a", "1=2")]),
        ('a="open b=1', [("a", "open b=1")]),
        ("=1", [("=1", None)]),
    ],
)
def test_arguments_are_cut_at_spaces_outside_quotes(
    text: str, arguments: list[tuple[str, str | None]]
) -> None:
    assert [(name, value) for name, value, _ in split_arguments(text)] == arguments


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("int", "5", 0),
        ("int", "-5", 0),
        ("int", "+5", 0),
        ("int", "0x1f", 0),
        ("int", "017", 0),
        ("int", "08", errno.EINVAL),
        ("int", "0x", errno.EINVAL),
        ("int", "1_0", errno.EINVAL),
        ("int", "", errno.EINVAL),
        ("int", " 5", errno.EINVAL),
        ("int", "2147483648", errno.ERANGE),
        ("int", "9" * 5000, errno.ERANGE),
        ("uint", "-1", errno.EINVAL),
        ("uint", "4294967295", 0),
        ("byte", "256", errno.ERANGE),
        ("ushort", "65535", 0),
        ("short", "-32769", errno.ERANGE),
        ("hexint", "0xff", 0),
        ("hexint", "ff", errno.EINVAL),
        ("long", "-9223372036854775808", 0),
        ("ulong", "18446744073709551616", errno.ERANGE),
        ("ullong", "18446744073709551615", 0),
        ("bool", "Y", 0),
        ("bool", "off", 0),
        ("bool", "maybe", errno.EINVAL),
        ("bool", "", errno.EINVAL),
        ("charp", "anything at all", 0),
        ("charp", "x" * (CHARP_MAX + 1), errno.ENOSPC),
        ("bool", "Tea", 0),
        ("array of int", "1,2,-3", 0),
        ("array of int", "1,,3", errno.EINVAL),
        ("array of byte", "1,256", errno.ERANGE),
        ("of its own", "whatever", 0),
    ],
)
def test_a_value_must_fit_the_type(kind: str, value: str, code: int) -> None:
    remarks = set_parameters("m", of_kind(kind), f'p="{value}"', 64)
    assert errors(remarks) == ([code] if code else [])


def test_a_boolean_needs_no_value() -> None:
    for kind in ("bool", "bint", "bool_enable_only"):
        assert set_parameters("m", of_kind(kind), "p", 64) == []
    for kind in ("int", "charp", "invbool", "array of int"):
        assert errors(set_parameters("m", of_kind(kind), "p", 64)) == [errno.EINVAL]


def test_a_long_has_the_machines_width() -> None:
    assert set_parameters("m", of_kind("long"), "p=4294967296", 64) == []
    assert errors(set_parameters("m", of_kind("long"), "p=4294967296", 32)) == [errno.ERANGE]


def test_dashes_and_underscores_are_the_same() -> None:
    known = table(ModuleParameter("two_words", "int", 0o644))
    assert set_parameters("m", known, "two-words=1", 64) == []


def test_what_comes_after_two_dashes_is_ignored() -> None:
    remarks = set_parameters("m", of_kind("int"), "p=1 -- p=bad q", 64)
    assert texts(remarks) == ["m: parameters 'p=bad q' after `--' ignored"]
    assert errors(remarks) == []
    assert texts(set_parameters("m", of_kind("int"), "p=1 --", 64)) == [
        "m: parameters '' after `--' ignored"
    ]


def test_two_dashes_after_an_error_are_not_spoken_of() -> None:
    remarks = set_parameters("m", of_kind("int"), "p=x -- q", 64)
    assert texts(remarks) == ["m: `x' invalid for parameter `p'"]


def test_all_values_are_looked_at_before_the_load_is_refused() -> None:
    known = table(ModuleParameter("p", "int", 0o644), ModuleParameter("q", "charp", 0o644))
    remarks = set_parameters("m", known, f"p=x q={'y' * 2000}", 64)
    assert texts(remarks) == [
        "m: `x' invalid for parameter `p'",
        "q: string parameter too long",
        f"m: `{'y' * 2000}' too large for parameter `q'",
    ]
    assert errors(remarks) == [errno.EINVAL, errno.ENOSPC]


def test_an_array_takes_no_more_than_it_has_room_for() -> None:
    assert set_parameters("m", of_kind("array of int", maximum=2), "p=1,2", 64) == []
    remarks = set_parameters("m", of_kind("array of int", maximum=2), "p=1,2,3", 64)
    assert texts(remarks) == ["p: can only take 2 arguments", "m: `1' invalid for parameter `p'"]
    assert errors(remarks) == [errno.EINVAL]


def test_a_copied_string_must_fit_its_buffer() -> None:
    assert set_parameters("m", of_kind("string", maximum=4), "p=abc", 64) == []
    remarks = set_parameters("m", of_kind("string", maximum=4), "p=abcd", 64)
    assert texts(remarks) == [
        "p: string doesn't fit in 3 chars.",
        "m: `abcd' too large for parameter `p'",
    ]
    assert errors(remarks) == [errno.ENOSPC]


def test_an_unknown_parameter_is_a_warning() -> None:
    (remark,) = set_parameters("m", table(), "p=1", 64)
    assert remark == Remark(0, Level.WARNING, "m: unknown parameter 'p' ignored")


def test_the_kernels_own_parameters_are_known_to_all_modules() -> None:
    assert set_parameters("m", table(), "async_probe dyndbg=+p", 64) == []


def test_a_dangerous_parameter_taints() -> None:
    (remark,) = set_parameters("m", of_kind("int", flags=UNSAFE), "p=1", 64)
    assert remark.taints
    assert remark.text == "Setting dangerous option p - tainting kernel"
    (complaint,) = set_parameters("m", of_kind("int", flags=UNSAFE), "p", 64)
    assert not complaint.taints


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "p=0x10", "16"),
        ("int", "p=-017", "-15"),
        ("hexint", "p=0xff", "0x0000ff"),
        ("hexint", "p=0", "0x000000"),
        ("bool", "p", "Y"),
        ("bool", "p=off", "N"),
        ("invbool", "p=y", "Y"),
        ("bint", "p=yes", "1"),
        ("charp", 'p="two words"', "two words"),
        ("array of uint", "p=1,0x2,+3", "1,2,3"),
        ("of its own", "p=1", None),
    ],
)
def test_what_was_set_is_what_sysfs_shows(kind: str, text: str, value: str | None) -> None:
    known = of_kind(kind)
    assert errors(set_parameters("m", known, text, 64)) == []
    assert [parameter.value for parameter in known] == [value]


def test_what_an_array_without_a_count_was_not_given_it_keeps() -> None:
    known = of_kind("array of int", counted=False, maximum=3, value="7,8,9")
    set_parameters("m", known, "p=1", 64)
    assert [parameter.value for parameter in known] == ["1,8,9"]


def test_parameters_end_at_a_nul_byte() -> None:
    assert set_parameters("m", of_kind("int"), "p=1\0 p=x", 64) == []


def test_a_module_tells_its_parameters_their_types_and_first_values() -> None:
    with ModuleFile.open(str(SOURCES / "greet.ko")) as module:
        found = read_parameters(module, SymbolColumns(module))
    assert [
        (each.name, each.kind, each.is_array, each.maximum, oct(each.mode), each.value)
        for each in found
    ] == [
        ("numbers", "int", True, 4, "0o444", ""),
        ("whom", "charp", False, None, "0o444", "world"),
        ("loud", "bool", False, None, "0o644", "N"),
        ("times", "int", False, None, "0o644", "1"),
    ]


@pytest.mark.parametrize("bits", [32, 64])
def test_every_kind_of_parameter_is_read(bits: int) -> None:
    word = bits // 8
    spec = ModuleSpec(
        bits=bits,  # type: ignore[arg-type]
        machine=62 if bits == 64 else 3,
        versions=(),
        this_module_size=0,
        parameters=(
            Param("number", initial=(7).to_bytes(4, "little")),
            Param("below", initial=(-7).to_bytes(4, "little", signed=True)),
            Param("text", "charp", mode=0, initial=b"first"),
            Param("nothing", "charp"),
            Param("label", "string", buffer=8, initial=b"mine"),
            Param("three", elements=3, counted=False, initial=b"\1\0\0\0\2\0\0\0"),
            Param("own", "of_another", flags=UNSAFE, initial=bytes(word)),
        ),
    )
    module = ModuleFile.parse(write_module(spec))
    found = read_parameters(module, SymbolColumns(module))
    assert [(each.name, each.maximum, each.flags, each.value) for each in found] == [
        ("number", None, 0, "7"),
        ("below", None, 0, "-7"),
        ("text", None, 0, "first"),
        ("nothing", None, 0, "(null)"),
        ("label", 8, 0, "mine"),
        ("three", 3, 0, "1,2,0"),
        ("own", None, UNSAFE, None),
    ]


def test_a_module_without_parameters_has_none() -> None:
    module = ModuleFile.parse(write_module(ModuleSpec()))
    assert list(read_parameters(module, SymbolColumns(module))) == []
