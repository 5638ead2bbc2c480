# SPDX-License-Identifier: Apache-2.0
"""A process without privileges or modules of its own, which has nothing but a loader's socket."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running_daemon
from tests.support.debian import DebianTree
from tests.support.require import require

SETTINGS = """
[[socket]]
path = "@/net/kmodd.sock"
role = "loader"
mode = 0o666
allow = ["br_netfilter"]

[[socket]]
path = "@/admin/kmodd.sock"
"""

PROJECT = Path(__file__).parents[2]

INSIDE = Path("/run/kmodd/net")
"""Where the socket's directory is in the container."""

NOBODY = "65534"


@pytest.fixture(scope="module")
def daemon(debian_tree: DebianTree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with Debian's modules for bridges and for ext4."""
    folders = [f"kernel/{name}" for name in ("net/bridge", "net/802", "net/llc", "fs", "lib")]
    tree = debian_tree.copy(tmp_path_factory.mktemp("container") / "root", *folders)
    with running_daemon(tree.root, place="admin/kmodd.sock", settings=SETTINGS) as running:
        yield running


def in_container(daemon: Daemon, script: str, *through: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell's ``script`` as nobody, with this Python, the client and the socket at hand.

    ``through`` are words of a command that runs the shell as its last words.
    """
    bwrap = require("bwrap", "a container needs the package bubblewrap")
    python = Path(sys.prefix, "bin")
    paths = [Path("/usr"), Path(sys.base_prefix), Path(sys.prefix)]
    parts = ("kmodctl", "kmodd/__init__.py", "kmodd/escapes.py", "kmodd/messages")
    paths += [PROJECT / part for part in parts]
    links = [each for each in map(Path, ("/bin", "/lib", "/lib64", "/sbin")) if each.is_symlink()]
    whole = [each for each in map(Path, ("/bin", "/lib", "/lib64")) if not each.is_symlink()]
    trees = [each for each in map(Path, ("/usr/lib/modules", "/lib/modules")) if each.is_dir()]
    words = ["--unshare-ipc", "--unshare-net", "--unshare-pid", "--unshare-uts", "--clearenv"]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    words += ["--setenv", "PATH", f"{python}:/usr/bin:/bin"]
    words += ["--setenv", "KMODD_SOCKET", f"{INSIDE}/kmodd.sock"]
    for above in sorted({above for each in (*paths, INSIDE) for above in each.parents[:-1]}):
        words += ["--perms", "0755", "--dir", str(above)]
    for path in (*paths, *whole):
        words += ["--ro-bind-try", str(path), str(path)]
    for link in links:
        words += ["--symlink", os.readlink(link), str(link)]
    for tree in {each.resolve() for each in trees}:
        words += ["--tmpfs", str(tree)]
    words += ["--ro-bind", str(daemon.socket.parents[1] / "net"), str(INSIDE)]
    command = [bwrap, *words, *_as_nobody(), *through, "sh", "-euc", script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def _as_nobody() -> list[str]:
    """Return what has bwrap run a command as nobody: nobody at all where root starts it."""
    if os.geteuid() != 0:
        return ["--unshare-user", "--uid", NOBODY, "--gid", NOBODY]
    setpriv = require("setpriv", "dropping privileges needs util-linux")
    needed = [("--cap-add", f"CAP_{name}") for name in ("SETUID", "SETGID", "SETPCAP")]
    return [
        *(word for pair in needed for word in pair),
        *(setpriv, "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"),
        *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"),
    ]


def test_a_container_is_what_it_says(daemon: Daemon) -> None:
    ran = in_container(
        daemon,
        "id -u; ls -A /lib/modules 2>&- || true; ls /run /run/kmodd /run/kmodd/net;"
        " grep -E '^Cap(Eff|Bnd)' /proc/self/status",
    )
    assert ran.stderr == ""
    assert ran.stdout.split() == [
        *(NOBODY, "/run:", "kmodd", "/run/kmodd:", "net"),
        *("/run/kmodd/net:", "kmodd.sock"),
        *("CapEff:", "0" * 16, "CapBnd:", "0" * 16),
    ]


def test_a_directory_that_can_only_be_read_is_enough_for_a_container(daemon: Daemon) -> None:
    ran = in_container(daemon, f"touch {INSIDE}/own || python -m kmodctl status")
    assert "Read-only file system" in ran.stderr
    assert (ran.returncode, "loader" in ran.stdout) == (0, True)


def test_a_container_loads_what_its_socket_allows_and_nothing_else(daemon: Daemon) -> None:
    ran = in_container(daemon, "python -m kmodctl modprobe br_netfilter && python -m kmodctl lsmod")
    assert (ran.returncode, ran.stderr) == (0, "")
    rows = {row.split()[0]: row.split()[2:] for row in ran.stdout.splitlines()[1:]}
    assert rows["br_netfilter"] == ["0"]
    assert rows["bridge"] == ["1", "br_netfilter"]
    for name in ("ext4", "fs-ext4", "bridge"):
        ran = in_container(daemon, f"python -m kmodctl modprobe {name}")
        assert ran.returncode == 1
        assert "is not among the modules it may have" in ran.stderr
    with daemon.client() as admin:
        assert {each.name for each in admin.list_modules()} == set(rows)
        admin.load("ext4")  # which is there for who may have it
    assert in_container(daemon, "python -m kmodctl modprobe -r br_netfilter").returncode == 0


def test_root_of_a_container_of_a_user_asks_the_daemon_outside(daemon: Daemon) -> None:
    unshare = require("unshare", "a namespace of users needs util-linux")
    script = "id -u; python -m kmodctl status | grep ^role"
    ran = in_container(daemon, script, unshare, "--user", "--map-root-user")
    assert (ran.stdout.split(), ran.stderr) == (["0", "role:", "loader"], "")
