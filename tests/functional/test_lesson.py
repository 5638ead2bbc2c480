# SPDX-License-Identifier: Apache-2.0
"""What the README has to try, and its lesson, as pasted."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.debian import headers
from tests.support.require import require, require_emulator
from tests.support.systems import system_of

ROOT = Path(__file__).parents[2]


def pasted(script: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Run a script of the README with the programs that are installed beside this Python."""
    programs = Path(sys.executable).parent
    return subprocess.run(
        ["sh", "-c", script.replace(".venv/bin/kmodd", str(programs / "kmodd"))],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(directory), "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def shown(heading: str) -> str:
    """The first script below a heading of the README."""
    readme = (ROOT / "README.md").read_text()
    found = re.search(rf"## {heading}\n.*?```sh\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    return found[1]


def test_what_there_is_to_try_loads_lists_and_unloads(tmp_path: Path) -> None:
    require_emulator()
    installing, _, rest = shown("Try it").partition("\n")
    assert installing == "python3 -m venv .venv && .venv/bin/pip install -q '.[emulator]' &&"
    told = pasted(rest, tmp_path)
    assert told.returncode == 0, told.stderr
    for line in ("insmod .*/greet.ko", "world +[0-9]+ +0", ".*greet: hello, world", "rmmod greet"):
        assert re.search(rf"^{line} *$", told.stdout, re.MULTILINE), (line, told.stdout)


def test_the_lesson_shows_what_it_says(tmp_path: Path) -> None:
    require("gcc", "building modules needs gcc")
    require("make", "building modules needs make")
    require_emulator()
    found = headers()
    require(found.name.endswith("-amd64"), "the lesson is for x86-64")
    assert_lesson(pasted(shown("A first lesson"), tmp_path))


def assert_lesson(told: "subprocess.CompletedProcess[str]") -> None:
    """See that the lesson has shown what the README says."""
    lines = [re.sub(r"^\[ *[\d.]+\] ", "", line) for line in told.stdout.splitlines()]
    assert "insmod: ERROR: could not insert module halfway.ko: Input/output error" in told.stderr
    assert "rmmod: WARNING: leaky leaks 100 bytes of memory, taken in leaky_init+0x" in told.stderr
    assert "Hello, world: the module is in the kernel" in lines
    assert "Goodbye, world: the module leaves the kernel" in lines
    assert [line for line in lines if line.startswith("halfway: gave")] == [
        "halfway: gave the device numbers back",
        "halfway: gave the buffer back",
    ]


def wheels(directory: Path, python: str) -> None:
    """Download what kmodd needs in a system with that version of Python, "3.13"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extra = project["project"]["optional-dependencies"]["emulator"]
    wanted = project["project"]["dependencies"] + extra + project["build-system"]["requires"]
    tags = [f"manylinux{each}_x86_64" for each in ("1", "2010", "2014", "_2_17", "_2_28")]
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:"]
    command += ["--implementation=cp", f"--python-version={python}", "-d", str(directory)]
    command += [f"--platform={tag}" for tag in tags]
    answer = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
    require(answer.returncode == 0, f"cannot download for Python {python}: {answer.stderr.strip()}")


def test_what_the_readme_has_works_on_a_bare_debian_13(tmp_path: Path) -> None:
    git = require("git", "git lists the project's files")
    system = system_of("trixie")
    clone, needed = tmp_path / "clone", tmp_path / "wheels"
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    needed.mkdir()
    version = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    wheels(needed, system.run(["python3", "-c", version], {}).stdout.strip())
    told = system.run(
        ["sh", "-euc", f"{shown('Try it')}\n{shown('A first lesson')}"],
        {"clone": clone, "wheels": needed},
        cwd="/tmp/clone",
        environment={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/tmp/wheels"},
    )
    assert "rmmod greet" in told.stdout, told.stderr
    assert_lesson(told)
