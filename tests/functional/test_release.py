# SPDX-License-Identifier: Apache-2.0
"""A release: one command makes it, and the same sources make the same bytes."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.release import Release, build, clean_environment
from tests.support.sources import PROJECT, sources


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return build(PROJECT, tmp_path_factory.mktemp("release"))


def unpacked(sdist: Path, directory: Path) -> Path:
    """Unpack a source release, as somebody whose files are nobody else's."""
    with tarfile.open(sdist) as archive:
        archive.extractall(directory, filter="data")
    (source,) = directory.iterdir()
    for path in source.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (1, 1))
    return source


def test_the_same_sources_elsewhere_make_the_same_bytes(release: Release, tmp_path: Path) -> None:
    again = build(unpacked(release.sdist, tmp_path / "unpacked"), tmp_path / "again")
    assert (again.sdist.name, again.wheel.name) == (release.sdist.name, release.wheel.name)
    assert again.sdist.read_bytes() == release.sdist.read_bytes()
    assert again.wheel.read_bytes() == release.wheel.read_bytes()


def test_the_index_would_take_it(release: Release) -> None:
    words = ["check", "--strict", str(release.sdist), str(release.wheel)]
    checked = subprocess.run(
        [sys.executable, "-m", "twine", *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("PASSED") == 2


def test_the_source_release_is_the_projects_files_and_no_others(release: Release) -> None:
    with tarfile.open(release.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names - {"PKG-INFO"} == set(sources())
