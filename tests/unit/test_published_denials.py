# SPDX-License-Identifier: Apache-2.0
"""The deny list as libkmod reads it; that udev obeys it, tests/realkernel shows."""

import subprocess
from pathlib import Path

import pytest

from kmodd.config import read_config
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.identity import read_identity
from kmodd.namespace.published_denials import PublishedDenials
from kmodd.plan import DenyList
from kmodd.trees import Generation, Trees
from tests.support.modules import module_tree
from tests.support.require import require
from tests.support.tree import ModuleTree

DENY = DenyList([("g*", "why"), ("not-there", ""), ("wor?d", "")])


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    tree = module_tree(tmp_path)
    (tmp_path / "etc/modprobe.d").mkdir(parents=True)
    return tree


@pytest.fixture
def generation(tree: ModuleTree) -> Generation | None:
    trees = Trees(tree.root, tree.release, publish=True)
    trees.rebuild()
    return trees.in_force()


def denied(path: Path) -> list[str]:
    words = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    names = [line[1] for line in words if line[0] == "blacklist"]
    assert [line[1:] for line in words if line[0] == "install"] == [
        [name, "/bin/false"] for name in names
    ]
    return names


def test_each_module_that_is_denied_is_named(tree: ModuleTree, generation: Generation) -> None:
    published = PublishedDenials(tree.root)
    published.publish(DENY, generation)
    names = denied(published.path)
    assert {"not_there", "world", "greet", "gplsym", "gadget"} <= set(names)
    assert "facade" not in names
    assert published.path.stat().st_mode & 0o777 == 0o644


def test_a_build_that_is_denied_is_named_by_its_file(
    tree: ModuleTree, generation: Generation
) -> None:
    with ModuleFile.open(tree.directory / "extra/greet.ko") as file:
        build = read_identity(file).builds[0]
    published = PublishedDenials(tree.root)
    published.publish(DenyList((), [(build, "bad")]), generation)
    assert denied(published.path) == ["greet"]


def test_libkmod_obeys_and_kmodd_goes_by_its_settings(
    tree: ModuleTree, generation: Generation
) -> None:
    modprobe = require("modprobe", "libkmod is asked by modprobe")
    published = PublishedDenials(tree.root)

    place = ("-d", str(tree.root), "-C", str(tree.root / "etc/modprobe.d"))

    def plan(name: str) -> str:
        command = [modprobe, "-n", "-v", *place, "-S", tree.release, name]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    assert plan("world").startswith("insmod")
    published.publish(DenyList([("greet", "")]), generation)
    assert "install /bin/false" in plan("world")
    config = read_config(tree.root)
    assert (config.files, config.installs, config.blacklist) == ((), (), ())


def test_a_list_without_a_name_leaves_no_file(tree: ModuleTree, generation: Generation) -> None:
    published = PublishedDenials(tree.root)
    published.publish(DENY, None)
    assert denied(published.path) == ["not_there"]
    published.publish(DenyList(), generation)
    assert list(published.path.parent.iterdir()) == []
    published.publish(DenyList(), generation)


def test_what_stays_the_same_is_not_written_anew(tree: ModuleTree, generation: Generation) -> None:
    published = PublishedDenials(tree.root)
    published.publish(DENY, generation)
    before = published.path.stat()
    published.publish(DENY, generation)
    assert published.path.stat() == before


def test_a_file_of_somebody_elses_stays_and_counts(
    tree: ModuleTree, generation: Generation, caplog: pytest.LogCaptureFixture
) -> None:
    published = PublishedDenials(tree.root)
    published.path.write_text("blacklist mine\n")
    for _ in range(2):
        published.publish(DENY, generation)
    assert published.path.read_text() == "blacklist mine\n"
    assert [each.module for each in read_config(tree.root).blacklist] == ["mine"]
    assert caplog.text.count("cannot be written: somebody else has made it") == 1


def test_a_directory_that_is_not_there_is_told_of_once(
    tree: ModuleTree, generation: Generation, caplog: pytest.LogCaptureFixture
) -> None:
    (tree.root / "etc/modprobe.d").rmdir()
    for _ in range(2):
        PublishedDenials(tree.root).publish(DENY, generation)
    published = PublishedDenials(tree.root)
    published.publish(DENY, generation)
    published.publish(DENY, generation)
    assert caplog.text.count("No such file or directory") == 3
