# SPDX-License-Identifier: Apache-2.0
"""The databases stay right when events get lost and other programs interfere."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from kmodctl import CallError, Client
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.modules import MODULES, SOURCES
from tests.support.require import require
from tests.support.tree import ModuleTree

PATIENCE = 60.0

QUICK = """
[timing]
debounce_max = 1.0
look = 1.0
poll = 0.5

[[socket]]
path = "@/run/kmodd.sock"
"""
"""Settings of a daemon that looks at its trees more often, for what it finds by looking alone."""

RESTLESS = """
[timing]
debounce_max = 0.1
look = 0.1
poll = 0.01

[[socket]]
path = "@/run/kmodd.sock"
"""
"""Settings of a daemon that does so all the time."""


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    with running_daemon(modules_root.root, settings=QUICK) as running:
        yield running


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as connection:
        yield connection


def add(directory: Path, name: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCES / "gplsym.ko", directory / f"{name}.ko")


def published(root: ModuleTree, name: str) -> bool:
    dependencies = root.directory / "modules.dep"
    return dependencies.exists() and f"/{name}.ko:" in dependencies.read_text()


def databases(root: ModuleTree) -> dict[str, bytes]:
    """What the files of the tree's databases hold: nothing while one of them is being replaced."""
    with suppress(FileNotFoundError):
        return {path.name: path.read_bytes() for path in root.directory.glob("modules.*")}
    return {}


def test_a_removed_database_is_written_again(client: Client, modules_root: ModuleTree) -> None:
    path = modules_root.directory / "modules.symbols.bin"
    before = path.read_bytes()
    path.unlink()
    wait_until(path.exists)
    assert path.read_bytes() == before
    assert client.status().tree.published


def test_another_program_that_writes_over_the_databases_is_corrected_once(
    client: Client, daemon: Daemon, modules_root: ModuleTree
) -> None:
    path = modules_root.directory / "modules.alias"
    right = path.read_bytes()
    path.write_text("# something else\n")
    wait_until(lambda: path.read_bytes() == right)
    path.write_text("# something else again\n")
    wait_until(lambda: "keeps writing over" in client.status().tree.problem)
    assert daemon.health("DatabaseService") == "NOT_SERVING"
    path.write_text("# it will not give in\n")
    time.sleep(5)
    assert path.read_text() == "# it will not give in\n"
    assert daemon.kmodctl("depmod").returncode == 0
    assert path.read_bytes() == right
    assert client.status().tree.problem == ""
    assert daemon.health("DatabaseService") == "SERVING"


