# SPDX-License-Identifier: Apache-2.0
"""The databases of the golden trees are those that kmod v34 wrote, byte for byte."""

import tarfile
from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig, read_depmod_config
from kmodd.database.publish import publish
from kmodd.database.rebuild import rebuild
from tests.support.databases import FILE_NAMES

ARCHIVE = Path(__file__).parent / "golden" / "golden.tar.xz"
RELEASE = "6.1.0-golden"


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive."""
    root = tmp_path_factory.mktemp("golden")
    with tarfile.open(ARCHIVE) as archive:
        # Debian 12's Python has no filters yet, and later ones warn of those who name none.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(root)
    return root


@pytest.mark.parametrize("tree", ["mixed", "noorder", "cfg"])
def test_every_file_of_a_golden_tree_is_the_one_of_kmod_34(
    golden: Path, tree: str, tmp_path: Path
) -> None:
    config = DepmodConfig()
    if tree == "cfg":
        config = read_depmod_config(golden, RELEASE, paths=[golden / "cfg-depmod.d"])
    database = rebuild(str(golden / tree / "lib/modules" / RELEASE), RELEASE, config=config)
    (tmp_path / "out").mkdir()
    publish(database.files, str(tmp_path / "out"))

    expected = golden / "expected" / tree / "lib/modules" / RELEASE
    names = sorted(path.name for path in expected.iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert sorted(FILE_NAMES) == names
    wrong = [
        name
        for name in names
        if (tmp_path / "out" / name).read_bytes() != (expected / name).read_bytes()
    ]
    assert wrong == []
