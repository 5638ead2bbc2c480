# SPDX-License-Identifier: Apache-2.0
"""What ``kmodctl depmod`` warns of, and when, beside the machine's own depmod."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.test_depmod_command import Said, ours, theirs
from tests.support.small_tree import add_module, empty_tree
from tests.support.tree import ModuleTree

OPTIONS = [(), ("-n",), ("-w",), ("-n", "-w"), ("-e", "-E"), ("-wve", "-E"), ("-ne", "-E")]
"""The last ones go with the path of a Module.symvers."""


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    """A tree in which there is something to warn of at each step."""
    tree = empty_tree(tmp_path / "root")
    aliases = ["un[matched", "twice", "twice", "devname:node", "un]matched", "twice"]
    add_module(tree, "kernel/base.ko", exports=["base_do"], aliases=aliases)
    imports = ["base_do", "_printk", "missing"]
    add_module(tree, "kernel/user.ko", exports=["user_do"], imports=imports, aliases=aliases)
    (tree.directory / "kernel/broken.ko").write_text("no module")
    return tree


def without_lists(tree: ModuleTree) -> None:
    """Leave the tree without what the kernel's build puts beside the modules."""


def with_bad_lists(tree: ModuleTree) -> None:
    (tree.directory / "modules.order").write_text("kernel/user.ko\nkernel/other.ko")
    (tree.directory / "modules.builtin").write_text("kernel/q.ko\n/\n")
    (tree.directory / "modules.builtin.modinfo").write_bytes(b"q.alias=bad[x\0q.alias=ok\0")


def without_the_list_of_strings(tree: ModuleTree) -> None:
    with_bad_lists(tree)
    (tree.directory / "modules.builtin.modinfo").unlink()


@pytest.mark.parametrize(
    "lists", [without_lists, with_bad_lists, without_the_list_of_strings], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_all_that_is_wrong_is_told_in_depmods_order(
    tree: ModuleTree, lists: Callable[[ModuleTree], None], options: tuple[str, ...]
) -> None:
    lists(tree)
    mine, reference = both(tree, options)
    assert mine.status == reference.status == 0
    assert told(mine) == told(reference)


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_what_else_is_wrong_is_told_before_a_cycle(
    tree: ModuleTree, options: tuple[str, ...]
) -> None:
    add_module(tree, "kernel/base.ko", exports=["base_do"], imports=["user_do"])
    mine, reference = both(tree, options)
    assert mine.status == reference.status == 1
    assert told(mine) == told(reference)
    assert "Cycle detected" in mine.stderr
    assert sorted(mine.stdout.splitlines()) == sorted(reference.stdout.splitlines())
    assert not (tree.directory / "modules.dep").exists()


def both(tree: ModuleTree, options: tuple[str, ...]) -> tuple[Said, Said]:
    """Run both programs on the tree, the kernel of which has ``_printk`` and no more."""
    symvers = tree.root / "Module.symvers"
    symvers.write_text("0x00000008\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n")
    words = [*options, *([str(symvers)] if "-E" in options else [])]
    words += ["-b", str(tree.root), tree.release]
    return ours(*words), theirs(*words)


def told(said: Said) -> list[str]:
    """What a program told, but for the reason why a file is no module: kmod has no words for it.

    It says an empty line after a bad one of modules.builtin, too.
    """
    lines = filter(None, said.stderr.split("\n"))
    return [re.sub(r"(load symbols from \S+): .*", r"\1", line) for line in lines]
