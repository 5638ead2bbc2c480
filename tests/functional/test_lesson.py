# SPDX-License-Identifier: Apache-2.0
"""What the README has to try, and its lesson, as pasted."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.support.daemon import START
from tests.support.debian import headers
from tests.support.etcd import free_ports
from tests.support.require import require, require_emulator
from tests.support.systems import system_of
from tests.support.tree import ModuleTree

ROOT = Path(__file__).parents[2]


def commands(script: str) -> list[str]:
    """Return what runs a script of the README with the programs installed beside this Python."""
    programs = Path(sys.executable).parent
    return ["sh", "-c", script.replace(".venv/bin/kmod", str(programs / "kmod"))]


def surroundings(directory: Path) -> dict[str, str]:
    """Return the environment of a script, which has its temporary files in ``directory``."""
    programs = Path(sys.executable).parent
    return os.environ | {"TMPDIR": str(directory), "PATH": f"{programs}:{os.environ['PATH']}"}


def scripts(heading: str) -> list[str]:
    """The scripts below a heading of the README, up to the next one."""
    _, _, rest = (ROOT / "README.md").read_text().partition(f"## {heading}\n")
    below, *_ = re.split(r"^##+ ", rest, flags=re.MULTILINE)
    return re.findall(r"```sh\n(.*?)```", below, re.DOTALL)


def shown(heading: str) -> str:
    """The first of them."""
    return scripts(heading)[0]


def test_what_there_is_to_try_loads_lists_and_unloads(tmp_path: Path) -> None:
    require_emulator()
    installing, _, rest = shown("Try it").partition("\n")
    assert installing == "python3 -m venv .venv && .venv/bin/pip install -q '.[emulator]' &&"
    told = subprocess.run(
        commands(rest),
        cwd=ROOT,
        env=surroundings(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    for line in ("insmod .*/greet.ko", "world +[0-9]+ +0", ".*greet: hello, world", "rmmod greet"):
        assert re.search(rf"^{line} *$", told.stdout, re.MULTILINE), (line, told.stdout)


def test_files_of_a_module_are_used(modules_root: ModuleTree, tmp_path: Path) -> None:
    require_emulator()
    _, using, *_ = scripts("A first lesson")
    told = subprocess.run(
        commands(using),
        cwd=ROOT,
        env=surroundings(tmp_path) | {"TREE": str(modules_root.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    listed = [f"-r--r--r-- r--- archive {name}" for name in ("papers", "plain", "whole")]
    assert set(listed) < set(told.stdout.splitlines())
    assert told.stdout.endswith("note: a letter\n5\n")


def test_a_fleet_of_two_is_made_as_the_readme_shows(tmp_path: Path) -> None:
    require("etcd", "a fleet's wishes live in etcd (Debian: etcd-server)")
    require_emulator()
    script = shown("What many machines are to have").replace("$PWD/.venv/bin", "$PATH")
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    urls = f"--listen-client-urls={client} --advertise-client-urls={client} --name=m"
    urls += f" --listen-peer-urls={peer} --initial-advertise-peer-urls={peer}"
    urls += f" --initial-cluster=m={peer}"
    for old, new in (("http://127.0.0.1:2379", client), ("etcd --data", f"etcd {urls} --data")):
        assert old in script
        script = script.replace(old, new)
    printed = tmp_path / "printed"
    with printed.open("wb") as output:  # what runs in the background has it open for longer
        process = subprocess.Popen(
            commands(script),
            cwd=ROOT,
            env=surroundings(tmp_path),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        assert process.wait(2 * START) == 0, printed.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    readme = (ROOT / "README.md").read_text()
    pasted = re.search(r"lsmod\n```\n\n```\n(.*?)```", readme, re.DOTALL)
    assert pasted is not None
    assert printed.read_text() == pasted[1]


class Lesson:
    """The lesson as it goes: what it shows, and the source that is edited meanwhile."""

    def __init__(self, process: "subprocess.Popen[str]", source: Path) -> None:
        self._process = process
        self._source = source

    def edit(self, old: str, new: str) -> str:
        """Replace something in the source, and return what is shown until all is quiet."""
        text = self._source.read_text()
        assert old in text
        self._source.write_text(text.replace(old, new))
        return self.shown()

    def shown(self, until: str = "waits for a save in ") -> str:
        """Return what is shown up to a line with these words, or the end."""
        assert self._process.stdout is not None
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if until and until in line:
                break
        return "".join(lines)


def test_the_lesson_shows_what_it_says(tmp_path: Path) -> None:
    require("gcc", "building modules needs gcc")
    require("make", "building modules needs make")
    require_emulator()
    require(headers().name.endswith("-amd64"), "the lesson is for x86-64")
    with subprocess.Popen(
        commands(shown("A first lesson")),
        cwd=tmp_path,
        env=surroundings(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            lesson = Lesson(process, tmp_path / "hello/hello.c")
            assert "hello: hello\n" in lesson.shown()
            message = 'pr_info("hello\\n");\n\t'
            refused = lesson.edit(f"{message}return 0;", f"{message}return -EIO;")
            assert "hello: goodbye\n" in refused
            assert "ERROR: hello cannot be put in: Input/output error\n" in refused
            leak = "WARNING: hello leaks 100 bytes of memory, taken in hello_module_init+0x"
            assert leak in refused
            mended = lesson.edit("return -EIO;", "kfree(buffer);\n\treturn -EIO;")
            assert "Input/output error\n" in mended
            assert "leaks" not in mended
            lesson.edit("kfree(buffer);\n\treturn -EIO;", "return 0;")
            os.killpg(process.pid, signal.SIGINT)
            assert "hello: goodbye\n" in lesson.shown(until="")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_what_the_readme_has_works_on_a_bare_debian_13(tmp_path: Path, trixie_wheels: Path) -> None:
    git = require("git", "git lists the project's files")
    system = system_of("trixie")
    clone = tmp_path / "clone"
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    told = system.run(
        ["sh", "-euc", f"{shown('Try it')}\n{shown('A first lesson').rstrip()} --once"],
        {"clone": clone, "wheels": trixie_wheels},
        cwd="/tmp/clone",
        environment={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/tmp/wheels"},
    )
    assert "rmmod greet" in told.stdout, told.stderr
    assert re.search(r"^\[ *[\d.]+\] hello: hello$", told.stdout, re.MULTILINE), told.stderr
    assert told.stdout.endswith("hello: goodbye\n")
    assert told.returncode == 0
