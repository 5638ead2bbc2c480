# SPDX-License-Identifier: Apache-2.0
"""The databases follow the directory, with no command to tell them."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodctl import CallError
from kmodctl.client import Client
from kmodd.v1.database_service_pb2 import Tree
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.modules import SOURCES
from tests.support.tree import ModuleTree

SETTLE = 1.5
"""Seconds in which watchdog tells of everything and a rebuild has come, many times over."""


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as connection:
        yield connection


def tree(client: Client) -> Tree:
    return client.status().tree


def is_found(client: Client, name: str) -> bool:
    try:
        client.load(name, dry_run=True)
    except CallError as error:
        if error.reason != "MODULE_NOT_FOUND":
            raise
        return False
    return True


def dependencies(root: ModuleTree) -> str:
    return (root.directory / "modules.dep").read_text()


def quiet(client: Client) -> int:
    """Wait until the generation stays the same, and return it."""
    seen = 0
    while seen != tree(client).generation:
        seen = tree(client).generation
        time.sleep(SETTLE)
    return seen


def test_a_copied_module_can_be_loaded_at_once(daemon: Daemon, modules_root: ModuleTree) -> None:
    new = modules_root.directory / "extra" / "renamed-world.ko"
    shutil.copy(SOURCES / "gplsym.ko", new)
    result = daemon.kmodctl("modprobe", "-v", "renamed-world")
    assert (result.stdout, result.stderr) == (f"insmod {new} \n", "")


def test_a_removed_module_is_not_found_at_once(client: Client, modules_root: ModuleTree) -> None:
    assert is_found(client, "noexit")
    (modules_root.directory / "extra" / "noexit.ko").unlink()
    with pytest.raises(CallError) as failed:
        client.load("noexit")
    assert failed.value.reason == "MODULE_NOT_FOUND"
    assert failed.value.detail == str(modules_root.directory)


def test_a_module_in_a_new_directory_is_published(client: Client, modules_root: ModuleTree) -> None:
    directory = modules_root.directory / "updates" / "dkms"
    directory.mkdir(parents=True)
    shutil.copy(SOURCES / "gplsym.ko", directory / "fresh.ko")
    wait_until(lambda: "updates/dkms/fresh.ko:" in dependencies(modules_root))
    assert is_found(client, "fresh")
    directory.rename(directory.with_name("moved"))
    wait_until(lambda: "updates/moved/fresh.ko:" in dependencies(modules_root))
    shutil.rmtree(directory.with_name("moved"))
    wait_until(lambda: "fresh.ko" not in dependencies(modules_root))


def test_a_module_that_is_replaced_is_loaded_as_it_is_now(
    client: Client, modules_root: ModuleTree, tmp_path: Path
) -> None:
    target = modules_root.directory / "extra" / "noexit.ko"
    other = tmp_path / "noexit.ko"
    shutil.copy(SOURCES / "hello.ko", other)
    other.rename(target)
    client.load("noexit")
    assert [module.name for module in client.list_modules()] == ["hello"]


def test_the_daemon_is_not_woken_by_its_own_writes(
    client: Client, modules_root: ModuleTree
) -> None:
    before = quiet(client)
    shutil.copy(SOURCES / "gplsym.ko", modules_root.directory / "extra" / "another.ko")
    wait_until(lambda: tree(client).generation > before)
    assert quiet(client) == before + 1


def test_many_new_files_make_few_generations(client: Client, modules_root: ModuleTree) -> None:
    before = quiet(client)
    for number in range(200):
        shutil.copy(SOURCES / "gplsym.ko", modules_root.directory / "extra" / f"m{number}.ko")
    wait_until(lambda: tree(client).module_count >= 200 + 8)
    assert quiet(client) <= before + 2


def test_a_kernel_of_thousands_of_modules_is_a_few_lines_of_the_log(
    daemon: Daemon, modules_root: ModuleTree, tmp_path: Path
) -> None:
    kernel, one = tmp_path / "kernel", shutil.copy(SOURCES / "gplsym.ko", tmp_path / "one.ko")
    for number in range(4000):
        place = kernel / f"part{number % 8}" / f"kind{number % 40}" / f"deep{number % 800}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"m{number}.ko").hardlink_to(one)
    before = len(daemon.log.read_bytes())
    copies = [modules_root.directory.with_name(f"6.9.{number}-new") for number in range(3)]
    for each in copies:
        each.mkdir()
        subprocess.run(["cp", "-rl", kernel, each], check=True)
    wait_until(lambda: all((each / "modules.dep").exists() for each in copies))
    said = daemon.log.read_bytes()[before:]
    assert len(said.splitlines()) <= 8 * len(copies)
    assert len(said) < 2000 * len(copies)


def test_a_new_release_is_picked_up(client: Client, modules_root: ModuleTree) -> None:
    release = modules_root.directory.with_name("6.9.9-new")
    (release / "extra").mkdir(parents=True)
    shutil.copy(SOURCES / "greet.ko", release / "extra")
    wait_until(lambda: (release / "modules.dep").exists())
    assert [each.release for each in client.list_trees()] == [modules_root.release, "6.9.9-new"]
    shutil.rmtree(release)
    wait_until(lambda: len(client.list_trees()) == 1)


def test_configuration_is_in_force_once_it_is_written(
    client: Client, modules_root: ModuleTree
) -> None:
    directory = modules_root.root / "etc" / "modprobe.d"
    directory.mkdir(parents=True)
    (directory / "local.conf").write_text("alias salutation greet\noptions greet times=3\n")
    wait_until(lambda: is_found(client, "salutation"))
    (result,) = client.load("salutation", dry_run=True)
    assert [(step.module, step.parameters) for step in result.steps] == [("greet", "times=3")]


def test_a_tree_that_cannot_be_written_serves_from_memory(modules_root: ModuleTree) -> None:
    # A directory in the place of an output fails even for root.
    (modules_root.directory / "modules.dep").mkdir()
    with running_daemon(modules_root.root) as daemon, daemon.client() as client:
        assert not tree(client).published
        assert "modules.dep" in tree(client).problem
        client.load("world")
        assert [module.name for module in client.list_modules()] == ["world", "greet"]
        failed = daemon.kmodctl("depmod")
        assert failed.returncode == 1
        assert "modules.dep" in failed.stderr
        (modules_root.directory / "modules.dep").rmdir()
        assert daemon.kmodctl("depmod").returncode == 0
        assert tree(client).published


def test_modules_that_need_each_other_keep_the_old_databases(
    client: Client, daemon: Daemon, modules_root: ModuleTree
) -> None:
    quiet(client)
    old = dependencies(modules_root)
    for name, other in (("ping", "pong"), ("pong", "ping")):
        spec = ModuleSpec(
            name=name, exports=(Export(f"{name}_do"),), imports=(Import(f"{other}_do"),)
        )
        (modules_root.directory / "extra" / f"{name}.ko").write_bytes(write_module(spec))
    result = daemon.kmodctl("depmod")
    assert result.returncode == 1
    assert "Found 2 modules in dependency cycles!" in result.stderr
    assert dependencies(modules_root) == old
    assert is_found(client, "world")
    assert "cycle" in tree(client).problem
