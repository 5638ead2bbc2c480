# SPDX-License-Identifier: Apache-2.0
"""Functions by their prototypes: those of the kernel that is served, and no others."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmodd.errors import KernelError
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol, IsolatedKernel, VmlinuxSource
from kmodd.kernel.emulated.abi.failing import FAILING, GIVES_BACK
from kmodd.kernel.emulated.abi.function_table import (
    DECLARED,
    DEFAULT_VERSION,
    FUNCTIONS,
    RETURN_ZERO,
    UNLIKE,
    Function,
    adopt,
    machine_code,
    pairs,
    word_of,
)
from kmodd.kernel.emulated.abi.prototype import parse_prototype, parse_prototypes
from kmodd.kernel.emulated.abi.structures import QUESTIONS
from kmodd.kernelimage.reading import read_facts
from kmodd.modulefile import ModuleFile
from tests.support.debian import DebianTree
from tests.support.modules import module_tree
from tests.support.require import require, require_emulator

require_emulator()

import kmodd.kernel.emulated.functions.everything  # noqa: E402, F401  # declares all functions


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave this process with what was declared, and the functions of 6.1."""
    tables: tuple[dict[str, Any], ...] = (DECLARED, FAILING, GIVES_BACK)
    before = [dict(each) for each in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)
    adopt(DEFAULT_VERSION, "6.1.0", {})


def test_a_prototype_may_be_that_of_several_functions_and_of_some_kernels() -> None:
    text = "void *old_do|new_do_noprof(size_t size,\n gfp_t flags) since 5.15 until 6.3"
    old, new = parse_prototypes(text)
    assert (old.name, new.name) == ("old_do", "new_do_noprof")
    assert old.parameters == new.parameters
    assert (old.since, old.until) == ((5, 15), (6, 3))
    assert [old.is_of(each) for each in ((5, 14), (5, 15), (6, 3), (6, 4))] == [
        False,
        True,
        True,
        False,
    ]
    assert parse_prototype("int any(void)").is_of((2, 6))
    with pytest.raises(ValueError, match="not a prototype"):
        parse_prototype("int any(void) since 6")


@pytest.mark.parametrize(
    ("text", "word", "agrees"),
    [
        ("int probe(struct device *dev, bool wait)", "ip1", True),
        # Who passes an unsigned long passes what an int has.
        ("int probe(struct device *dev, bool wait)", "lp8:48", True),
        ("int probe(struct device *dev, bool wait)", "ip", False),
        ("int probe(struct device *dev, bool wait)", "ipp", False),
        # Nobody looks at what is returned by what returns nothing.
        ("int probe(struct device *dev, bool wait)", "vp1", True),
        ("struct device *probe(struct device *dev, bool wait)", "vp1", False),
        ("void probe(struct device *dev, bool wait)", "ip1", False),
        ("int probe(struct device *dev, bool wait)", "pp1:192", False),
        ("int probe(struct device *dev, bool wait)", "ip1.", False),
        ("int print(const char *fmt, ...)", "ip.", True),
        ("struct class *class_create(struct module *owner, const char *name)", "pp:96", False),
        ("int __xa_alloc(struct xarray *xa, struct xa_limit limit)", "ips", True),
        ("int __xa_alloc(struct xarray *xa, struct xa_limit limit)", "ip8", False),
        ("kuid_t make(u32 uid)", "s4", True),
        ("void odd(u32 uid)", "v?", False),
    ],
)
def test_a_prototype_agrees_in_number_and_kind(text: str, word: str, agrees: bool) -> None:
    assert parse_prototype(text).agrees(word) is agrees


def declare(*prototypes: str) -> None:
    machine_code(RETURN_ZERO, "\n".join(prototypes))


def test_of_several_forms_the_kernels_version_decides() -> None:
    old = "struct class *make_class(void *owner, const char *name) until 6.3"
    new = "struct class *make_class(const char *name) since 6.4"
    declare(old, new)
    for version, form in (((5, 10), old), ((6, 3), old), ((6, 4), new), ((7, 2), new)):
        adopt(version, "", {})
        assert FUNCTIONS["make_class"].prototype.text == form
    assert "make_class" not in UNLIKE


