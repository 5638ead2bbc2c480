# SPDX-License-Identifier: Apache-2.0
"""kmodctl called by the names of kmod's tools, as a distribution would link it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.trees import Trees
from tests.support.daemon import Daemon, running_daemon
from tests.support.tree import ModuleTree

TOOLS = ("modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod")


class Links:
    """A directory in which the tools are links to kmodctl, and a program that stands for kmod."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        program = directory / "kmodctl"
        program.write_text(
            f"#!{sys.executable} -P\nimport sys\nfrom kmodctl.cli import main\nsys.exit(main())\n"
        )
        program.chmod(0o755)
        for tool in TOOLS:
            (directory / tool).symlink_to(program)
        self.kmod = directory / "kmod"
        self.kmod.write_text('#!/bin/sh\necho "real kmod: $*"\nexit 7\n')
        self.kmod.chmod(0o755)

    def environment(self, given: dict[str, str]) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        return {"PATH": "/sbin:/usr/sbin:/bin:/usr/bin", **inherited, **given}

    def run(
        self, tool: str, *arguments: str, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(self.directory / tool), *arguments],
            env=self.environment(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def links(tmp_path: Path) -> Links:
    directory = tmp_path / "sbin"
    directory.mkdir()
    return Links(directory)


@pytest.fixture
def users_daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon where a user's own one listens, below what is XDG_RUNTIME_DIR for a client."""
    with running_daemon(modules_root.root, place="kmodd/kmodd.sock") as daemon:
        yield daemon


def test_a_link_by_a_tools_name_is_that_tool(daemon: Daemon, links: Links) -> None:
    environment = {"KMODD_SOCKET": str(daemon.socket)}
    loaded = links.run("modprobe", "-q", "--", "kmodd-test:thing", **environment)
    assert (loaded.stdout, loaded.stderr, loaded.returncode) == ("", "", 0)
    listed = links.run("lsmod", **environment).stdout.splitlines()
    assert [row.split()[0] for row in listed] == ["Module", "facade", "greet"]
    assert links.run("rmmod", "facade", "greet", **environment).returncode == 0
    assert links.run("modinfo", "-F", "license", "greet", **environment).stdout == "GPL\n"
    wrong = links.run("modprobe", "--nosuch", **environment)
    assert wrong.stderr == "modprobe: unrecognized option '--nosuch'\n"
    missed = links.run("modprobe", "-q", "--", "no-such-alias", **environment)
    assert (missed.stdout, missed.stderr, missed.returncode) == ("", "", 1)


def test_without_a_daemon_the_real_kmod_is_executed(links: Links) -> None:
    ran = links.run("modprobe", "-q", "--", "fs-ext4", KMODD_REAL_KMOD=str(links.kmod))
    assert (ran.stdout, ran.returncode) == ("real kmod: -q -- fs-ext4\n", 7)


def test_without_a_daemon_a_question_is_about_the_root_that_it_names(
    modules_root: ModuleTree, links: Links
) -> None:
    Trees(modules_root.root, modules_root.release).rebuild()
    root, release = str(modules_root.root), modules_root.release
    told = links.run("modprobe", "-d", root, "-S", release, "-D", "greet")
    assert told.stdout.splitlines()[-1] == f"insmod {modules_root.directory}/extra/greet.ko "
    told = links.run("modinfo", "-b", root, "-k", release, "-F", "license", "greet")
    assert (told.stdout, told.stderr, told.returncode) == ("GPL\n", "", 0)


def test_the_real_kmod_is_never_kmodctl_itself(links: Links) -> None:
    for own in ("kmodctl", "modprobe"):
        ran = links.run("modprobe", "greet", KMODD_REAL_KMOD=str(links.directory / own))
        assert ran.returncode == 1
        assert ran.stderr.startswith("kmodctl: no daemon answers, and the real modprobe is not")


def test_a_tool_works_without_any_open_file_as_the_kernel_calls_it(
    daemon: Daemon, links: Links
) -> None:
    def ran(module: str, environment: dict[str, str]) -> int:
        words = ("-q", "--", module)
        script = 'exec "$0" "$@" <&- >&- 2>&-'
        command = ["/bin/sh", "-c", script, str(links.directory / "modprobe"), *words]
        return subprocess.run(command, env=links.environment(environment), check=False).returncode

    assert ran("greet", {"KMODD_SOCKET": str(daemon.socket)}) == 0
    assert ran("nosuch", {"KMODD_SOCKET": str(daemon.socket)}) == 1
    links.kmod.write_text("#!/bin/sh\nexit 7\n")
    assert ran("greet", {"KMODD_REAL_KMOD": str(links.kmod)}) == 7


def running_modules() -> str:
    """What lsmod prints of the machine's kernel: nothing, where it has no modules."""
    proc = Path("/proc/modules")
    if not proc.exists():
        return ""
    rows = (line.split(" ") for line in proc.read_text().splitlines())
    text = "Module                  Size  Used by\n"
    for name, size, count, users, *_ in rows:
        holders = users.rstrip(",").replace(",[permanent]", "").removeprefix("-")
        text += f"{name:<19} {int(size):8d}  {count} {holders}".rstrip() + "\n"
    return text


def test_a_users_emulated_kernel_is_not_what_a_tools_caller_means(
    users_daemon: Daemon, links: Links
) -> None:
    environment = {
        "XDG_RUNTIME_DIR": str(users_daemon.socket.parents[1]),
        "KMODD_REAL_KMOD": str(links.kmod),
    }
    assert links.run("modprobe", "x", **environment).stdout == "real kmod: x\n"
    assert links.run("lsmod", **environment).stdout == running_modules()
    assert links.run("kmodctl", "lsmod", **environment).returncode == 0
    environment["KMODD_SOCKET"] = str(users_daemon.socket)
    assert links.run("lsmod", **environment).stdout.startswith("Module ")


def test_a_daemon_that_is_named_is_missed_rather_than_replaced(links: Links) -> None:
    ran = links.run("modprobe", "greet", KMODD_SOCKET="/nowhere/s", KMODD_REAL_KMOD=str(links.kmod))
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith("kmodctl: no daemon answers on /nowhere/s;")


def test_kmodctl_by_its_own_name_executes_nothing(links: Links) -> None:
    ran = links.run("kmodctl", "lsmod", KMODD_REAL_KMOD=str(links.kmod))
    assert ran.returncode == 1
    assert "no daemon answers" in ran.stderr
