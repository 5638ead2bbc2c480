# SPDX-License-Identifier: Apache-2.0
"""Daemons for the functional tests."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.systems import download_wheels, system_of
from tests.support.tree import ModuleTree

TWO_SERVERS = """
[[socket]]
path = "@/run/kmodd.sock"

[[socket]]
path = "@/public/kmodd.sock"
role = "loader"
allow = ["*"]
parameters = true
"""
"""Settings with a socket for each server: the daemon's own, which answers admins, and the front."""


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon of its own for the test, on a root with the modules of tests/modules."""
    with running_daemon(modules_root.root) as running:
        yield running


@pytest.fixture
def admins(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon with a socket for each of its servers; its own socket is that for admins."""
    with running_daemon(modules_root.root, settings=TWO_SERVERS) as running:
        wait_until(public(running).socket.exists)
        yield running


@pytest.fixture(params=["admin", "public"])
def either(request: pytest.FixtureRequest, admins: Daemon) -> Daemon:
    """The same, once with the socket for admins and once with that for loaders."""
    return admins if request.param == "admin" else public(admins)


def public(daemon: Daemon) -> Daemon:
    """Return a daemon of TWO_SERVERS by its other socket."""
    return replace(daemon, socket=daemon.socket.parents[1] / "public" / "kmodd.sock")


@pytest.fixture(scope="session")
def trixie_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip installs with kmodd in a bare Debian 13, as files."""
    directory = tmp_path_factory.mktemp("wheels")
    download_wheels(system_of("trixie"), directory)
    return directory


@pytest.fixture(scope="session")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where guests are kept that have just booted: the first of each kernel takes a while."""
    return tmp_path_factory.mktemp("kept") / "guests"
