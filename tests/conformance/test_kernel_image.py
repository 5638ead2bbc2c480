# SPDX-License-Identifier: Apache-2.0
"""What is read of Debian's own kernel image, against what Debian and pahole say of it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.kernel.emulated.abi import structures
from kmodd.kernel.emulated.abi.structures.declaring import Structure
from kmodd.kernelimage.btf import Layouts
from kmodd.kernelimage.facts import ImageFacts
from kmodd.kernelimage.questions import answer
from kmodd.kernelimage.reading import layouts_of, opened, read_facts
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.symvers import read_symvers
from tests.support.debian import DebianTree, headers, tree_of
from tests.support.require import require

STRUCTURES = (
    *("attribute_group", "bus_type", "class", "delayed_work", "dentry", "device", "device_driver"),
    *("file_system_type", "hrtimer", "kobject", "miscdevice", "module", "net_device", "pci_dev"),
    *("pci_driver", "platform_device", "super_block", "task_struct", "timer_list"),
    *("wait_queue_entry", "page", "sk_buff"),
)
"""Structures that modules look into, with bit fields and with nameless parts among them."""

# "unsigned int flags:3; /* 40: 5 4 */", "void (*run)(int); /* 24 8 */", "} lock; /* 32 8 */".
_LINE = re.compile(
    r"(?:.*\(\*(?P<function>\w+)\)\(.*\)"
    r"|(?:.*\W)?(?P<name>[A-Za-z_]\w*)(?:\[\d+\])*(?::(?P<bits>\d+))?);\s*"
    r"/\*\s*(?P<offset>\d+)(?::\s*(?P<bit>\d+))?\s+(?P<size>\d+)\s*\*/$",
)


def told_fields(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield each field that pahole prints: its names from outside in, and what is said of it.

    A structure within has its name behind it, if it has one: read from the end, that comes first.
    """
    outer = list[str]()
    for line in reversed([line.strip() for line in text.splitlines()]):
        found = _LINE.match(line)
        name = (found["function"] or found["name"]) if found else ""
        if found and name:
            yield ".".join(filter(None, (*outer, name))), found
        if line.startswith("}"):
            outer.append(name)
        elif line.endswith("{"):
            outer.pop()


@pytest.fixture(scope="module")
def facts(each_kernel: DebianTree) -> ImageFacts:
    return read_facts(str(each_kernel.kernel_image))


@pytest.fixture(scope="module")
def types(
    each_kernel: DebianTree, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Layouts, Path]:
    """Return the kernel's types, and a file that has their section."""
    path = tmp_path_factory.mktemp("types") / "btf"
    with opened(str(each_kernel.kernel_image)) as kernel:
        layouts, region = layouts_of(kernel), kernel.region(".BTF")
    assert layouts is not None
    assert region is not None
    path.write_bytes(region.data)
    return layouts, path


def test_the_image_exports_what_its_symvers_says(debian_tree: DebianTree) -> None:
    facts = read_facts(str(debian_tree.kernel_image))
    symvers = read_symvers((headers() / "Module.symvers").read_bytes())
    assert facts.exports is not None
    assert len(symvers) > 10_000
    assert {each.name: each for each in facts.exports} == symvers


def test_the_image_says_which_kernel_it_is(facts: ImageFacts, each_kernel: DebianTree) -> None:
    assert facts.release == each_kernel.release
    assert facts.banner.startswith(f"Linux version {each_kernel.release} (debian-kernel@")
    module = next(each_kernel.directory.rglob("*.ko*"))
    with ModuleFile.open(str(module)) as file:
        assert facts.vermagic == file.modinfo_get("vermagic")


def test_the_image_knows_its_directories_in_sysfs(facts: ImageFacts) -> None:
    assert facts.directories is not None
    assert {"kernel", "printk", "workqueue", "module", "8250"} <= facts.directories
    # What modules.builtin.modinfo takes for names: files of the kernel, for the most part.
    assert not {"core", "main", "tree", "signing"} & facts.directories


def test_the_image_has_the_certificate_of_its_modules(
    facts: ImageFacts, each_kernel: DebianTree
) -> None:
    with ModuleFile.open(str(next(each_kernel.directory.rglob("*.ko*")))) as file:
        signature = file.signature()
    assert signature is not None
    assert any(signature.key_id in each for each in facts.certificates)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_fields_are_where_pahole_has_them(types: tuple[Layouts, Path], structure: str) -> None:
    layouts, path = types
    tool = require("pahole", "the layouts of structures come from pahole (Debian: dwarves)")
    command = [tool, "-C", structure, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = list(told_fields(told))
    assert len(lines) >= 4
    for path_within, line in lines:
        field = layouts.field(structure, path_within)
        assert field is not None
        if line["bits"]:
            # pahole counts from the beginning of the number that holds the bits.
            expected = (8 * int(line["offset"]) + int(line["bit"]), int(line["bits"]))
            assert (field.bit_offset, field.bit_size) == expected
        else:
            assert (field.offset, field.size) == (int(line["offset"]), int(line["size"]))
    size = re.search(r"/\* size: (\d+)", told)
    assert size is not None
    assert layouts.structure_size(structure) == int(size[1])


def test_the_kernel_tells_its_functions_its_names_and_its_variables_per_processor(
    types: tuple[Layouts, Path],
) -> None:
    layouts, _ = types
    prototype = layouts.prototype("class_unregister")
    assert prototype is not None
    assert [each.name for each in prototype.parameters] in (["cls"], ["class"])
    printing = layouts.prototype("_printk")
    assert printing is not None
    assert printing.is_variadic
    assert layouts.enumerator("HRTIMER_MODE_ABS") == 0
    assert layouts.enumerator("HRTIMER_MODE_REL") == 1
    variables = layouts.variables(".data..percpu")
    assert len(variables) > 300
    assert variables["runqueues"].size == layouts.size_of(variables["runqueues"].type)


def test_what_is_typed_in_of_structures_is_what_6_1_says() -> None:
    with opened(str(tree_of("bookworm").kernel_image)) as kernel:
        layouts = layouts_of(kernel)
    assert layouts is not None
    declared = [
        field
        for each in vars(structures).values()
        if isinstance(each, Structure)
        for field in each.declared()
    ]
    answers = answer(layouts, [field.question for field in declared])
    typed_in = {field.question: field.number for field in declared if field.number is not None}
    assert len(typed_in) > 300
    # What is a macro in 6.1 no types tell.
    macros = {field.question for field in declared if field.is_enumerator} - answers.keys()
    assert len(macros) == 5
    assert answers | {each: typed_in[each] for each in macros} == typed_in
