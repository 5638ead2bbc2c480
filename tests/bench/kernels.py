# SPDX-License-Identifier: Apache-2.0
"""A kernel's life by Debian's own tools, with kmodctl and a daemon beneath, and with kmod.

Each step is a command of the distribution's: a DKMS module's package comes, is upgraded and goes,
an initial RAM disk is made anew, the kernel goes and comes again. The processor's time is that of
all that the command starts, and of the daemon meanwhile. It takes root, and a bare Debian 13 for
each way.
"""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from tests.bench.measure import process_tree_seconds
from tests.support.apt import apt_of
from tests.support.daemon import wait_until
from tests.support.debian import CACHE, locked
from tests.support.dkms import ASKED, DAEMON, SUITE, link, packages, steps
from tests.support.package import build_package
from tests.support.real_system import ENVIRONMENT, RealSystem, changing
from tests.support.sources import PROJECT
from tests.support.spending import Spent, run_and_count
from tests.support.systems import system_of

WANTED = 2.0
"""Times what it takes with kmod beneath."""

Steps = dict[str, list[Spent]]


def run(repeat: int) -> None:
    """Have a kernel live in turns, and print the table."""
    ours: Steps = {}
    theirs: Steps = {}
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        work = Path(directory)
        (work / "dist").mkdir()
        files = packages(work / "packages", build_package(PROJECT, work / "dist"))
        release = system_of(SUITE).release
        with locked(CACHE):
            apt = apt_of(SUITE, CACHE)
            for kind in ("linux-image", "linux-headers"):
                apt.download(f"{kind}-{release}", files)
        for turn in range(repeat):
            for spent, is_ours in ((theirs, False), (ours, True)):
                place = work / f"{turn}-{is_ours}"
                place.mkdir()
                with changing(system_of(SUITE).root, place, files) as system:
                    _live(system, spent, is_ours=is_ours)
    _print_table(ours, theirs)


def _live(system: RealSystem, spent: Steps, *, is_ours: bool) -> None:
    release = system.sh("ls /lib/modules").strip()
    if not is_ours:
        _measure(system, release, spent, ENVIRONMENT)
        return
    link(system)
    words = system.words(*DAEMON, "--release", release)
    with subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as daemon:
        wait_until(lambda: "published" in system.sh("kmodctl status || :", ASKED), seconds=300)
        _measure(system, release, spent, ENVIRONMENT | ASKED, daemon.pid)
        daemon.terminate()


def _measure(
    system: RealSystem,
    release: str,
    spent: Steps,
    environment: Mapping[str, str],
    daemon: int = 0,
) -> None:
    again = ("sh", "-c", f"dpkg -i /packages/linux-*-{release}_*.deb")
    for name, command in {**steps(release), "the kernel is installed": again}.items():
        before = process_tree_seconds(daemon) if daemon else 0.0
        done = run_and_count(system.words(*command), environment)
        after = process_tree_seconds(daemon) if daemon else 0.0
        spent.setdefault(name, []).append(Spent(done.command, after - before, done.clock))


def _print_table(ours: Steps, theirs: Steps) -> None:
    print("| step | CPU s | kmod's | ratio | clock s | kmod's | ratio | wanted |")
    print("|---|---|---|---|---|---|---|---|")
    for name, runs in ours.items():
        cells = [name]
        for part in ("processor", "clock"):
            mine, other = (
                median(getattr(each, part) for each in spent) for spent in (runs, theirs[name])
            )
            cells += [f"{mine:.1f}", f"{other:.1f}", f"{mine / other:.2f}"]
        print(f"| {' | '.join([*cells, f'{WANTED:g}'])} |")
