# SPDX-License-Identifier: Apache-2.0
"""Modules are found by their names, and by what is said of them."""

from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import Database
from kmodd.database.indexed import IndexedTree
from kmodd.database.rebuild import rebuild
from kmodd.errors import KmoddError, Reason
from kmodd.messages import database_service as messages
from kmodd.oneshot.answers import Answers
from kmodd.queries.search import ALIASES_TOLD, FoundModule, Search, search_modules
from tests.support.records import database as database_of
from tests.support.records import record, write_files
from tests.support.small_tree import add_module, empty_tree
from tests.support.tree import ModuleTree


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    """A tree of modules that are said to be something."""
    tree = empty_tree(tmp_path)
    add_module(tree, "kernel/snd-usb.ko", description="Sound of the Bus", aliases=["usb:v1*"])
    add_module(tree, "kernel/bus.ko.xz", description="A\tthing \udce9")
    add_module(tree, "kernel/far.ko", aliases=[f"pci:bus-{each}" for each in range(9)])
    add_module(tree, "kernel/mute.ko")
    (tree.directory / "kernel/bad.ko").write_bytes(b"no module")
    (tree.directory / "modules.builtin").write_text("kernel/bus_core.ko\nkernel/dumb.ko\n")
    strings = b"bus_core.file=kernel/bus_core\0bus_core.description=In it\0bus_core.alias=x-bus\0"
    (tree.directory / "modules.builtin.modinfo").write_bytes(strings)
    return tree


@pytest.fixture
def database(tree: ModuleTree) -> Database:
    return rebuild(str(tree.directory), tree.release, config=DepmodConfig())


def names(found: object, search: Search) -> list[str]:
    assert isinstance(found, Database | IndexedTree)
    return [each.name for each in search_modules(search, found)]


def test_names_match_a_pattern_in_which_a_dash_is_an_underscore(database: Database) -> None:
    assert names(database, Search()) == ["bad", "bus", "far", "mute", "snd_usb"]
    assert names(database, Search(pattern="*-u[r-t]b")) == ["snd_usb"]
    assert names(database, Search(pattern="?a*")) == ["bad", "far"]
    assert names(database, Search(pattern="snd_usb")) == ["snd_usb"]
    assert names(database, Search(pattern="snd")) == []
    assert names(database, Search(pattern="*b*", builtin=True)) == [
        *("bad", "bus", "bus_core", "dumb", "snd_usb")
    ]


def test_words_are_found_in_names_then_descriptions_then_aliases(database: Database) -> None:
    found = list(search_modules(Search(words=("BUS",), builtin=True), database))
    assert [each.name for each in found] == ["bus", "bus_core", "snd_usb", "far"]
    assert [each.description for each in found] == [
        "A\tthing \udce9",
        "In it",
        "Sound of the Bus",
        "",
    ]
    assert [len(each.aliases) for each in found] == [0, 0, 0, ALIASES_TOLD]
    assert all(alias.startswith("pci:bus_") for alias in found[3].aliases)
    assert names(database, Search(words=("sound", "bus"))) == ["snd_usb"]
    assert names(database, Search(words=("sound", "thing"))) == []
    assert names(database, Search(words=("x-bus",), builtin=True)) == ["bus_core"]
    assert names(database, Search(words=("x-bus",))) == []
    assert names(database, Search(words=("bus",), pattern="f*")) == ["far"]


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        (Search(pattern="a[b"), Reason.INVALID_NAME),
        (Search(pattern="a\0b"), Reason.INVALID_NAME),
        (Search(pattern="x" * 5000), Reason.INVALID_NAME),
        (Search(words=("",)), Reason.INVALID_REQUEST),
        (Search(words=("a",) * 17), Reason.INVALID_REQUEST),
        (Search(words=("x" * 5000,)), Reason.INVALID_REQUEST),
    ],
)
def test_what_cannot_be_looked_for_is_refused(search: Search, reason: Reason) -> None:
    with pytest.raises(KmoddError) as caught:
        search_modules(search, database_of(record("one")))
    assert caught.value.reason is reason


def test_files_give_the_answers_that_a_daemon_gives(tree: ModuleTree, database: Database) -> None:
    write_files(database, tree.directory)
    asked = (Search(), Search(pattern="b*", builtin=True))
    for search in asked:
        indexed = IndexedTree(str(tree.directory), tree.release)
        assert names(indexed, search) == names(database, search)
    answers = Answers(str(tree.root), tree.release, ())
    for words in (["bus"], ["thing"], ["pci"]):
        request = messages.FindModulesRequest(words=words, builtin=True, descriptions=True)
        (answer,) = answers.find_modules(request)
        expected = [*search_modules(Search(words=tuple(words), builtin=True), database)]
        assert [shown(each) for each in answer.modules] == [
            (each.name, each.path, readable(each), [*each.aliases]) for each in expected
        ]


def shown(module: messages.FoundModule) -> tuple[str, str, str, list[str]]:
    return module.name, module.path, module.description, list(module.aliases)


def readable(module: FoundModule) -> str:
    return module.description.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
