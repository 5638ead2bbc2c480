# SPDX-License-Identifier: Apache-2.0
"""What an installed wheel brings with it, beside the two programs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kmodd.namespace.own_mounts import NAMES
from tests.support.release import build, clean_environment, install
from tests.support.require import require
from tests.support.shells import fish_offers, zsh_completes
from tests.support.sources import PROJECT

PAGES = sorted((PROJECT / "kmodctl/share/man").iterdir())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but the wheel in it."""
    directory = tmp_path_factory.mktemp("installed")
    return install(build(PROJECT, directory / "dist").wheel, directory / "venv")


def test_a_typed_program_can_use_the_client(installed: Path, tmp_path: Path) -> None:
    readme = (PROJECT / "README.md").read_text()
    example = re.search(r"```python\n(import kmodctl\n.*?)```", readme, re.DOTALL)
    assert example is not None
    program = tmp_path / "program.py"
    program.write_text(f"{example[1]}\nreveal_type(module)\nreveal_type(module.size_bytes)\n")
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
            *("--python-executable", str(installed / "bin/python")),
            *("--cache-dir", str(tmp_path / "cache"), program.name),
        ],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.findall(r'Revealed type is "(.*)"', checked.stdout) == [
        "kmodd.v1.module_service_pb2.Module",
        "int",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_finds_each_page(page: Path, installed: Path) -> None:
    man = require("man", "looking for a manual page needs man-db")
    found = subprocess.run(
        [man, "-w", page.stem],
        env={"MANPATH": f"{installed}/share/man"},
        capture_output=True,
        text=True,
        check=False,
    )
    place = installed / f"share/man/man{page.suffix[1:]}" / page.name
    assert found.stdout == f"{place}\n", found.stderr
    assert place.read_bytes() == page.read_bytes()


def test_bash_finds_the_completion(installed: Path) -> None:
    bash = require("bash", "the completion is for bash")
    loader = "/usr/share/bash-completion/bash_completion"
    require(Path(loader).exists(), "bash looks for completions where it has bash-completion")
    script = (
        f"source {loader}; cd {installed}; "
        "{ _comp_load kmodd || _completion_loader kmodd; } 2>/dev/null; complete -p kmodctl kmodd"
    )
    ran = subprocess.run(
        [bash, "-c", script],
        env={"PATH": "/usr/bin:/bin", "XDG_DATA_DIRS": f"{installed}/share", "HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "complete -F _kmodctl kmodctl\ncomplete -F _kmodctl kmodd\n", ran.stderr


def test_fish_finds_the_completion(installed: Path, tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{installed}/bin:/usr/bin:/bin",  # it looks for completions of what there is
        "XDG_DATA_DIRS": f"{installed}/share:/usr/share",
    }
    assert fish_offers("", "kmodctl modi", environment) == ["modinfo"]
    assert fish_offers("", "kmodd check", environment) == ["check-config"]


def test_zsh_finds_the_completion(installed: Path, tmp_path: Path) -> None:
    functions = (
        f"path=('{installed}/bin' $path); fpath=('{installed}/share/zsh/site-functions' $fpath)"
    )
    assert zsh_completes(functions, "kmodd check", tmp_path) == "kmodd check-config "
    assert zsh_completes(functions, "kmodctl modi", tmp_path) == "kmodctl modinfo "


def test_a_linked_kmodctl_prints_the_completion_that_is_installed(
    installed: Path, tmp_path: Path
) -> None:
    link = tmp_path / "kmodctl"
    link.symlink_to(installed / "bin/kmodctl")
    words = [str(link), "completion", "fish"]
    ran = subprocess.run(words, env={}, capture_output=True, text=True, check=True)
    file = installed / "share/fish/vendor_completions.d/kmodctl.fish"
    assert ran.stdout == file.read_text()


@pytest.mark.parametrize("tool", NAMES)
def test_a_command_can_execute_each_of_kmods_tools(tool: str, installed: Path) -> None:
    (program,) = installed.glob(f"lib/python*/site-packages/kmodd/namespace/tools/{tool}")
    told = {"KMODD_PYTHON": str(installed / "bin/python"), "KMODD_SOCKET": "/s", "KMODD_TOKEN": "t"}
    answer = subprocess.check_output([program, "--version"], env=told, text=True)
    assert answer.startswith("kmodctl ")


def test_the_proto_files_are_where_it_says(installed: Path) -> None:
    def told(python: str | Path, place: Path) -> Path:
        words = [str(python), "-m", "kmodctl.protos"]
        printed = subprocess.check_output(words, cwd=place, env=clean_environment(), text=True)
        return Path(printed.removesuffix("\n"))

    sources = {path.name: path.read_text() for path in (PROJECT / "proto/kmodd/v1").iterdir()}
    for directory in (told(installed / "bin/python", installed), told(sys.executable, PROJECT)):
        found = {path.name: path.read_text() for path in (directory / "kmodd/v1").iterdir()}
        assert found == sources
    assert told(installed / "bin/python", installed).is_relative_to(installed)
