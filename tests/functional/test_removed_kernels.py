# SPDX-License-Identifier: Apache-2.0
"""A kernel that is removed stays removed, and no removal fails over what a daemon writes."""

import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmodctl import CallError, Client
from kmodd.database.database import OUTPUTS
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.modules import SOURCES
from tests.support.tree import ModuleTree

ROUNDS = int(os.environ.get("KMODD_ROUNDS", "20"))
"""How many trees are removed; more are for an hour in which there is time."""

QUICK = """
[timing]
debounce = 0.1
debounce_removal = 1.0
debounce_max = 1.0
look = 1.0
poll = 0.2

[[socket]]
path = "@/run/kmodd.sock"
"""
"""Settings of a daemon that is at a tree more often than others."""

WORKERS = 2
"""How many remove and install at the same time."""

PURGED = (
    *("modules.dep", "modules.alias", "modules.symbols", "modules.*.bin"),
    *("modules.softdep", "modules.devname"),
)
"""What the postrm of Debian 12's kernel takes away; modules.weakdep is not among it."""


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    with running_daemon(modules_root.root, settings=QUICK) as running:
        yield running


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as connection:
        yield connection


def install(directory: Path, modules: int = 1) -> None:
    """Put a kernel's files where it has them, as a package manager does."""
    for number in range(modules):
        place = directory / "kernel" / f"part{number % 7}" / f"deep{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCES / "gplsym.ko", place / f"m{number}.ko")
    (directory / "modules.order").touch()
    (directory / "modules.builtin").touch()


