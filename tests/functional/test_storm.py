# SPDX-License-Identifier: Apache-2.0
"""Hundreds of clients at once, some of which are killed: each module once, and nothing leaks.

``KMODD_STORM`` is the number of clients.
"""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import pytest

from kmodctl import Client
from kmodd.daemon import Daemon, running
from kmodd.settings import Limits, Settings, SocketSettings
from kmodd.v1 import module_service_pb2 as pb
from tests.support.daemon import running_daemon, wait_until
from tests.support.small_tree import add_graph, empty_tree
from tests.support.storm import EDGES, MODULES
from tests.support.tree import ModuleTree

CLIENTS = int(os.environ.get("KMODD_STORM", "64"))
ACTS = 10
PATIENCE = 300

EXPECTED = {"LIMIT_REACHED", "MODULE_HELD", "MODULE_IN_USE"}
"""What may come of loading, unloading and holding the same modules all together."""

POOLS = ("kmodd-call_",)
"""What the names of threads begin with that wait for the next call when they have served one."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What the clients of a storm report: the seconds of each act, and reasons of failures."""

    seconds: list[float]
    reasons: Counter[str]
    reports: int

    def __str__(self) -> str:
        percentiles = quantiles(self.seconds, n=100)
        return (
            f"{len(self.seconds)} acts of {self.reports} clients: median "
            f"{percentiles[49] * 1000:.1f} ms, p99 {percentiles[98] * 1000:.1f} ms, "
            f"failures {dict(self.reasons)}"
        )


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    tree = empty_tree(tmp_path / "root")
    add_graph(tree, EDGES)
    return tree


@pytest.fixture
def served_here(tree: ModuleTree, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon in this process, whose threads and files can be looked at."""
    socket = SocketSettings(path=tmp_path / "run" / "s")
    limits = Limits(mutations=CLIENTS, holds=CLIENTS, events=1 << 20)
    settings = Settings(root=tree.root, sockets=(socket,), limits=limits, watch=False)
    with running(settings) as daemon:
        yield daemon


def storm(socket: Path, results: Path, kind: str, *, doomed: int = 0, seed: int = 1) -> Weather:
    """Let the clients loose; returns what those report that live to the end."""
    results.mkdir()
    words = [str(socket), str(results), str(CLIENTS), str(ACTS), str(doomed), str(seed), kind]
    command = [sys.executable, "-m", "tests.support.storm", *words]
    subprocess.run(command, check=True, timeout=PATIENCE)
    reports = [json.loads(path.read_text()) for path in results.iterdir()]
    seconds = [each for report in reports for each in report["seconds"]]
    reasons = Counter(each for report in reports for each in report["reasons"])
    weather = Weather(seconds, reasons, len(reports))
    print(weather)
    return weather


def loads(client: Client) -> Counter[str]:
    """Count how often each module was loaded in this epoch."""
    status = client.status()
    counts: Counter[str] = Counter()
    for message in client.watch_modules(status.epoch):
        for change in message.changes.changes:
            counts[change.module.name] += change.kind == pb.CHANGE_KIND_LOADED
        if message.revision >= status.newest_revision:
            break
    return counts


def lasting_threads() -> set[threading.Thread]:
    """Return this process's threads, but for those of the pools."""
    return {each for each in threading.enumerate() if not each.name.startswith(POOLS)}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_storm_of_loads_inserts_each_module_once(tree: ModuleTree, tmp_path: Path) -> None:
    with running_daemon(tree.root, "--no-watch", "--log-level", "warning") as daemon:
        weather = storm(daemon.socket, tmp_path / "results", "loads")
        assert not weather.reasons
        assert weather.reports == CLIENTS
        with daemon.client() as client:
            assert {each.name for each in client.list_modules()} == set(MODULES)
            assert loads(client) == Counter(MODULES)
            status = client.status()
            assert (status.operation_count, status.hold_count) == (0, 0)


def test_a_storm_in_which_clients_are_killed_leaks_nothing(
    served_here: Daemon, tmp_path: Path
) -> None:
    namespace = served_here.parts.namespace
    threads, files = lasting_threads(), open_files()
    doomed = CLIENTS // 5
    weather = storm(served_here.socket, tmp_path / "results", "mixed", doomed=doomed)
    assert set(weather.reasons) <= EXPECTED
    assert weather.reports == CLIENTS - doomed
    wait_until(lambda: namespace.idle() and not namespace.activity().holds)
    assert namespace.activity().operations == ()
    assert namespace.hold_counts() == {}
    loaded = {module.name: module for module in namespace.listing().modules}
    assert all(module.refcount == len(module.holders) for module in loaded.values())
    assert all(needed in loaded for user, needed in EDGES if user in loaded)
    wait_until(lambda: lasting_threads() <= threads)
    wait_until(lambda: open_files() <= files)
