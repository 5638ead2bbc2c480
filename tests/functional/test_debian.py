# SPDX-License-Identifier: Apache-2.0
"""The main job on a whole distribution's modules."""

import subprocess
import sys
from pathlib import Path

from tests.support.daemon import running_daemon
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
