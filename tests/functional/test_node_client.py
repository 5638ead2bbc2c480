# SPDX-License-Identifier: Apache-2.0
"""The client of tests/clients/node: another language, with nothing but the proto files."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, wait_until
from tests.support.require import require

PROJECT = Path(__file__).parents[2]
CLIENT = PROJECT / "tests/clients/node"
PATIENCE = 120
"""Seconds that the client may take, on a busy machine."""

INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the client with the packages it needs."""
    npm = require("npm", "the client in JavaScript needs npm")
    copy = tmp_path_factory.mktemp("node") / "client"
    shutil.copytree(CLIENT, copy, ignore=shutil.ignore_patterns("node_modules"))
    ran = subprocess.run([npm, *INSTALL], cwd=copy, capture_output=True, text=True, check=False)
    require(ran.returncode == 0, f"npm cannot install the client's packages: {ran.stderr}")
    return copy


def words(client: Path, *arguments: str) -> list[str]:
    node = require("node", "the client in JavaScript needs node")
    return [node, str(client / "client.js"), str(PROJECT / "proto"), *arguments]


def run(client: Path, daemon: Daemon, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words(client, *arguments),
        env={"KMODD_SOCKET": str(daemon.socket)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@contextmanager
def started(client: Path, daemon: Daemon, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        words(client, *arguments),
        env={"KMODD_SOCKET": str(daemon.socket)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        limit = threading.Timer(PATIENCE, process.kill)  # ends the reading of what never comes
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            process.kill()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def lines_until(process: "subprocess.Popen[str]", last: str) -> list[str]:
    """Read lines to the one wanted; "" is what comes of a client that has ended."""
    lines = [line(process)]
    while lines[-1] not in (last, ""):
        lines.append(line(process))
    return lines


def test_it_loads_and_lists(client: Path, daemon: Daemon) -> None:
    ran = run(client, daemon, "load", "world")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "loaded world\n", "")
    ran = run(client, daemon, "list")
    rows = [row.split(" ") for row in ran.stdout.splitlines()]
    assert [(row[0], row[2]) for row in rows] == [("world", ""), ("greet", "world")]


def test_it_tells_what_the_daemon_says_of_a_failure(client: Path, daemon: Daemon) -> None:
    ran = run(client, daemon, "load", "nosuch")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "nosuch" in ran.stderr
    assert ran.stderr.endswith(" (MODULE_NOT_FOUND, errno 2)\n")
    ran = run(client, daemon, "load", "greet", "nosuch")
    assert (ran.returncode, ran.stdout) == (1, "loaded greet\n")


def test_it_holds_and_watches(client: Path, daemon: Daemon) -> None:
    with daemon.client() as other, started(client, daemon, "watch") as watcher:
        assert line(watcher) == "watching"
        with started(client, daemon, "hold", "world") as holder:
            assert line(holder) == "held greet world"
            loaded = lines_until(watcher, "CHANGE_KIND_LOADED world")
            assert "CHANGE_KIND_LOADED greet" in loaded
            assert [hold.note for hold in other.list_holds()] == ["client.js"]
            assert holder.stdin is not None
            holder.stdin.close()
            assert holder.wait(PATIENCE) == 0
        wait_until(lambda: not other.list_holds())
        other.unload("world")
        unloaded = lines_until(watcher, "CHANGE_KIND_UNLOADED greet")
        assert "CHANGE_KIND_UNLOADED world" in unloaded
