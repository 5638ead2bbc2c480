# SPDX-License-Identifier: Apache-2.0
"""Questions of kmod's tools where no daemon answers: from files, and the real kmod for the rest."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.test_tools import Links
from tests.support.daemon import Daemon, kmodctl, running_daemon
from tests.support.modules import module_tree
from tests.support.tree import ModuleTree


@pytest.fixture
def links(tmp_path: Path) -> Links:
    directory = tmp_path / "sbin"
    directory.mkdir()
    return Links(directory)


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    tree = module_tree(tmp_path / "asked")
    assert kmodctl("depmod", "-b", str(tree.root), tree.release).returncode == 0
    return tree


@pytest.fixture
def emulated(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A user's daemon, which is not what a tool's caller means."""
    with running_daemon(modules_root.root, place="kmodd/kmodd.sock") as daemon:
        with daemon.client() as client:
            client.load("greet")
        yield daemon


def test_a_tool_that_only_asks_is_not_the_real_one(links: Links, tree: ModuleTree) -> None:
    real = {"KMODD_REAL_KMOD": str(links.kmod)}
    extra = tree.directory / "extra"
    place = ("-d", str(tree.root), "-S", tree.release)
    planned = links.run("modprobe", *place, "-D", "world", **real)
    assert planned.stdout == f"insmod {extra}/greet.ko \ninsmod {extra}/world.ko \n"
    assert links.run("modprobe", *place, "-R", "front-door", **real).stdout == "facade\n"
    assert "alias front_door facade\n" in links.run("modprobe", *place, "-c", **real).stdout
    basis = ("-b", str(tree.root), "-k", tree.release)
    told = links.run("modinfo", *basis, "-F", "license", "greet", **real)
    assert told.stdout == "GPL\n"
    of_file = links.run("modinfo", "-F", "license", str(extra / "greet.ko"), **real)
    assert of_file.stdout == "GPL\n"


def test_a_tool_answers_as_the_real_one_would(
    links: Links, tree: ModuleTree, tmp_path: Path
) -> None:
    own = tmp_path / "own.conf"
    own.write_text("softdep world pre: hello\nsoftdep world pre: noexit\n")
    words = ("modprobe", "-C", str(own), "-d", str(tree.root), "-S", tree.release, "-D", "world")
    assert "/noexit.ko" not in links.run(*words).stdout  # kmod minds the first line alone
    assert "/noexit.ko" in links.run("kmodctl", *words).stdout


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("modprobe", ("world",)),
        ("modprobe", ("-r", "world")),
        ("modprobe", ("-a", "world", "hello")),
        ("insmod", ("world.ko",)),
        ("rmmod", ("world",)),
        ("depmod", ("-a",)),
    ],
)
def test_a_tool_that_does_something_is_the_real_one(
    links: Links, tool: str, words: tuple[str, ...]
) -> None:
    ran = links.run(tool, *words, KMODD_REAL_KMOD=str(links.kmod))
    assert (ran.stdout, ran.returncode) == (f"real kmod: {' '.join(words)}\n", 7)


def test_a_users_emulated_kernel_has_no_say_in_a_tools_answer(
    links: Links, tree: ModuleTree, emulated: Daemon
) -> None:
    environment = {"XDG_RUNTIME_DIR": str(emulated.socket.parents[1])}
    place = ("-d", str(tree.root), "-S", tree.release)
    ran = links.run("modprobe", *place, "-n", "-v", "world", **environment)
    extra = tree.directory / "extra"
    assert ran.stdout == f"insmod {extra}/greet.ko \ninsmod {extra}/world.ko \n"
    ran = links.run("kmodctl", "modprobe", *place, "-n", "-v", "world", **environment)
    assert ran.stdout == f"insmod {extra}/world.ko \n"


def test_a_question_about_a_release_needs_no_daemon_unless_one_is_named() -> None:
    missing, absent = "/lib/modules/0.0.0-nosuch", os.strerror(errno.ENOENT)
    errors = {
        "modprobe": f"modprobe: FATAL: Module greet not found in directory {missing}\n",
        "tree": f"kmodctl tree: ERROR: could not open directory {missing}: {absent}\n",
        "list": f"kmodctl list: ERROR: could not open directory {missing}: {absent}\n",
    }
    for command, option in (("modprobe", "-D"), ("tree", "-S0.0.0-nosuch"), ("list", "-d")):
        words = (command, "-S", "0.0.0-nosuch", option)
        told = kmodctl(*words, "greet")
        assert (told.stdout, told.stderr, told.returncode) == ("", errors[command], 1)
        named = kmodctl("--socket", "/nowhere/s", *words, "greet")
        program = "kmodctl" if command == "modprobe" else f"kmodctl {command}"
        assert named.stderr.startswith(f"{program}: no daemon answers on /nowhere/s")
    acting = kmodctl("modprobe", "-S", "0.0.0-nosuch", "greet")
    assert acting.stderr.startswith("kmodctl: no daemon answers")


def test_device_nodes_are_told_without_a_daemon() -> None:
    told = kmodctl("static-nodes", "-f", "devname")
    names = Path("/lib/modules", os.uname().release, "modules.devname")
    if names.exists():
        lines = [line for line in names.read_text().splitlines() if not line.startswith("#")]
        assert (told.stdout.splitlines(), told.stderr) == (lines, "")
    else:
        assert told.stderr == f"static-nodes: WARNING: {names} not found - ignoring\n"
    assert told.returncode == 0
    assert kmodctl("--socket", "/nowhere/s", "static-nodes").returncode == 1


def test_a_file_is_read_with_the_callers_rights_and_no_daemon(tree: ModuleTree) -> None:
    file = str(tree.directory / "extra/greet.ko")
    for words in (("modinfo", file), ("modprobe", "--show-exports", file)):
        told = kmodctl("--socket", "/nowhere/s", *words)
        assert "greet" in told.stdout
        assert (told.stderr, told.returncode) == ("", 0)


def test_databases_that_are_damaged_are_told_and_nothing_is_a_traceback(tree: ModuleTree) -> None:
    place = ("-d", str(tree.root), "-S", tree.release)
    index = tree.directory / "modules.dep.bin"
    whole = index.read_bytes()
    for damaged in (b"no index", whole[: len(whole) // 2], whole[:12], b"\xb0\x07\xf4\x57" * 9):
        index.write_bytes(damaged)
        told = kmodctl("modprobe", *place, "-D", "world")
        assert told.returncode == 1
        assert told.stderr.startswith(f"modprobe: ERROR: {index}: a damaged index: ")
        assert told.stderr.count("\n") == 1
    aliases = tree.directory / "modules.alias.bin"
    aliases.write_bytes(aliases.read_bytes()[:40])
    told = kmodctl("modprobe", *place, "-c")
    assert told.returncode == 1
    assert told.stderr.startswith(f"modprobe: ERROR: {aliases}: a damaged index: ")
    assert told.stderr.count("\n") == 1


def test_a_root_may_have_its_trees_in_usr_alone(tree: ModuleTree) -> None:
    (tree.root / "usr").mkdir()
    (tree.root / "lib").rename(tree.root / "usr/lib")
    told = kmodctl("modprobe", "-d", str(tree.root), "-D", "world")
    extra = f"{tree.root}/usr/lib/modules/{tree.release}/extra"
    assert told.stdout == f"insmod {extra}/greet.ko \ninsmod {extra}/world.ko \n"
    with running_daemon(tree.root) as daemon:
        loaded = daemon.kmodctl("modprobe", "-v", "world")
        assert loaded.stdout == told.stdout
