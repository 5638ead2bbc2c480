# SPDX-License-Identifier: Apache-2.0
"""What 'kmodctl new' writes: it builds without a warning, loads, and leaves nothing behind."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from kmodctl.commands.new import KINDS, LONGEST, LONGEST_OF_KIND
from tests.support.daemon import running_daemon
from tests.support.debian import headers, tree_of
from tests.support.here import Ran, run_here
from tests.support.require import require, require_emulator
from tests.support.systems import system_of
from tests.support.tree import ModuleTree

NAMES = {kind: f"mutex_{kind}"[: LONGEST_OF_KIND.get(kind, LONGEST)] for kind in KINDS}


def new(*words: str, into: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    monkeypatch.chdir(into)
    return run_here(None, "new", *words)


@pytest.fixture(name="written")
def written_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a new module of each kind, which a build there descends into."""
    place = tmp_path / "written"
    place.mkdir()
    for kind, name in NAMES.items():
        ran = new("-k", kind, name, into=place, monkeypatch=monkeypatch)
        assert (ran.status, ran.errors) == (0, "")
    directories = " ".join(f"{name}/" for name in NAMES.values())
    (place / "Kbuild").write_text(f"obj-m := {directories}\n")
    return place


def complaints(built: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return what the build said, but for what it says of the machine and not of the sources."""
    assert built.returncode == 0, built.stderr
    of_the_machine = ("Skipping BTF", "compiler differs", "The kernel was built by:", "You are us")
    lines = (built.stdout + built.stderr).splitlines()
    return [line for line in lines if not any(each in line for each in of_the_machine)]


def assert_all_run(root: Path, written: Path) -> None:
    """See that each module loads, says something, and gives back all that it took."""
    with running_daemon(root) as daemon, daemon.client() as client:
        for kind, name in NAMES.items():
            assert client.insert(written / name / f"{name}.ko").name == name
            if kind == "platform":
                added = client.add_device(f"platform:{name}")
                assert (added.device.driver, added.device.probe_errno) == (name, 0)
            if kind == "params":
                assert client.set_parameter(name, "times", "7").value == "7"
            assert client.remove(name) == ()
        said = "\n".join(record.text for record in client.read_log())
    for line in (
        f"{NAMES['hello']}: hello",
        f"{NAMES['hello']}: goodbye",
        f"{NAMES['params']}: hello, world",
        f"{NAMES['chardev']}: /dev/{NAMES['chardev']} is gone",
        f"{NAMES['proc']}: /proc/{NAMES['proc']} is gone",
        f"{NAMES['platform']} {NAMES['platform']}.0: number 0 is gone",
        f"{NAMES['workqueue']}: done after 3 rounds",
    ):
        assert line in said
    assert "leak" not in said


def test_each_kind_builds_and_runs(written: Path, modules_root: ModuleTree) -> None:
    require_emulator()
    for tool in ("make", "gcc"):
        require(tool, f"building modules needs {tool}")
    found = headers()
    built = subprocess.run(
        ["make", "-s", "-C", str(found), f"M={written}", "modules"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert complaints(built) == []
    root = modules_root.root.parent / "other"
    tree = root / "lib/modules" / found.name.removeprefix("linux-headers-")
    tree.mkdir(parents=True)
    (tree / "build").symlink_to(found)
    (tree / "modules.builtin").touch()
    assert_all_run(root, written)


def test_each_kind_builds_and_runs_on_6_12(written: Path, tmp_path: Path) -> None:
    require_emulator()
    debian, system = tree_of("trixie"), system_of("trixie")
    command = ["make", "-s", "-C", system.headers, "M=/tmp/written", "modules"]
    assert complaints(system.run(command, {"written": written})) == []
    tree = tmp_path / "newer/usr/lib/modules" / debian.release
    tree.mkdir(parents=True)
    shutil.copy(debian.kernel_image, tree / "vmlinuz")
    (tree / "modules.builtin").touch()
    assert_all_run(tmp_path / "newer", written)


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("my-module", "hello", "a name in C has no '-'; my_module will do"),
        ("1st", "hello", "a name in C begins with no digit"),
        ("../x", "hello", "a name in C has letters from A to Z, digits and '_' alone"),
        ("a b", "hello", "a name in C has letters from A to Z, digits and '_' alone"),
        ("é", "hello", "a name in C has letters from A to Z, digits and '_' alone"),
        ("", "hello", "it is empty"),
        ("__", "hello", "it has no letter"),
        ("while", "hello", "it is a word of C's own"),
        ("module", "hello", "module_init and module_exit are the kernel's own"),
        ("x" * 56, "hello", "it has 56 letters, and there is room for 55"),
        ("x" * 24, "platform", "it has 24 letters, and there is room for 23"),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_reason(
    name: str, kind: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = new("--kind", kind, name, into=tmp_path, monkeypatch=monkeypatch)
    assert (ran.status, ran.output) == (1, "")
    assert ran.errors == f"kmodctl new: ERROR: a module cannot be called '{name}': {why}\n"
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/mine.c").write_text("precious")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("mine", "link"):
        ran = new("--json", name, into=tmp_path, monkeypatch=monkeypatch)
        assert (ran.status, ran.errors) == (1, f"kmodctl new: ERROR: {name}: File exists\n")
        assert json.loads(ran.output)["failure"]["message"]
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["mine.c"]
    assert (tmp_path / "mine/mine.c").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_of_a_directory_that_cannot_be_written_whole_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str, kind: str) -> dict[str, str]:  # noqa: ARG001
        return {"Kbuild": "obj-m := x.o\n", "no/such/place": ""}

    monkeypatch.setattr("kmodctl.commands.new.contents", full)
    ran = new("mine", into=tmp_path, monkeypatch=monkeypatch)
    assert (ran.status, list(tmp_path.iterdir())) == (1, [])
    assert ran.errors == "kmodctl new: ERROR: mine: No such file or directory\n"
