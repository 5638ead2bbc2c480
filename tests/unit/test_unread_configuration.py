# SPDX-License-Identifier: Apache-2.0
"""A tree of the machine's kernel is read without the configuration that others may write."""

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kmodd.database import Database, ModuleRecord
from kmodd.database.published import read_published
from kmodd.errors import TreeError
from kmodd.plan import LoadRequest, module_of, plan_load
from kmodd.trees import Trees
from kmodd.trees.options import TreeOptions
from tests.support.modules import module_tree
from tests.support.tree import ModuleTree
from tests.support.trusted import trusted_directory

STAFF = 50


@pytest.fixture
def tree() -> Iterator[ModuleTree]:
    """A root with the modules of tests/modules, on which only root's word goes."""
    with trusted_directory() as place:
        yield module_tree(place / "root")


def trees_of(tree: ModuleTree, *modprobe_config: Path) -> Trees:
    return Trees(
        tree.root,
        tree.release,
        publish=False,
        trusted_only=True,
        modprobe_config=modprobe_config,
    )


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def staffs(directory: Path) -> Path:
    """Give a directory to the group staff, as Debian gives it /usr/local."""
    directory.mkdir(parents=True, exist_ok=True)
    os.chown(directory, 0, STAFF)
    directory.chmod(0o2775)
    return directory


def blacklist(trees: Trees) -> list[str]:
    return [entry.module for entry in trees.rebuild().config.blacklist]


def test_a_place_of_others_where_there_is_no_configuration_is_no_problem(tree: ModuleTree) -> None:
    staffs(tree.root / "usr/local")
    staffs(tree.root / "usr/local/lib")
    generation = trees_of(tree).rebuild()
    assert (generation.unread, generation.problem) == ((), "")
    assert "greet" in generation.database.modules


def test_each_kind_of_configuration_is_left_out_by_itself(tree: ModuleTree) -> None:
    local = staffs(tree.root / "usr/local")
    written(local / "lib/modprobe.d/a.conf", "blacklist bad\n")
    written(local / "lib/depmod.d/a.conf", "exclude extra\n")
    written(tree.root / "etc/modprobe.d/b.conf", "blacklist good\n")
    generation = trees_of(tree).rebuild()
    assert [entry.module for entry in generation.config.blacklist] == ["good"]
    assert "greet" in generation.database.modules
    why = f"is not read: {local} may be written by others than root (mode 2775)"
    assert generation.unread == tuple(
        f"{local}/lib/{kind}.d {why}" for kind in ("depmod", "modprobe")
    )


def test_a_named_configuration_is_checked_with_the_way_to_it(tree: ModuleTree) -> None:
    theirs = written(tree.root.parent / "theirs/own.conf", "blacklist bad\n")
    good = written(tree.root.parent / "good.conf", "blacklist good\n")
    os.chown(theirs.parent, 1000, 1000)
    trees = trees_of(tree, theirs, good)
    assert blacklist(trees) == ["good"]
    why = f"{theirs.parent} belongs to user 1000, not to root"
    assert trees.current().unread == (f"{theirs} is not read: {why}",)


def test_what_is_mended_is_taken_in_by_the_next_reading(tree: ModuleTree) -> None:
    directory = staffs(tree.root / "etc/modprobe.d")
    written(directory / "a.conf", "blacklist one\n")
    trees = trees_of(tree)
    assert blacklist(trees) == []
    before = trees.current()
    assert trees.rebuild().number == before.number
    directory.chmod(0o755)
    assert blacklist(trees) == ["one"]
    assert (trees.current().number, trees.current().unread) == (before.number + 1, ())


@pytest.mark.parametrize("kind", ["modprobe.d", "depmod.d"])
def test_another_reason_is_another_configuration(tree: ModuleTree, kind: str) -> None:
    directory = staffs(tree.root / "etc" / kind)
    written(directory / "a.conf", "blacklist one\nsearch extra\n")
    trees = trees_of(tree)
    before = trees.rebuild()
    directory.chmod(0o777)
    after = trees.rebuild()
    assert after.number == before.number + 1
    assert after.database is before.database
    assert after.unread[0].endswith("(mode 0777)")


