# SPDX-License-Identifier: Apache-2.0
"""What real shells complete kmodctl's command lines to, with a real daemon and without."""

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kmodctl
from kmodctl.commands.completion import SHELLS
from tests.support.daemon import Daemon, running_daemon
from tests.support.daemon import kmodctl as run_kmodctl
from tests.support.modules import SOURCES, module_tree
from tests.support.shells import bash_completes, fish_completes, zsh_completes
from tests.support.tree import ModuleTree

PLACE = Path(kmodctl.__file__).parent
COMPLETIONS = PLACE / "share" / "completions"

HOSTILE = ("x$(touch run)", "x`touch run`", "x;touch run", "x'y", 'x"y', "x y", "x*", "-x", "x\ny")
"""Names that would do something where a shell reads them once more."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with loaded modules, a device, a hold, and a tree with hostile names."""
    tree = module_tree(tmp_path_factory.mktemp("completed") / "root")
    hostile(tree)
    with running_daemon(tree.root) as running:
        with running.client() as client:
            client.load("world")
            client.load("hello")
            client.add_device("platform:kmodd-gadget")
        yield running


def hostile(tree: ModuleTree) -> None:
    """Have modules in a tree whose names are not for a shell."""
    for name in HOSTILE:
        (tree.directory / f"extra/{name}.ko").write_bytes((SOURCES / "hello.ko").read_bytes())


def asked(daemon: Daemon, *words: str) -> list[str]:
    """Return what there is to offer for the last of the words of a line."""
    line = ("kmodctl", "--socket", str(daemon.socket), *words)
    ran = run_kmodctl("complete", "--", *line)
    assert (ran.returncode, ran.stderr) == (0, "")
    return [each.partition("\t")[0] for each in ran.stdout.splitlines()]


def test_names_are_those_of_the_daemon_that_the_line_asks(daemon: Daemon) -> None:
    known = asked(daemon, "modprobe", "")
    assert {"hello", "world", "facade"} <= {*known}
    assert not [each for each in known if each.startswith(("x", "-"))]
    assert asked(daemon, "modprobe", "gre") == ["greet"]
    assert asked(daemon, "modprobe", "-r", "") == ["gadget", "hello", "world", "greet"]
    assert asked(daemon, "modprobe", "-a", "greet", "wor") == ["world"]
    assert asked(daemon, "modprobe", "-c", "") == []
    assert asked(daemon, "rmmod", "w") == asked(daemon, "reload", "w") == ["world"]
    assert asked(daemon, "check", "gre") == ["greet"]
    assert asked(daemon, "status", "gr") == ["greet"]
    assert asked(daemon, "hold", "--unload", "fac") == ["facade"]
    assert asked(daemon, "tree", "wor") == ["world"]
    assert asked(daemon, "graph", "greet", "wor") == ["world"]
    assert asked(daemon, "dev", "") == asked(daemon, "modprobe", "-d", "") != []
    assert asked(daemon, "tree", "world", "") == []
    assert asked(daemon, "lsmod", "") == asked(daemon, "whoami", "") == []


def test_parameters_devices_holds_releases_and_files_are_the_daemons(daemon: Daemon) -> None:
    assert asked(daemon, "modprobe", "greet", "ti") == ["times="]
    assert asked(daemon, "insmod", str(SOURCES / "greet.ko"), "w") == ["whom="]
    assert "times" in asked(daemon, "param", "greet", "")
    (device,) = asked(daemon, "device", "remove", "")
    assert device.startswith("kmodd-gadget")
    assert asked(daemon, "device", "add", "") == []
    with daemon.client() as client, client.hold("greet", note="why") as held:
        assert asked(daemon, "hold", "--end", "") == [str(held.answer.hold)]
        assert asked(daemon, f"--timeout={2}", "hold", "--end=") == [f"--end={held.answer.hold}"]
    (release,) = asked(daemon, "modinfo", "-k", "")
    assert asked(daemon, "tree", "-S", release[:2]) == [release]
    assert asked(daemon, "ls", "/sys/mod") == ["/sys/module/"]
    assert "/sys/module/greet/" in asked(daemon, "ls", "/sys/module/")