def test_the_same_databases_written_by_another_are_no_matter(
    client: Client, modules_root: ModuleTree
) -> None:
    for path in modules_root.directory.glob("modules.*"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    generation = client.status().tree.generation
    time.sleep(5)
    assert (client.status().tree.generation, client.status().tree.problem) == (generation, "")


def test_a_tree_that_becomes_writable_is_published_by_itself(
    modules_root: ModuleTree,
) -> None:
    obstacle = modules_root.directory / "modules.dep"
    obstacle.mkdir()
    with running_daemon(modules_root.root) as daemon, daemon.client() as client:
        assert not client.status().tree.published
        assert daemon.health("DatabaseService") == "NOT_SERVING"
        obstacle.rmdir()
        wait_until(lambda: client.status().tree.published)
        assert published(modules_root, "greet")


def test_what_was_read_is_kept_once_there_is_a_place_for_it(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    place = tmp_path / "var"
    place.touch()
    with running_daemon(modules_root.root, "--state", str(place / "lib")) as daemon:
        with daemon.client() as client:
            assert client.status().tree.published
        place.unlink()
        wait_until(lambda: list(place.glob("lib/*.records")) != [])


def test_trees_that_are_removed_and_made_again_are_followed(
    client: Client, modules_root: ModuleTree, tmp_path: Path
) -> None:
    directory = modules_root.root / "lib"
    directory.rename(tmp_path / "old")
    wait_until(lambda: not client.status().HasField("tree"))
    add(modules_root.directory / "extra", "phoenix")
    wait_until(lambda: published(modules_root, "phoenix"))
    add(modules_root.directory / "extra", "second")
    wait_until(lambda: published(modules_root, "second"))


def test_a_linked_directory_is_followed_to_where_it_leads(
    client: Client, modules_root: ModuleTree, tmp_path: Path
) -> None:
    dkms = tmp_path / "dkms"
    add(dkms, "first")
    (modules_root.directory / "updates").symlink_to(dkms)
    wait_until(lambda: published(modules_root, "first"))
    add(dkms / "deeper", "second")
    wait_until(lambda: published(modules_root, "second"))
    assert client.load("second", dry_run=True)


def test_a_link_that_leads_back_ends(client: Client, modules_root: ModuleTree) -> None:
    (modules_root.directory / "extra" / "loop").symlink_to(modules_root.directory)
    add(modules_root.directory / "extra", "after")
    wait_until(lambda: published(modules_root, "after"))
    assert client.status().tree.problem == ""


def test_changes_are_found_though_the_event_queue_overflowed(
    client: Client, daemon: Daemon, modules_root: ModuleTree
) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    extra = modules_root.directory / "extra"
    time.sleep(3)  # let the watches stand
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        for number in range(limit):
            (extra / f"noise{number % 2}").touch()
            os.rename(extra / f"noise{number % 2}", extra / "renamed")
        add(extra, "unheard")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    wait_until(lambda: published(modules_root, "unheard"))
    assert client.load("unheard")


def test_without_any_watch_the_trees_are_looked_at(modules_root: ModuleTree) -> None:
    script = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    probe = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    require(probe.returncode == 0, f"no user namespaces here: {probe.stderr.decode().strip()}")
    with running_daemon(modules_root.root, through=unshare, settings=QUICK) as daemon:
        wait_until(lambda: "cannot be watched" in daemon.log.read_text())
        add(modules_root.directory / "extra", "unheard")
        wait_until(lambda: published(modules_root, "unheard"))
        add(modules_root.directory / "extra", "second")
        wait_until(lambda: published(modules_root, "second"))
        assert daemon.log.read_text().count("cannot be watched") == 1
        assert daemon.kmodctl("modprobe", "second").returncode == 0


def test_a_change_without_an_event_does_not_have_a_tree_looked_at_more_often_for_ever(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    module = modules_root.directory / "extra" / "noexit.ko"
    with running_daemon(modules_root.root, settings=RESTLESS) as daemon:

        def is_noticed() -> bool:
            os.link(module, tmp_path / "link")  # another ctime, and no event below the tree
            (tmp_path / "link").unlink()
            return "changes without events" in daemon.log.read_text()

        wait_until(is_noticed, pause=0.5)
        wait_until(lambda: "has not changed again" in daemon.log.read_text())


def is_known(client: Client, name: str) -> bool:
    try:
        return bool(client.load(name, dry_run=True))
    except CallError:
        return False


def test_a_broken_line_of_configuration_is_named_and_the_rest_is_in_force(
    client: Client, daemon: Daemon, modules_root: ModuleTree
) -> None:
    directory = modules_root.root / "etc" / "modprobe.d"
    directory.mkdir(parents=True)
    (directory / "x.conf").write_text("alias one greet\nnonsense here\nalias two world\n")
    wait_until(lambda: "x.conf" in daemon.log.read_text())
    assert "x.conf:2" in daemon.log.read_text() or "x.conf line 2" in daemon.log.read_text()
    for alias in ("one", "two"):
        wait_until(partial(is_known, client, alias))  # the log is told first


def test_depmod_configuration_is_followed(client: Client, modules_root: ModuleTree) -> None:
    add(modules_root.directory / "updates", "greet")
    wait_until(lambda: "updates/greet.ko:" in (modules_root.directory / "modules.dep").read_text())
    directory = modules_root.root / "etc" / "depmod.d"
    directory.mkdir(parents=True)
    (directory / "order.conf").write_text("search extra updates\n")
    wait_until(lambda: "extra/greet.ko:" in (modules_root.directory / "modules.dep").read_text())
    assert client.status().tree.problem == ""


def test_a_client_is_told_when_another_database_comes_into_force(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    with Client(str(daemon.socket), timeout=PATIENCE) as client:
        watch = client.watch_database()
        first = next(watch).tree
        assert (first.release, first.module_count) == (modules_root.release, len(MODULES))
        add(modules_root.directory / "extra", "another")
        more = len(MODULES) + 1
        assert next(each.tree for each in watch if each.tree.module_count == more).generation > 1
        shutil.rmtree(modules_root.directory)
        gone = next(each for each in watch if each.gone_release)
        assert gone.gone_release == modules_root.release


def test_a_restarted_daemon_gives_the_same_databases(modules_root: ModuleTree) -> None:
    with running_daemon(modules_root.root) as first:
        assert first.stop() == 0
    before = databases(modules_root)
    add(modules_root.directory / "extra", "meanwhile")
    # What is on disk is served from the start, and the tree is looked at behind it.
    with running_daemon(modules_root.root) as second, second.client() as client:
        wait_until(lambda: published(modules_root, "meanwhile"))
        wait_until(lambda: client.status().tree.module_count == len(MODULES) + 1)
    (modules_root.directory / "extra" / "meanwhile.ko").unlink()
    with running_daemon(modules_root.root):
        wait_until(lambda: databases(modules_root) == before)


def test_a_daemon_that_was_killed_is_healed_by_the_next(modules_root: ModuleTree) -> None:
    for moment in (0.0, 0.05, 0.1):
        with running_daemon(modules_root.root) as daemon:
            add(modules_root.directory / "extra", f"late{moment}".replace(".", "_"))
            time.sleep(moment)
            daemon.process.kill()
    with running_daemon(modules_root.root):
        wait_until(lambda: published(modules_root, "late0_1"))
        wait_until(lambda: not list(modules_root.directory.glob(".modules*")))
