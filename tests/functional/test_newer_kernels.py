# SPDX-License-Identifier: Apache-2.0
"""The modules of tests/modules on newer kernels than the checked-in ones are built for."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support.daemon import running_daemon
from tests.support.debian import tree_of
from tests.support.modules import MODULES, build_in
from tests.support.require import require_emulator
from tests.support.systems import system_of
from tests.support.tree import ModuleTree

ASKED = (
    *("insmod gadget", "insmod shelf", "insmod chores", "insmod hello", "insmod greet"),
    *("insmod world", "insmod halfway", "insmod leaky", "device add platform:kmodd-gadget"),
    *("device list", "ls /sys/class/shelves", "ls /sys/class/shelves/shelf1"),
    *("ls /sys/class/shelves/shelf1/look", "ls /sys/kernel/library", "ls /proc/shelf"),
    *("ls /sys/kernel/debug/shelf", "ls /sys/bus/platform/drivers", "ls /sys/module/greet"),
    *("device remove kmodd-gadget.0", "rmmod gadget", "rmmod shelf", "rmmod chores"),
    *("rmmod leaky", "rmmod world", "rmmod greet", "insmod letterbox", "insmod archive"),
    *("write /dev/letterbox hello", "ls -l /dev", "ioctl /dev/letterbox 0xC0086204 5"),
    *("cat --nonblock /dev/letterbox", "write /proc/archive/note hello"),
    "cat /proc/archive/papers /proc/archive/note /proc/archive/listed /proc/archive/whole",
    "cat /sys/kernel/archive/shelf /sys/kernel/archive/raw /sys/kernel/debug/archive/doubled",
    *("rmmod letterbox", "rmmod archive", "dmesg"),
)
"""What kmodctl is asked in this order: loads, a probe, the files that modules make, unloads."""

SECOND_WORD = "hello: module license taints kernel."
"""What kernels say from 6.4 on of a licence that taints, beside what all say."""


def answers(root: Path, modules: Path) -> list[str]:
    """Return what is said to all that is asked, but for times, places in code, and the banner."""
    said = []
    with running_daemon(root) as daemon:
        for words in map(str.split, ASKED):
            if words[0] == "insmod":
                words = ["insmod", str(modules / f"{words[1]}.ko")]
            done = daemon.kmodctl(*words)
            said += [f"{done.returncode}: {' '.join(words)}".replace(str(modules), "")]
            said += (done.stdout + done.stderr.replace(f"{modules}", "")).splitlines()
    said = [re.sub(r"^\[ *[\d.]+\] |(?<=leaky_init)\+0x[0-9a-f/x]+", "", line) for line in said]
    return [line for line in said if not line.startswith("Linux version ")]


@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_they_do_there_what_they_do_on_6_1(
    suite: str, modules_root: ModuleTree, tmp_path: Path
) -> None:
    require_emulator()
    debian, built = tree_of(suite), tmp_path / "built"
    build_in(system_of(suite), built)
    root = tmp_path / "newer"
    extra = root / "usr/lib/modules" / debian.release / "extra"
    shutil.copytree(built, extra)
    shutil.copy(debian.kernel_image, extra.parent / "vmlinuz")
    of_6_1 = answers(modules_root.root, MODULES[0].parent)
    newer = answers(root, extra)
    assert SECOND_WORD in newer
    newer.remove(SECOND_WORD)
    assert [line for line in newer if "verification failed" not in line] == of_6_1
    assert "gadget kmodd-gadget.0: found" in of_6_1
    assert "1: insmod /halfway.ko" in of_6_1
    assert {"crw------- rwip letterbox letterbox", "7", "note: hello", "0123456789abcdef42"} <= set(
        of_6_1
    )
