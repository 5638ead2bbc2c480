# SPDX-License-Identifier: Apache-2.0
"""Fixtures that more than one folder of tests uses."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.ahead import Ahead, needs
from tests.realkernel.lessons import build_lessons, lay_out_lessons
from tests.support.debian import SUITES, DebianTree, headers, tree_of, unpacked_tree
from tests.support.modules import module_tree
from tests.support.package import build_package
from tests.support.sources import PROJECT
from tests.support.tree import ModuleTree

# How long an example takes says more about the machine than about the code.
settings.register_profile("timeless", deadline=None)
settings.load_profile("timeless")


@pytest.fixture(scope="session")
def debian_tree() -> DebianTree:
    """Debian's own kernel modules, some 4,000; shared, so read and never written."""
    return unpacked_tree()


@pytest.fixture(scope="session", params=SUITES)
def each_kernel(request: pytest.FixtureRequest) -> DebianTree:
    """The kernel of one of Debian's suites after the other, as packed; to read only."""
    return tree_of(request.param)


@pytest.fixture(scope="session", autouse=True)
def ahead(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ahead]:
    """What the tests of this run wait for later, and is made from now on."""
    names = {name for item in request.session.items for name in needs(item)}
    making = Ahead(tmp_path_factory.mktemp("ahead"), names)
    yield making
    making.end()


@pytest.fixture(scope="session")
def package(ahead: Ahead, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package that the sources make."""
    if "package" in ahead.names:
        made: Path = ahead.get("package")
        return made
    return build_package(PROJECT, tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def built_lessons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules of tests/modules/lessons, built for Debian's kernel."""
    output = tmp_path_factory.mktemp("lessons") / "built"
    build_lessons(output, headers())
    return output


@pytest.fixture(scope="session")
def lessons_root(
    debian_tree: DebianTree, built_lessons: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A root with these modules and the kernel's image, to read only."""
    root = tmp_path_factory.mktemp("lessons") / "root"
    lay_out_lessons(debian_tree, built_lessons, root)
    return root


@pytest.fixture
def debian_tree_copy(debian_tree: DebianTree, tmp_path: Path) -> Iterator[ModuleTree]:
    """All of Debian's modules to write into, at the price of a second and 400 MB.

    Most tests need a part, and are quicker with ``debian_tree.copy(tmp_path, "kernel/fs")``.
    """
    root = tmp_path / "debian"
    yield debian_tree.copy(root)
    shutil.rmtree(root)


@pytest.fixture
def modules_root(tmp_path: Path) -> ModuleTree:
    """A root to write into that holds the modules of tests/modules."""
    return module_tree(tmp_path / "root")