def test_the_log_says_once_for_all_releases_what_is_not_read(
    tree: ModuleTree, caplog: pytest.LogCaptureFixture
) -> None:
    directory = staffs(tree.root / "etc/modprobe.d")
    written(directory / "a.conf", "blacklist one\n")
    tree.directory.with_name("5.0.0-old").mkdir()
    trees = trees_of(tree)

    def warnings() -> list[str]:
        caplog.clear()
        for release in (tree.release, "5.0.0-old", tree.release):
            trees.rebuild(release)
        found = (each for each in caplog.records if each.levelno == logging.WARNING)
        return [each.getMessage() for each in found if "modprobe.d" in each.getMessage()]

    complaint = f"{directory} may be written by others than root (mode 2775)"
    assert warnings() == [f"{directory} is not read: {complaint}"]
    assert warnings() == []
    directory.chmod(0o755)
    assert warnings() == []
    directory.chmod(0o2775)
    assert warnings() == [f"{directory} is not read: {complaint}"]


def test_the_log_says_what_is_not_read_where_there_is_no_tree(
    tree: ModuleTree, caplog: pytest.LogCaptureFixture
) -> None:
    directory = staffs(tree.root / "etc/modprobe.d")
    written(directory / "a.conf", "blacklist one\n")
    trees = trees_of(tree)
    for _ in range(2):
        generation = trees.current("9.9.9", treeless=True)
    assert (generation.config.blacklist, len(generation.unread)) == ((), 1)
    assert [each.getMessage() for each in caplog.records] == [*generation.unread]


def test_a_tree_is_refused_for_what_is_on_the_way_to_it(tree: ModuleTree) -> None:
    trees = trees_of(tree)
    directory = staffs(tree.directory.parent)
    complaint = f"refused: {directory} may be written by others than root (mode 2775)"
    with pytest.raises(TreeError) as caught:
        trees.rebuild()
    assert caught.value.message == trees.refusal() == complaint
    directory.chmod(0o755)
    trees.rebuild()
    assert trees.refusal() == ""
    tree.directory.rename(tree.directory.with_name("gone"))
    with pytest.raises(TreeError, match="could not open directory"):
        trees.rebuild()
    assert trees.refusal() == ""


BUILD = (
    ("modules.builtin", b"kernel/lib/theirs.ko\n"),
    ("modules.builtin.modinfo", b"theirs.alias=theirs_alias\0"),
    ("modules.order", b"kernel/world.ko\n"),
)


def build_lists(tree: ModuleTree, owner: int) -> None:
    for name, content in BUILD:
        (tree.directory / name).write_bytes(content)
        os.chown(tree.directory / name, owner, owner)


def believed(database: Database) -> tuple[bool, tuple[str, ...], bytes]:
    """Return what comes of the builtin module and alias, and what is known of it."""
    aliases = database.search_builtin_aliases("theirs_alias")
    return database.is_builtin("theirs"), tuple(aliases), database.builtin_modinfo


def test_the_lists_of_the_kernels_build_count_where_they_are_roots(tree: ModuleTree) -> None:
    build_lists(tree, 0)
    database = trees_of(tree).rebuild().database
    assert believed(database) == (True, ("theirs",), BUILD[1][1])
    assert database.inventory.order == BUILD[2][1]


def test_the_lists_of_the_kernels_build_that_others_wrote_are_not_believed_and_are_named(
    tree: ModuleTree,
) -> None:
    build_lists(tree, 1000)
    database = trees_of(tree).rebuild().database
    assert believed(database) == (False, (), b"")
    assert database.inventory.order is None
    for name, _ in BUILD:
        (line,) = (line for line in database.problems if f"/{name} belongs to user 1000" in line)
        assert line.startswith("WARNING: ")


def test_what_published_files_lack_is_not_taken_from_a_list_that_others_wrote(
    tree: ModuleTree,
) -> None:
    build_lists(tree, 0)
    published = Trees(tree.root, tree.release, trusted_only=True)
    published.rebuild()
    os.chown(tree.directory / "modules.builtin.modinfo", 1000, 1000)
    objection = TreeOptions(
        root=tree.root, swapped=lambda: None, trusted_only=True
    ).tree_objection()
    database = read_published(str(tree.directory), tree.release, objection)
    assert database.is_builtin("theirs")
    assert database.builtin_modinfo == b""


def test_the_soft_dependencies_in_a_file_that_others_may_write_are_not_followed(
    tree: ModuleTree,
) -> None:
    generation = trees_of(tree).rebuild()
    found = generation.database.modules["world"]
    record = ModuleRecord(found.path, found.name, found.stamp, softdeps=("pre: gplsym",))
    database = replace(
        generation.database, modules={**generation.database.modules, "world": record}
    )

    def planned() -> list[str]:
        plans = plan_load(
            LoadRequest(name="world"),
            database,
            generation.config,
            {},
            believes=generation.believes,
        )
        return [module_of(step) for plan in plans for step in plan.steps]

    assert "gplsym" in planned()
    (tree.directory / record.path).chmod(0o666)
    assert "gplsym" not in planned()
    assert "world" in planned()