def remove_files(directory: Path) -> None:
    """Remove what ``install`` put there in dpkg's order; the directory goes if it is empty."""
    for path in sorted(directory.glob("kernel/**/*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (directory / "kernel").rmdir()
    for name in ("modules.order", "modules.builtin"):
        (directory / name).unlink()
    subprocess.run(["rmdir", directory], check=False, capture_output=True)


def purge(directory: Path) -> None:
    """Do what Debian's postrm does afterwards."""
    for pattern in PURGED:
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)
    subprocess.run(["rmdir", directory], check=False, capture_output=True)


def has_databases(directory: Path) -> bool:
    return all((directory / name).exists() for name in OUTPUTS)


def releases(client: Client) -> list[str]:
    return [each.release for each in client.list_trees()]


def test_a_kernel_that_is_removed_by_its_package_leaves_nothing(
    client: Client, modules_root: ModuleTree
) -> None:
    directory = modules_root.directory.with_name("6.9.9-old")
    install(directory)
    wait_until(lambda: has_databases(directory))
    remove_files(directory)
    assert directory.exists()
    wait_until(lambda: not directory.exists())
    assert releases(client) == [modules_root.release]


def test_a_kernel_that_is_purged_at_once_leaves_nothing(modules_root: ModuleTree) -> None:
    directory = modules_root.directory.with_name("6.9.9-old")
    install(directory)
    with running_daemon(modules_root.root, settings=QUICK):
        wait_until(lambda: has_databases(directory))
        remove_files(directory)
        purge(directory)
        wait_until(lambda: not directory.exists())


def test_what_others_keep_in_a_removed_kernels_directory_stays(
    client: Client, modules_root: ModuleTree
) -> None:
    directory = modules_root.directory.with_name("6.9.9-old")
    install(directory)
    wait_until(lambda: has_databases(directory))
    (directory / "notes").write_text("precious")
    (directory / "modules.alias").write_text("# another program's\n")
    remove_files(directory)
    wait_until(lambda: len(os.listdir(directory)) == 2)
    assert (directory / "notes").read_text() == "precious"
    assert releases(client) == [modules_root.release]


def test_files_that_an_earlier_daemon_published_go_too(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    directory = modules_root.directory.with_name("6.9.9-old")
    install(directory)
    state = ("--state", str(tmp_path / "state"))
    with running_daemon(modules_root.root, *state, settings=QUICK):
        wait_until(lambda: has_databases(directory))
        wait_until(lambda: len(list((tmp_path / "state").glob("*.records"))) == 2)
    remove_files(directory)
    assert directory.exists()
    with running_daemon(modules_root.root, *state, settings=QUICK):
        wait_until(lambda: not directory.exists())


def test_an_empty_directory_is_no_release_and_gets_no_databases(tmp_path: Path) -> None:
    tree = ModuleTree(tmp_path, "6.1.0-real")
    install(tree.directory)
    leftover = tree.directory.with_name("6.9.9-left")
    leftover.mkdir()
    with running_daemon(tmp_path, settings=QUICK) as daemon, daemon.client() as client:
        assert client.status().release == "6.1.0-real"
        wait_until(lambda: has_databases(tree.directory))
        assert releases(client) == ["6.1.0-real"]
        assert os.listdir(leftover) == []


def test_the_kernels_own_tree_may_lose_all_its_modules(
    client: Client, daemon: Daemon, modules_root: ModuleTree
) -> None:
    directory = modules_root.directory
    wait_until(lambda: has_databases(directory))
    shutil.rmtree(directory / "extra")
    wait_until(lambda: not any((directory / name).exists() for name in OUTPUTS))
    assert client.status().tree.module_count == 0
    assert daemon.kmodctl("modprobe", "greet").returncode == 1
    (directory / "extra").mkdir()
    shutil.copy(SOURCES / "greet.ko", directory / "extra")
    wait_until(lambda: has_databases(directory))
    assert daemon.kmodctl("modprobe", "greet").returncode == 0


def test_a_load_in_the_midst_of_a_removal_writes_nothing(
    client: Client, modules_root: ModuleTree
) -> None:
    directory = modules_root.directory
    wait_until(lambda: has_databases(directory))
    before = {name: (directory / name).read_bytes() for name in OUTPUTS}
    (directory / "extra" / "noexit.ko").unlink()
    with pytest.raises(CallError, match="noexit"):
        client.load("noexit")
    assert not client.status().tree.published
    assert {name: (directory / name).read_bytes() for name in OUTPUTS} == before
    wait_until(lambda: client.status().tree.published)
    assert b"noexit" not in (directory / "modules.dep").read_bytes()


def rm_rf(directory: Path) -> None:
    subprocess.run(["rm", "-rf", directory], check=True, capture_output=True)


def as_dpkg_does(directory: Path) -> None:
    remove_files(directory)
    purge(directory)


def away_and_back(directory: Path) -> None:
    elsewhere = directory.parent.with_name(f"away-{directory.name}")
    directory.rename(elsewhere)
    time.sleep(0.2)
    elsewhere.rename(directory)
    time.sleep(0.2)
    rm_rf(directory)


WAYS: tuple[Callable[[Path], None], ...] = (rm_rf, as_dpkg_does, away_and_back)


def test_no_removal_fails_and_nothing_comes_back(
    client: Client, daemon: Daemon, modules_root: ModuleTree
) -> None:
    modules = modules_root.directory.parent
    stopping = threading.Event()

    def ask() -> None:
        while not stopping.wait(0.05):
            for each in client.list_trees():
                assert each.directory

    def rounds(worker: int) -> None:
        chance = random.Random(worker)
        for number in range(worker, ROUNDS, WORKERS):
            directory = modules / f"6.9.{number}-gone"
            install(directory, modules=chance.choice((1, 30, 300)))
            time.sleep(chance.choice((0.0, 0.1, 0.2, 0.5, 2.0)) * chance.random())
            WAYS[number % len(WAYS)](directory)

    with ThreadPoolExecutor(WORKERS + 1) as pool:
        asking = pool.submit(ask)
        try:
            for done in [pool.submit(rounds, worker) for worker in range(WORKERS)]:
                done.result()
        finally:
            stopping.set()
    asking.result()
    wait_until(lambda: os.listdir(modules) == [modules_root.release])
    time.sleep(2)
    assert os.listdir(modules) == [modules_root.release]
    assert releases(client) == [modules_root.release]
    assert "Traceback" not in daemon.log.read_text()
    assert "Warning:" not in daemon.log.read_text()
