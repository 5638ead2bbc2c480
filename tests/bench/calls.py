# SPDX-License-Identifier: Apache-2.0
"""Calls of a running daemon beside modprobe as a process, and kmodctl beside importing grpc; then
what a daemon bears (load.py).

modprobe only plans (``-n``), on the same tree of fifty modules: what it would save by not asking
the kernel is a fraction of what the process costs.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from kmodctl.client import Client
from kmodd.v1 import module_service_pb2_grpc  # noqa: F401  # before the fork
from tests.bench import load
from tests.bench.measure import Row, print_table, side_by_side, timed
from tests.support.daemon import running_daemon
from tests.support.require import find_tool
from tests.support.small_tree import add_graph, empty_tree
from tests.support.storm import EDGES, MODULES
from tests.support.tree import ModuleTree

CALLS = 2000
"""Warm calls of which the median and the 99th percentile are told."""

SECONDS = 3.0
"""How long many clients call together."""

SETTINGS = """
[[socket]]
path = "@/loader/s"
role = "loader"
allow = ["*"]

[[socket]]
path = "@/admin/s"
"""

READERS = """
import os, sys, threading
from kmodctl.client import Client

def read(begun):
    with Client(sys.argv[1]) as client:
        while True:
            client.list_modules()
            list(client.list_trees())
            list(client.configuration())
            begun.set()

every = [threading.Event() for _ in range(8)]
for begun in every:
    threading.Thread(target=read, args=(begun,), daemon=True).start()
for begun in every:
    begun.wait()
print(flush=True)
sys.stdin.read()
os._exit(0)
"""
"""Eight threads that read what is most, once a line is written, until the input ends."""

INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


def run(repeat: int) -> None:
    """Measure everything and print the table."""
    tool = find_tool("modprobe")
    if tool is None:
        raise SystemExit("the reference, kmod's modprobe, is not installed")
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        tree = empty_tree(Path(directory))
        add_graph(tree, EDGES)
        for name in INPUTS:
            (tree.directory / name).touch()
        words = ("--no-watch", "--log-level", "warning")
        with running_daemon(tree.root, *words, place="admin/s", settings=SETTINGS) as daemon:
            socket = str(daemon.socket)
            # These fork, which a process that has a connection had better not.
            rates = {clients: _rate(socket, clients) for clients in (1, 8, 64)}
            rows, warm = _beside_modprobe(socket, tree, tool, repeat)
            rows.append(_through_the_front(daemon.socket, repeat))
            rows.append(_under_reads(daemon.socket, repeat))
            rows.append(_lsmod(socket, max(repeat, 15)))
    print_table("calls", rows)
    percentiles = quantiles(warm, n=100)
    print(
        f"\nwarm LoadModules of a loaded module: median {median(warm) * 1000:.3f} ms (wanted: 0.4 "
        f"at most), p99 {percentiles[98] * 1000:.3f} ms"
    )
    for clients, rate in rates.items():
        print(f"{clients} clients: {rate:.0f} calls a second")
    load.run(repeat)


def _beside_modprobe(
    socket: str, tree: ModuleTree, tool: str, repeat: int
) -> tuple[list[Row], list[float]]:
    """Compare one client's calls with modprobe; also returns the seconds of warm calls."""
    name = MODULES[-1]
    begin = (tool, "-d", str(tree.root), "-S", tree.release, "-n", "-q")

    def modprobe(*words: str) -> float:
        return timed(lambda: subprocess.run([*begin, *words], check=False, capture_output=True))

    with Client(socket) as client:
        client.load(name)
        warm: list[float] = []

        def calls() -> float:
            spent = [timed(lambda: client.load(name)) for _ in range(CALLS // repeat)]
            warm.extend(spent)
            return median(spent)

        def pair() -> float:
            """Unload one module that nothing uses, and load it again."""
            return timed(lambda: client.remove(name)) + timed(lambda: client.load(name))

        def modprobes() -> float:
            return median(modprobe(name) for _ in range(20))

        def modprobe_pairs() -> float:
            return modprobe("-r", name) + modprobe(name)

        rows = [
            side_by_side("LoadModules of a loaded module", repeat, calls, modprobes, 0.2),
            side_by_side("unload and load of one module", repeat, pair, modprobe_pairs),
        ]
    return rows, warm


def _through_the_front(socket: Path, repeat: int) -> Row:
    """Compare a loader's calls, which a process of its own reads, with an admin's."""
    name = MODULES[-1]
    with Client(str(socket.parents[1] / "loader" / "s")) as loader, Client(str(socket)) as admin:
        loader.load(name)

        def calls(client: Client) -> float:
            return median(timed(lambda: client.load(name)) for _ in range(CALLS // repeat))

        what = "LoadModules by a loader beside an admin's"
        return side_by_side(what, repeat, lambda: calls(loader), lambda: calls(admin), 2.2)


def _under_reads(socket: Path, repeat: int) -> Row:
    """Compare an admin's calls while threads of another process read as a loader with idle ones."""
    name = MODULES[-1]
    place = str(socket.parents[1] / "loader" / "s")
    with Client(str(socket)) as admin:
        admin.load(name)

        def calls() -> float:
            return median(timed(lambda: admin.load(name)) for _ in range(CALLS // repeat))

        def under_reads() -> float:
            readers = subprocess.Popen(
                [sys.executable, "-c", READERS, place],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert readers.stdout is not None
            readers.stdout.readline()
            try:
                return calls()
            finally:
                readers.communicate()  # which ends its input

        what = "LoadModules by an admin under eight threads of reads"
        return side_by_side(what, repeat, under_reads, calls, 1.5)


def _lsmod(socket: str, repeat: int) -> Row:
    """Compare ``kmodctl lsmod`` as a process with a bare import of grpc."""
    environment = {**os.environ, "KMODD_SOCKET": socket}
    program = Path(sys.executable).with_name("kmodctl")

    def process(*words: str) -> Callable[[], float]:
        return lambda: timed(
            lambda: subprocess.run(words, check=True, capture_output=True, env=environment)
        )

    lsmod = process(str(program), "lsmod")
    importing = process(sys.executable, "-c", "import grpc")
    lsmod(), importing()
    return side_by_side("kmodctl lsmod beside 'import grpc'", repeat, lsmod, importing, 1.3)


def _rate(socket: str, clients: int) -> float:
    """Return how many calls a second so many client processes make together."""
    reading, writing = os.pipe()
    waiting, go = os.pipe()
    processes = []
    for number in range(clients):
        process = os.fork()
        if not process:
            os.close(go)
            with Client(socket) as client:
                client.load(*MODULES)
                os.read(waiting, 1)  # ends when the parent has closed its end
                count, end = 0, time.monotonic() + SECONDS
                while time.monotonic() < end:
                    client.load(MODULES[number % len(MODULES)])
                    count += 1
            os.write(writing, count.to_bytes(4))
            os._exit(0)
        processes.append(process)
    time.sleep(1.0)
    os.close(go)
    for process in processes:
        os.waitpid(process, 0)
    os.close(writing)
    with open(reading, "rb") as counts:
        data = counts.read()
    return sum(int.from_bytes(data[at : at + 4]) for at in range(0, len(data), 4)) / SECONDS
