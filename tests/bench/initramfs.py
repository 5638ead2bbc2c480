# SPDX-License-Identifier: Apache-2.0
"""Debian's whole initial RAM disk, by mkinitramfs: with kmodctl beneath, and with kmod.

The processor's time is that of everything that mkinitramfs starts, and of the daemon meanwhile.
Which files are in one image and not in the other is told. The daemon is one that does as kmod
does: with another, btrfs has two modules more, since several ``softdep`` lines add up.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from tests.support.daemon import running_daemon
from tests.support.debian import unpacked_tree
from tests.support.links import install_links
from tests.support.ram_disk import Sandbox, contents, mkinitramfs, programs_with_links
from tests.support.require import find_tool
from tests.support.spending import Spent, run_and_count

WANTED = 2.0
"""Times the processor's time with kmod beneath."""

WAYS = ("kmod", "kmodctl, no daemon", "kmodctl and a daemon")


def run(repeat: int) -> None:
    """Make the images in turns, and print the table and the files that differ."""
    depmod = find_tool("depmod")
    if depmod is None or find_tool("mkinitramfs") is None:
        raise SystemExit("kmod and initramfs-tools-core have to be installed")
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        work = Path(directory)
        debian = unpacked_tree()
        tree = debian.copy(work / "root")
        subprocess.run([depmod, "-b", str(tree.root), tree.release], check=True)
        real = Sandbox(tree, debian.root / "boot")
        programs = programs_with_links(install_links(work), work / "sbin")
        linked = Sandbox(tree, debian.root / "boot", programs)
        words = ("--release", tree.release, "--no-watch", "--no-publish", "--log-level", "error")
        exact = (*words, "--kmod-exact")
        spent: dict[str, list[Spent]] = {way: [] for way in WAYS}
        with running_daemon(Path("/"), *exact, through=linked.through()) as daemon:
            pids = (daemon.process.pid, daemon.kernel_pid())
            for _ in range(repeat):
                for way in WAYS:
                    asked = way == WAYS[-1]
                    spent[way].append(
                        run_and_count(
                            mkinitramfs(real if way == "kmod" else linked, _image(work, way)),
                            _environment(work, str(daemon.socket) if asked else ""),
                            pids if asked else (),
                        )
                    )
        _print_table(spent)
        expected, *others = (contents(_image(work, way), work / f"{way} unpacked") for way in WAYS)
        for way, made in zip(WAYS[1:], others, strict=True):
            print(f"\n{way}: {_differences(expected, made) or 'the same files'}")


def _image(work: Path, way: str) -> Path:
    return work / f"{way}.img"


def _environment(work: Path, socket: str) -> Mapping[str, str]:
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(work)}
    return environment | ({"KMODD_SOCKET": socket} if socket else {})


def _print_table(spent: Mapping[str, list[Spent]]) -> None:
    print("| mkinitramfs with | processor s | of it the daemon's | clock s | to kmod | wanted |")
    print("|---|---|---|---|---|---|")
    reference = median(each.processor for each in spent["kmod"])
    for way, runs in spent.items():
        processor = median(each.processor for each in runs)
        daemon = median(each.daemon for each in runs)
        clock = median(each.clock for each in runs)
        wanted = "" if way == "kmod" else f"{WANTED:g}"
        print(
            f"| {way} | {processor:.1f} | {daemon:.1f} | {clock:.1f} "
            f"| {processor / reference:.2f} | {wanted} |"
        )


def _differences(expected: Mapping[str, object], made: Mapping[str, object]) -> str:
    changed = sorted(name for name in expected if made.get(name, expected[name]) != expected[name])
    parts = {
        "only with kmodctl": sorted(made.keys() - expected.keys()),
        "only with kmod": sorted(expected.keys() - made.keys()),
        "not the same": changed,
    }
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)