def test_files_are_offered_where_files_are_meant_and_nowhere_else(daemon: Daemon) -> None:
    assert asked(daemon, "insmod", "") == [":modules"]
    assert asked(daemon, "modinfo", "./") == [":modules"]
    assert asked(daemon, "apply", "") == asked(daemon, "static-nodes", "-o", "") == [":files"]
    assert asked(daemon, "modprobe", "-d", "") == [":directories"]
    assert asked(daemon, "hold", "greet", "--", "") == [":command"]
    assert asked(daemon, "hold", "greet", "--", "ls", "") == [":files"]
    assert asked(daemon, "search", "") == asked(daemon, "events", "") == []


def test_without_a_daemon_the_files_are_asked_and_nothing_fails(modules_root: ModuleTree) -> None:
    hostile(modules_root)
    root = str(modules_root.root)
    assert run_kmodctl("depmod", "-b", root, modules_root.release).returncode == 0

    def found(*words: str) -> list[str]:
        ran = run_kmodctl("complete", "--", "kmodctl", *words)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout.split()

    assert found("modprobe", "-d", root, "gre") == ["greet"]
    assert [
        *found("modprobe", "-d", root, "x"),
        *found("modprobe", "-d", root, "-a", "--", "-"),
    ] == []
    assert found("modinfo", "-b", root, "-k", "") == [modules_root.release]
    for words in (["rmmod", ""], ["modprobe", "g"], ["hold", "-e", ""], ["modinfo", "-k", ""]):
        assert found("--socket", "/nowhere/s", *words) == []
    assert found("modprobe", "-d", "/nowhere", "-S", "") == []
    assert found("modprobe", "-d", "/nowhere", "") == found("insmod", "/nowhere.ko", "") == []
    assert found("nosuch", "") == []
    (modules_root.directory / "modules.dep.bin").write_bytes(b"no index")
    assert found("modprobe", "-d", root, "gre") == []


def program(daemon: Daemon, shell: str) -> str:
    """Return a script by which a shell has kmodctl, which asks ``daemon``, and its completion."""
    called = f"env PYTHONPATH={PLACE.parent} KMODD_SOCKET={daemon.socket} {sys.executable}"
    source = f"source {shlex.quote(str(COMPLETIONS / SHELLS[shell]))}"
    if shell == "fish":
        return f"function kmodctl; {called} -m kmodctl $argv; end\n{source}"
    if shell == "zsh":
        source = f"autoload -U compinit; compinit -D -u; {source}"
    return f'kmodctl() {{ {called} -m kmodctl "$@"; }}\n{source}'


COMPLETES: dict[str, Callable[..., str]] = {
    "bash": bash_completes,
    "zsh": zsh_completes,
    "fish": fish_completes,
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_what_is_typed(shell: str, daemon: Daemon, tmp_path: Path) -> None:
    script = program(daemon, shell)
    directory = tmp_path / "home"
    directory.mkdir()
    (directory / "only.ko.xz").touch()
    (directory / "only.txt").touch()
    for line, completed in (
        ("kmodctl rmmod wor", "kmodctl rmmod world "),
        ("kmodctl modprobe greet tim", "kmodctl modprobe greet times="),
        ("kmodctl --color=al", "kmodctl --color=always "),
        (f"kmodctl insmod {directory}/onl", f"kmodctl insmod {directory}/only.ko.xz "),
        ("kmodctl search onl", "kmodctl search onl"),
        ("kmodctl modprobe x", "kmodctl modprobe x"),
    ):
        assert COMPLETES[shell](script, line, directory) == completed, line
    assert not (directory / "run").exists()
