# SPDX-License-Identifier: Apache-2.0
"""The Debian package as a file; tests/realkernel has its life."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.package import build_package
from tests.support.require import require
from tests.support.sources import PROJECT, sources

PYTHONS = ("311", "313")
"""Those of Debian 12 and of Debian 13."""


@pytest.fixture(scope="module")
def contents(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the package, unpacked, with what dpkg goes by in DEBIAN."""
    directory = tmp_path_factory.mktemp("contents")
    subprocess.run(["dpkg-deb", "-R", str(package), str(directory)], check=True)
    return directory


def test_the_same_commit_elsewhere_makes_the_same_bytes(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in sources():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, copy / name)
        (copy / name).chmod((copy / name).stat().st_mode & 0o700)
    again = build_package(copy, tmp_path / "again", umask=0o077, SOURCE_DATE_EPOCH=time_of(package))
    assert again.name == package.name
    assert again.read_bytes() == package.read_bytes()


def time_of(package: Path) -> str:
    """Return the time that a package has, which is in the first header of its archive (deb(5))."""
    with package.open("rb") as archive:
        return archive.read(8 + 28)[8 + 16 :].decode().strip()


def test_lintian_finds_no_error(package: Path) -> None:
    lintian = require("lintian", "a package is looked at by lintian")
    command = [lintian, "--allow-root", "--fail-on=error,warning", str(package)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert found.stdout == ""


def test_each_file_has_its_byte_code_for_both_pythons(contents: Path) -> None:
    packages = contents / "opt/kmodd/lib/python3/site-packages"
    modules = sorted(packages.rglob("*.py"))
    assert len(modules) > 500
    codes = {path.relative_to(packages) for path in packages.rglob("*.pyc")}
    assert codes == {
        path.relative_to(packages).parent / f"__pycache__/{path.stem}.cpython-{python}.pyc"
        for path in modules
        for python in PYTHONS
    }


def test_byte_code_is_believed_whenever_it_was_made(contents: Path) -> None:
    for code in contents.rglob("*.pyc"):
        assert code.read_bytes()[4:8] == b"\x01\0\0\0", code  # PEP 552: hash-based, not checked


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("usr/lib/systemd/catalog", "kmodd.catalog"),
        ("usr/share/doc/kmodd/examples", "grafana-dashboard.json"),
        ("usr/share/doc/kmodd/examples", "kmodd-alerts.yml"),
    ],
)
def test_what_explains_and_watches_the_service_is_there(
    contents: Path, place: str, name: str
) -> None:
    assert (contents / place / name).read_bytes() == (PROJECT / "systemd" / name).read_bytes()


def test_settings_are_the_administrators(contents: Path) -> None:
    assert (contents / "DEBIAN/conffiles").read_text() == "/etc/kmodd/kmodd.toml\n"


def linked(contents: Path, place: str) -> Path:
    """Return what a link of the package leads to, in the package."""
    return contents / str((contents / place).readlink()).lstrip("/")


@pytest.mark.parametrize("place", ["usr/bin/kmodctl", "usr/sbin/kmodd"])
def test_a_link_where_programs_are_leads_to_one(contents: Path, place: str) -> None:
    program = linked(contents, place)
    assert program == contents / "opt/kmodd/bin" / Path(place).name
    assert os.access(program, os.X_OK)


def test_pages_and_completions_are_where_man_and_shells_look(contents: Path) -> None:
    share = contents / "usr/share"
    pages = {path.name for path in share.glob("man/man*/*")}
    assert pages == {f"{page.name}.gz" for page in (PROJECT / "kmodctl/share/man").iterdir()}
    for name, made in (
        ("bash-completion/completions/kmodctl", "kmodctl.bash"),
        ("zsh/vendor-completions/_kmodctl", "_kmodctl"),
        ("fish/vendor_completions.d/kmodctl.fish", "kmodctl.fish"),
    ):
        expected = (PROJECT / "kmodctl/share/completions" / made).read_bytes()
        assert linked(contents, f"usr/share/{name}").read_bytes() == expected


def test_it_is_not_unpacked_over_what_was_installed_by_hand(contents: Path) -> None:
    bwrap = require("bwrap", "a system to run something in needs the package bubblewrap")
    made = ("--tmpfs", "/opt", "--dir", "/opt/kmodd/lib/python3.11")
    system = (bwrap, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev")
    words = ("sh", str(contents / "DEBIAN/preinst"))
    refused = subprocess.run(
        [*system, *made, *words, "install"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "/opt/kmodd/lib/python3.11 was installed by hand" in refused.stderr
    for way in (("install",), ("upgrade", "0.1.0-1")):
        prepared = made if way[0] == "upgrade" else ("--tmpfs", "/opt")
        subprocess.run([*system, *prepared, *words, *way], check=True)
