# SPDX-License-Identifier: Apache-2.0
"""How a daemon's memory grows under a storm of clients that load, unload, hold and list.

The clients are those of tests/support/storm.py: they come in waves, and a fifth of each wave is
killed at some moment. The daemon shows its threads and open files, too.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.bench.measure import memory
from tests.support.daemon import running_daemon
from tests.support.small_tree import add_graph, empty_tree
from tests.support.storm import EDGES

CLIENTS = 32
DOOMED = CLIENTS // 5
ACTS = 200

WARM = 10.0
"""Seconds after which the daemon is to have all the memory that it takes."""

WANTED = 10.0
"""MB that it may grow by after that."""

LINES = 20
"""Lines of the table."""


def run(seconds: int) -> None:
    """Storm for so many seconds, and print the memory as it grows."""
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        tree = empty_tree(Path(directory, "root"))
        add_graph(tree, EDGES)
        with running_daemon(tree.root, "--no-watch", "--log-level", "error") as daemon:
            pid = daemon.process.pid
            print("| s | resident MB | threads | open files |")
            print("|---|---|---|---|")
            with _storming(daemon.socket, Path(directory)) as waves:
                at_first = 0.0
                began, due = time.monotonic(), 0.0
                while (passed := time.monotonic() - began) < seconds:
                    next(waves)
                    if not at_first and passed >= WARM:
                        at_first = memory(pid, "VmRSS")
                    if passed >= due:
                        _print_row(passed, pid)
                        due += max(1.0, seconds / LINES)
                    time.sleep(0.1)
                at_last = memory(pid, "VmRSS")
            _print_row(seconds, pid)
    grown = at_last - (at_first or at_last)
    print(f"\ngrown after the first {WARM:g} s: {grown:.1f} MB (wanted: less than {WANTED:g})")


def _print_row(passed: float, pid: int) -> None:
    files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    print(f"| {passed:.0f} | {memory(pid, 'VmRSS'):.1f} | {threads} | {files} |", flush=True)


@contextmanager
def _storming(socket: Path, directory: Path) -> Iterator[Iterator[None]]:
    """Give an iterator whose every step starts a new wave where the last one has ended."""
    wave: subprocess.Popen[bytes] | None = None

    def waves() -> Iterator[None]:
        nonlocal wave
        for number in count():
            results = directory / f"wave-{number}"
            results.mkdir()
            words = (str(socket), str(results), str(CLIENTS), str(ACTS), str(DOOMED), str(number))
            command = [sys.executable, "-m", "tests.support.storm", *words, "mixed"]
            wave = subprocess.Popen(command)
            while wave.poll() is None:
                yield
            if wave.returncode:
                raise SystemExit("a client failed")

    try:
        yield waves()
    finally:
        if wave is not None:
            wave.wait()  # its clients come to an end by themselves
