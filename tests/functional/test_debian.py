# SPDX-License-Identifier: Apache-2.0
"""The main job on a whole distribution's modules."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import reading
from kmodd.database.rebuild import rebuild
from tests.support.daemon import Daemon, running_daemon
from tests.support.debian import DebianTree
from tests.support.require import require_emulator
from tests.support.tree import ModuleTree


def test_ext4_loads_after_what_it_needs_and_leaves_nothing(debian_tree_copy: ModuleTree) -> None:
    script = (
        "kmodctl depmod && kmodctl modprobe -v ext4 && kmodctl lsmod && kmodctl modprobe -rv ext4"
        " && echo left: && kmodctl lsmod"
    )
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "kmodd", "run", "--root", str(debian_tree_copy.root)),
            *("--", "sh", "-c", script),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    during, _, left = ran.stdout.partition("left:\n")
    lines = during.splitlines()
    inserted = [line.split("/")[-1].split(".")[0] for line in lines if line.startswith("insmod ")]
    assert inserted[-1] == "ext4"
    assert {"jbd2", "mbcache", "crc16"} < set(inserted[:-1])
    rows = {row.split()[0]: row.split()[1:] for row in lines if len(row.split()) in (3, 4)}
    for dependency in ("jbd2", "mbcache", "crc16"):
        assert rows[dependency][1:] == ["1", "ext4"]
    assert rows["ext4"][1:] == ["0"]
    removed = [line.split()[1] for line in lines if line.startswith("rmmod ")]
    assert removed[0] == "ext4"
    assert sorted(removed) == sorted(name.replace("-", "_") for name in inserted)
    assert left.splitlines() == ["Module                  Size  Used by"]


def test_a_module_that_kept_others_from_interrupting_it_leaves_that_to_none(
    debian_tree: DebianTree, tmp_path: Path
) -> None:
    require_emulator()
    places = ("kernel/net/l2tp", "kernel/net/ipv4", "kernel/net/ipv6", "kernel/sound")
    tree = debian_tree.copy(tmp_path, *places)
    with running_daemon(tree.root) as daemon, daemon.client() as client:
        client.load("l2tp_netlink")
        client.unload("l2tp_netlink")
        client.load("snd_seq")  # its init asks whether it has come in an interrupt's place


def test_wireguard_loads_after_the_self_tests_of_its_ciphers(
    debian_tree: DebianTree, tmp_path: Path
) -> None:
    require_emulator()
    places = ("drivers/net/wireguard", "lib/crypto", "arch/x86/crypto", "net/ipv4", "net/ipv6")
    tree = debian_tree.copy(tmp_path, *(f"kernel/{each}" for each in places))
    with running_daemon(tree.root) as daemon, daemon.client() as client:
        client.load("wireguard")
        client.unload("wireguard")


def test_two_processes_read_what_one_does_and_nothing_of_them_is_left(
    debian_tree_copy: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = debian_tree_copy
    (tree.directory.parent / "1.0-other").mkdir()
    with (
        running_daemon(tree.root, "--release", "1.0-other", "--no-watch") as daemon,
        daemon.client() as client,
    ):
        client.list_files()
        kernel, pipes, spent = daemon.kernel_pid(), pipes_of(daemon), time_of_children(daemon)
        client.rebuild_database(tree.release)
        assert daemon.kernel_pid() == kernel  # the only child again
        assert pipes_of(daemon) == pipes
        was_helped = time_of_children(daemon) > spent
        assert was_helped == (len(os.sched_getaffinity(0)) > 1)
    monkeypatch.setattr(reading, "MANY", 10**6)
    alone = rebuild(str(tree.directory), tree.release, config=DepmodConfig()).files
    assert {name: (tree.directory / name).read_bytes() for name in alone} == alone


def pipes_of(daemon: Daemon) -> list[str]:
    return sorted(link for link in daemon.open_files() if link.startswith("pipe:"))


def time_of_children(daemon: Daemon) -> int:
    """The processor time of the daemon's children that it has seen end (proc(5), cutime)."""
    stat = Path(f"/proc/{daemon.process.pid}/stat").read_text()
    return sum(map(int, stat.rpartition(")")[2].split()[13:15]))


@pytest.mark.parametrize("name", ["twofish_avx_x86_64", "serpent_avx2"])
def test_a_module_that_asks_for_avx_is_told_once_who_lacks_it(
    debian_tree: DebianTree, tmp_path: Path, name: str
) -> None:
    """One looks at the processor's features itself, the other has the kernel do it."""
    require_emulator()
    tree = debian_tree.copy(tmp_path, "kernel/arch/x86/crypto", "kernel/crypto")
    with running_daemon(tree.root) as daemon:
        assert "No such device" in daemon.kmodctl("modprobe", name).stderr
        told = [line for line in daemon.kmodctl("dmesg").stdout.splitlines() if "kmodd:" in line]
    (line,) = (each for each in told if "AVX" in each)
    assert line.endswith("the emulated processor has no AVX")
