# SPDX-License-Identifier: Apache-2.0
"""What a daemon does while nothing happens: its wake-ups, its time, its system calls.

There is nothing to compare with, since kmod has no daemon. A wake-up is a voluntary switch of one
of its threads (proc(5)); those of the threads that grpc's core has for itself are told apart. Five
a second of the others' are those of the thread in which grpc waits for calls. With strace(1) the
system calls are counted, too.
"""

import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bench.depmod import RELEASES, drop_outputs
from tests.bench.measure import process_tree_seconds
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.debian import CACHE, unpacked_tree
from tests.support.require import find_tool
from tests.support.tree import ModuleTree
from tests.support.wishes import wishes

REST = 25.0
"""Seconds after which a daemon that has read its trees is at rest."""

WISHES = 500
"""Wishes of a machine that keeps some, of which one in five is for a module to be loaded."""

SOCKET = '[[socket]]\npath = "@/run/kmodd.sock"\n'

WAKES = 2.0
"""Wake-ups a second that are wanted at most."""


def run(seconds: int) -> None:
    """Measure a daemon with one release, with wishes, and with ten releases, so long each."""
    print(
        "| releases | wishes | CPU ms/s | wake-ups/s | of them grpc's | system calls/s | wanted |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-", dir=CACHE) as directory:
        tree = unpacked_tree().copy(Path(directory))
        _print_row(1, tree, seconds)
        _print_row(1, tree, seconds, WISHES)
        drop_outputs(tree)
        releases = RELEASES // 2
        for number in range(1, releases):
            copy = tree.directory.with_name(f"{tree.release}-{number}")
            subprocess.run(["cp", "-al", tree.directory, copy], check=True)
        _print_row(releases, tree, seconds)


def _print_row(releases: int, tree: ModuleTree, seconds: int, wished: int = 0) -> None:
    words = (tree.root, "--release", tree.release, "--log-level", "error", "--no-code")
    place = tree.root / "wishes"
    place.mkdir(exist_ok=True)
    (place / "a.toml").write_text(_wishes(tree, wished))
    settings = f'desired_state = "{place}"\n{SOCKET}'
    with running_daemon(*words, settings=settings) as daemon:
        wait_until(lambda: _count_published(tree) == releases, seconds=300, pause=0.5)
        time.sleep(REST)
        spent, wakes, began = process_tree_seconds(daemon.process.pid), _wakes(daemon), time.time()
        time.sleep(seconds)
        passed = time.time() - began
        spent = (process_tree_seconds(daemon.process.pid) - spent) / passed
        found = {name: (count - wakes[name]) / passed for name, count in _wakes(daemon).items()}
        calls = _system_calls(daemon, seconds)
    total = sum(found.values())
    own = sum(count for name, count in found.items() if name.startswith("python"))
    print(
        f"| {releases} | {wished} | {spent * 1000:.2f} | {total:.1f} | {total - own:.1f} | {calls} "
        f"| {WAKES:g} wake-ups, 1 ms |",
        flush=True,
    )


def _wishes(tree: ModuleTree, count: int) -> str:
    """Return so many wishes, of which one in five is for a module of the tree to be loaded."""
    names = sorted(
        path.name.partition(".")[0] for path in tree.directory.glob("kernel/net/**/*.ko")
    )
    loaded = [f"{name} loaded" for name in names[: count // 5]]
    return wishes(*loaded, *(f"missing{at} absent" for at in range(count - len(loaded))))


def _count_published(tree: ModuleTree) -> int:
    return len(list(tree.directory.parent.glob("*/modules.devname")))


def _wakes(daemon: Daemon) -> Counter[str]:
    """Return how often the daemon's threads have slept so far, by the threads' names."""
    found = Counter[str]()
    for task in Path(f"/proc/{daemon.process.pid}/task").iterdir():
        text = (task / "status").read_text()
        count = int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        found[(task / "comm").read_text().strip()] += count
    return found


def _system_calls(daemon: Daemon, seconds: int) -> str:
    """Return the system calls a second, "" without strace; its table goes to the standard error."""
    strace = find_tool("strace")
    if strace is None:
        return ""
    words = ["timeout", "-s", "INT", str(seconds), strace, "-q", "-f", "-c"]
    ran = subprocess.run(
        [*words, "-p", str(daemon.process.pid)], capture_output=True, text=True, check=False
    )
    print(ran.stderr)
    return f"{int(ran.stderr.splitlines()[-1].split()[-3]) / seconds:.0f}"
