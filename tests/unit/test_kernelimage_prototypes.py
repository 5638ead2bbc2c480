# SPDX-License-Identifier: Apache-2.0
"""What a kernel says that its functions take and return."""

from pathlib import Path

import pytest

from kmodd.kernelimage.btf import Btf, BtfKind, Layouts
from kmodd.kernelimage.prototypes import PARAMETERS_MAX, read_prototypes
from kmodd.kernelimage.questions import LayoutQuestion
from kmodd.kernelimage.reading import read_facts
from tests.support.btf_writer import BtfWriter
from tests.support.debian import DebianTree
from tests.support.kernel_image import BASE, Linked, vmlinux_sections, write_vmlinux


class Kernel:
    """Types to make functions of."""

    def __init__(self, order: str = "<") -> None:
        self.writer = writer = BtfWriter(order)
        self.long = writer.integer("long unsigned int", 8)
        self.int = writer.integer("int", 4, is_signed=True)
        self.byte = writer.integer("unsigned char", 1)
        self.short = writer.integer("short int", 2, is_signed=True)
        self.mode = writer.add(BtfKind.ENUM, "mode", 4, parts=[("ABS", 0)])
        self.error = writer.add(BtfKind.ENUM, "error", 4, parts=[("BAD", -1)], flag=True)
        self.big = writer.add(BtfKind.ENUM64, "big", 8, parts=[("HIGH", 1, 2)])
        self.wide = writer.integer("__int128", 16)
        self.device = writer.structure("device", 752, [("number", self.int, 0)])
        self.user = writer.structure("", 4, [("val", self.int, 0)])
        self.kuid_t = writer.add(BtfKind.TYPEDEF, "kuid_t", self.user)
        self.text = writer.add(BtfKind.PTR, rest=writer.add(BtfKind.CONST, rest=self.byte))
        self.to_device = writer.add(BtfKind.PTR, rest=self.device)
        constant = writer.add(BtfKind.CONST, rest=self.device)
        self.to_constant = writer.add(BtfKind.PTR, rest=constant)
        self.hidden = writer.add(BtfKind.PTR, rest=writer.add(BtfKind.FWD, "hidden"))

    def prototypes(self, *names: str) -> dict[str, str]:
        return read_prototypes(Layouts(Btf(self.writer.data(), "image")), names)


@pytest.mark.parametrize("order", ["<", ">"])
def test_each_type_has_a_letter(order: str) -> None:
    kernel = Kernel(order)
    numbers = (kernel.byte, kernel.short, kernel.int, kernel.mode, kernel.error, kernel.big)
    kernel.writer.function("numbers", kernel.long, *numbers)
    kernel.writer.function("others", 0, kernel.text, kernel.kuid_t, kernel.wide)
    kernel.writer.function("_printk", kernel.int, kernel.text, variadic=True)
    assert kernel.prototypes("numbers", "others", "_printk") == {
        "numbers": "81hi4i8",
        "others": "vps?",
        "_printk": "ip.",
    }


def test_it_is_said_how_large_a_returned_structure_is_and_whether_it_is_taken() -> None:
    kernel = Kernel()
    kernel.writer.function("device_create", kernel.to_device, kernel.text)
    kernel.writer.function("get_next", kernel.to_device, kernel.int, kernel.to_constant)
    kernel.writer.function("get_hidden", kernel.hidden, kernel.hidden)
    kernel.writer.function("name_of", kernel.text, kernel.to_device)
    assert kernel.prototypes("device_create", "get_next", "get_hidden", "name_of") == {
        "device_create": "pp:752",
        "get_next": "pip:752=",
        "get_hidden": "pp",
        "name_of": "pp",
    }


def test_of_functions_in_assembly_and_of_two_with_one_name_nothing_is_said() -> None:
    kernel = Kernel()
    kernel.writer.function("memcpy", 0)
    for takes in (kernel.int, kernel.long):
        kernel.writer.function("twice", kernel.int, takes)
        kernel.writer.function("same", kernel.int, kernel.int)
    kernel.writer.function("static", kernel.int)
    assert kernel.prototypes("memcpy", "twice", "same", "unknown") == {"same": "ii"}


def test_of_endless_parameters_the_first_ones_count() -> None:
    kernel = Kernel()
    kernel.writer.function("endless", kernel.int, *[kernel.int] * 1000)
    assert kernel.prototypes("endless") == {"endless": "i" * (1 + PARAMETERS_MAX)}


def test_those_of_exported_functions_are_read_with_the_types(tmp_path: Path) -> None:
    kernel = Kernel()
    kernel.writer.function("_printk", kernel.int, kernel.text, variadic=True)
    kernel.writer.function("not_exported", kernel.int)
    types = Linked(".BTF", BASE + 0x40000, kernel.writer.data())
    path = tmp_path / "vmlinuz"
    path.write_bytes(write_vmlinux([*vmlinux_sections(), types]))
    asked = (LayoutQuestion(("device",), (), is_size=True),)
    assert read_facts(str(path), asked).prototypes == {"_printk": "ip."}
    assert read_facts(str(path)).prototypes == {}


def test_debians_kernel_says_it_of_nearly_all_functions(debian_tree: DebianTree) -> None:
    asked = (LayoutQuestion(("device",), (), is_size=True),)
    facts = read_facts(str(debian_tree.kernel_image), asked)
    assert facts.exports is not None
    assert len(facts.prototypes) > 0.8 * len(facts.exports)
    assert facts.prototypes["_printk"] == "ip."
    assert facts.prototypes["idr_find"] == "pp8"
    assert facts.prototypes["pci_get_device"].endswith("=")
    assert "memcpy" not in facts.prototypes