def test_a_function_with_other_parameters_is_not_called() -> None:
    declare("int make_thing(const char *name)")
    adopt((6, 12), "6.12.1", {"make_thing": "ip"})
    assert "make_thing" in FUNCTIONS
    adopt((6, 12), "6.12.1", {"make_thing": "ip4"})
    assert "make_thing" not in FUNCTIONS
    assert UNLIKE["make_thing"] == "has another prototype in 6.12.1"
    assert word_of("make_thing") == "ip4"
    adopt((6, 12), "6.12.1", {})
    assert ("make_thing" in FUNCTIONS, "make_thing" in UNLIKE) == (True, False)
    assert word_of("make_thing") is None


def test_a_form_that_is_of_no_such_kernel_is_not_called() -> None:
    declare("int make_thing(const char *name) until 6.3")
    adopt((6, 4), "6.4.0", {"make_thing": "ip"})
    assert "make_thing" in UNLIKE


def test_no_kernel_has_two_forms_of_a_function_that_nothing_tells_apart() -> None:
    declare("int make_thing(int one) until 6.3", "int make_thing(int one) since 6.4")
    for again in ("int make_thing(long one)", "int make_thing(int one) since 6.3 until 6.3"):
        with pytest.raises(ValueError, match="make_thing is declared twice"):
            declare(again)


def test_what_the_kernel_says_tells_two_forms_apart() -> None:
    one, two = "int make_thing(int one)", "int make_thing(int one, void *two)"
    declare(one, two)
    for word, form in ((None, one), ("ii", one), ("iip", two)):
        adopt((6, 12), "", {"make_thing": word} if word else {})
        assert FUNCTIONS["make_thing"].prototype.text == form


def test_pairs_are_declared_under_all_their_names() -> None:
    pairs(
        """
        thing: int take_a|take_b(void *thing) / void give_a|give_b(void *thing)
        thing: int take_c(void *thing) / void give_a(void *thing)
        """
    )
    assert {"take_a", "take_b", "take_c", "give_a", "give_b"} <= FUNCTIONS.keys()
    assert all(isinstance(FUNCTIONS[each], Function) for each in ("take_a", "give_b"))


def test_debians_kernel_has_the_functions_as_they_are_declared(debian_tree: DebianTree) -> None:
    require(debian_tree.release.startswith("6.1."), "what is said of other kernels is their own")
    facts = read_facts(str(debian_tree.kernel_image), QUESTIONS)
    adopt(DEFAULT_VERSION, debian_tree.release, facts.prototypes)
    assert facts.exports is not None
    exported = {each.name for each in facts.exports}
    assert exported & UNLIKE.keys() == set()
    assert len(exported & FUNCTIONS.keys()) > 1300


def booted(root: Path, name: str, prototypes: dict[str, str]) -> tuple[IsolatedKernel, bytes]:
    """Boot a kernel whose functions are these, and return it with a module for it."""
    tree = module_tree(root)
    source = VmlinuxSource(tree.root, tree.release, tree.directory.parent, dict)
    with ModuleFile.open(str(tree.directory / f"extra/{name}.ko")) as file:
        symbols = {each.name: CoreSymbol() for each in file.undefined()}
        image = file.image
    vmlinux = replace(source(), symbols=symbols, prototypes=prototypes)
    return IsolatedKernel(tree.release, lambda: vmlinux), image


def test_what_the_image_says_reaches_the_kernels_process(tmp_path: Path) -> None:
    kernel, image = booted(tmp_path, "gadget", {"__platform_driver_register": "ip"})
    try:
        kernel.init_module(image, "", InsertFlags.NONE)
        report = kernel.modules()[0].report
        lines = [record.text for record in kernel.read_log()]
    finally:
        kernel.close()
    assert report is not None
    assert report.stubbed == ("__platform_driver_register",)
    why = f"(has another prototype in {kernel.release})"
    assert f"kmodd: gadget: stubbed: __platform_driver_register {why}" in lines


@pytest.mark.parametrize("prototypes", [{"_printk": "ip."}, {"_printk": "ipp."}])
def test_a_failure_after_a_stub_is_told_as_what_may_be_ours(
    tmp_path: Path, prototypes: dict[str, str]
) -> None:
    kernel, image = booted(tmp_path, "halfway", prototypes)
    try:
        with pytest.raises(KernelError) as failed:
            kernel.init_module(image, "", InsertFlags.NONE)
        lines = [record.text for record in kernel.read_log()]
    finally:
        kernel.close()
    told = "; that may be kmodd's fault, which does not model _printk"
    expected = told if prototypes["_printk"] == "ipp." else ""
    assert failed.value.errno == errno.EIO
    assert failed.value.message == f"the init of halfway failed{expected}"
    said = f"kmodd: halfway: init failed (-{errno.EIO}){told}"
    assert (said in lines) is bool(expected)
