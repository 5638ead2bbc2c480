# SPDX-License-Identifier: Apache-2.0
"""How many calls a second a daemon answers, and what it takes of the processor for each.

The clients are load.c, which costs little beside the server. A server that does nothing but answer
(bare_server.py), and reads sockets in the same way, is called in turns.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kmodctl.client import Client
from kmodd.host.transport import transport_environment
from kmodd.v1.database_service_pb2 import GetModuleInfoRequest, ResolveAliasRequest
from kmodd.v1.module_service_pb2 import LoadModulesRequest
from tests.bench.bare_server import METHOD as BARE
from tests.support.daemon import running_daemon
from tests.support.require import find_tool
from tests.support.small_tree import add_graph, empty_tree
from tests.support.spending import processor_seconds
from tests.support.storm import EDGES, MODULES

CLIENTS = (1, 8, 64, 256)

CALLS = 4000
"""Calls of one run."""

WANTED = 0.85
"""The part of the bare server's calls a second that the daemon is to answer."""

LEAVES = tuple(f"leaf{number:03}" for number in range(150))
"""Modules beside those of a storm, with which there are 200."""

NAME = MODULES[-1]

LOAD = LoadModulesRequest(names=[NAME]).SerializeToString()

MARKS = (
    ("a plan", "ModuleService/LoadModules", LoadModulesRequest(names=[NAME], dry_run=True), 0.2),
    ("ResolveAlias", "DatabaseService/ResolveAlias", ResolveAliasRequest(name=NAME), 0.2),
    ("GetModuleInfo", "DatabaseService/GetModuleInfo", GetModuleInfoRequest(name=NAME), 0.2),
    ("ListModules of 200", "ModuleService/ListModules", None, 0.25),
)
"""Calls, and the milliseconds of the processor that each is to take at most."""


@dataclass(frozen=True, slots=True)
class Server:
    """What is called, and the process that answers."""

    socket: str
    pid: int
    method: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """Calls a second, and for a call the clock's median and 99th percentile and the processor's
    time of the server, in seconds.
    """

    rate: float
    middle: float
    late: float
    processor: float


def run(repeat: int) -> None:
    """Measure everything and print the tables."""
    compiler = find_tool("cc")
    if compiler is None:
        print("\nno C compiler is installed, which the load takes")
        return
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        program = Path(directory, "load")
        source = Path(__file__).with_name("load.c")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        with _bare(Path(directory, "bare")) as bare, _daemon(Path(directory, "root")) as daemon:
            _print_rates(program, daemon, bare, repeat)
            threads = len(list(Path(f"/proc/{daemon.pid}/task").iterdir()))
            _print_marks(program, daemon, repeat)
    print(f"\n{threads} threads are there just after {CLIENTS[-1]} clients")


def measure(program: Path, server: Server, clients: int, calls: int = CALLS) -> Run:
    """Have so many clients make so many calls together, each one after the other."""
    words = [str(program), server.socket, str(clients), str(calls), server.method]
    before = processor_seconds(server.pid)
    done = subprocess.run(words, input=server.request, capture_output=True, check=True)
    processor = processor_seconds(server.pid) - before
    seconds, middle, late = map(float, done.stdout.split())
    return Run(calls / seconds, middle, late, processor / calls)


def _print_rates(program: Path, daemon: Server, bare: Server, repeat: int) -> None:
    print(
        "\n| LoadModules of a loaded module | a second | p99 ms | CPU ms | bare: a second | p99 ms "
        "| CPU ms | part | wanted |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for clients in CLIENTS:
        pairs = [
            (measure(program, daemon, clients), measure(program, bare, clients))
            for _ in range(repeat)
        ]
        ours, theirs = (_middle([pair[side] for pair in pairs]) for side in (0, 1))
        part = median(ours.rate / theirs.rate for ours, theirs in pairs)
        print(
            f"| {clients} clients | {_cells(ours)} | {_cells(theirs)} | {part:.2f} | {WANTED:g} |"
        )


def _print_marks(program: Path, daemon: Server, repeat: int) -> None:
    print("\n| one client | CPU ms | wanted | median ms |")
    print("|---|---|---|---|")
    for name, method, request, wanted in MARKS:
        data = request.SerializeToString() if request is not None else b""
        asked = Server(daemon.socket, daemon.pid, f"/kmodd.v1.{method}", data)
        measure(program, asked, 1, 100)
        found = _middle([measure(program, asked, 1, CALLS // 4) for _ in range(repeat)])
        print(f"| {name} | {found.processor * 1000:.3f} | {wanted:g} | {found.middle * 1000:.3f} |")


def _middle(runs: Sequence[Run]) -> Run:
    """Return the median of each figure."""
    return Run(
        median(each.rate for each in runs),
        median(each.middle for each in runs),
        median(each.late for each in runs),
        median(each.processor for each in runs),
    )


def _cells(found: Run) -> str:
    return f"{found.rate:.0f} | {found.late * 1000:.1f} | {found.processor * 1000:.3f}"


@contextmanager
def _daemon(root: Path) -> Iterator[Server]:
    """Run a daemon that has 200 modules loaded."""
    tree = empty_tree(root)
    add_graph(tree, [*EDGES, *((leaf, MODULES[0]) for leaf in LEAVES)])
    with running_daemon(tree.root, "--no-watch", "--log-level", "warning") as daemon:
        socket = str(daemon.socket)
        with Client(socket) as client:
            client.load(*MODULES, *LEAVES)
        yield Server(socket, daemon.process.pid, "/kmodd.v1.ModuleService/LoadModules", LOAD)


@contextmanager
def _bare(socket: Path) -> Iterator[Server]:
    """Run a server that does nothing but answer."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare_server", str(socket)],
        env={**os.environ, **transport_environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield Server(str(socket), process.pid, BARE, LOAD)
        process.stdin.close()
