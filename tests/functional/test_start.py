# SPDX-License-Identifier: Apache-2.0
"""What is loaded when the daemon starts, and the trail that it leaves."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from kmodctl import Client
from kmodd import daemon as daemon_parts
from kmodd import front_server
from kmodd.access.caller import Role
from kmodd.daemon import running
from kmodd.front.fronts import NoFrontError
from kmodd.settings import Settings, SocketSettings, Timing
from kmodd.trees import Trees
from kmodd.trees.generation import Generation
from tests.support.daemon import START, running_daemon, wait_until
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.kernel_image import RELEASE, VERMAGIC, bz_image, write_vmlinux
from tests.support.kernel_image import pack as packed
from tests.support.kernel_image import vmlinux_sections as sections
from tests.support.tree import ModuleTree
from tests.support.wishes import wishes


def configure(tree: ModuleTree, **files: str) -> None:
    directory = tree.root / "etc" / "modules-load.d"
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / f"{name}.conf").write_text(text)


def test_modules_load_d_is_honoured_and_failures_are_told_one_by_one(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    configure(modules_root, a="nosuch\nworld\n", b="neither\nfacade\n")
    trail = tmp_path / "audit"
    settings = f'load_at_start = true\naudit_file = "{trail}"\n'
    settings += '[[socket]]\npath = "@/run/kmodd.sock"\n'
    with running_daemon(modules_root.root, settings=settings) as daemon:
        with daemon.client() as client:
            wait_until(lambda: len(client.list_modules()) == 3)
            assert [each.name for each in client.list_modules()] == ["facade", "world", "greet"]
            first, second = client.status().start_failures
        directory = modules_root.root / "etc" / "modules-load.d"
        assert first.startswith(f"{directory}/a.conf:1: nosuch: module nosuch not found")
        assert second.startswith(f"{directory}/b.conf:1: neither: module neither not found")
        assert first in daemon.log.read_text()
        assert f"at start:  {first}" in daemon.kmodctl("status").stdout
        lines = [json.loads(line) for line in trail.read_text().splitlines()]
        assert [line["what"] for line in lines] == ["nosuch", "world", "neither", "facade"]
        assert [line["socket"] for line in lines] == [""] * 4


def test_modules_load_d_is_left_alone_unless_asked_for(modules_root: ModuleTree) -> None:
    configure(modules_root, a="world\n")
    with running_daemon(modules_root.root) as daemon, daemon.client() as client:
        assert client.list_modules() == []


def add(tree: ModuleTree, name: str) -> None:
    image = write_module(ModuleSpec(name=name, vermagic=VERMAGIC, versions=()))
    (tree.directory / f"kernel/{name}.ko").write_bytes(image)


def tree_with_databases(root: Path) -> ModuleTree:
    """Make a tree of one module, with its databases."""
    tree = ModuleTree(root, RELEASE)
    (tree.directory / "kernel").mkdir(parents=True)
    add(tree, "plain")
    Trees(tree.root, RELEASE, patience=0.0).rebuild()
    return tree


@pytest.mark.parametrize("wished", ["", wishes("plain loaded")])
def test_a_start_reads_no_tree_whose_databases_are_there_unless_something_is_wished(
    tmp_path: Path, wished: str
) -> None:
    tree = tree_with_databases(tmp_path / "root")
    image = tree.root / f"boot/vmlinuz-{RELEASE}"
    image.parent.mkdir()
    image.write_bytes(bz_image(packed(write_vmlinux(sections()), "zstd")))
    (tmp_path / "state.d").mkdir()
    (tmp_path / "state.d/a.toml").write_text(wished)
    socket = tmp_path / "s"
    settings = Settings(
        root=tree.root,
        sockets=(SocketSettings(path=socket),),
        timing=Timing(poll=3600.0, debounce=3600.0, debounce_max=3600.0),
        desired_state=tmp_path / "state.d",
    )
    with running(settings) as daemon, Client(str(socket)) as client:
        found = daemon.parts.trees.in_force()
        assert found is not None
        assert found.is_provisional == (not wished)
        assert [each.name for each in client.list_modules()] == ["plain"] * bool(wished)
        client.load("plain")
        assert client.get_module("plain").module.name == "plain"


def test_a_kernel_without_an_image_is_told_what_it_is_by_its_tree_behind_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tree_with_databases(tmp_path / "root")
    may_read, rebuild = threading.Event(), Trees.rebuild

    def rebuilt(trees: Trees) -> Generation:
        assert may_read.wait(START)
        return rebuild(trees)

    monkeypatch.setattr(Trees, "rebuild", rebuilt)
    socket = tmp_path / "s"
    settings = Settings(
        root=tree.root,
        sockets=(SocketSettings(path=socket),),
        timing=Timing(poll=3600.0, debounce=3600.0, debounce_max=3600.0),
    )
    with running(settings) as daemon, Client(str(socket)) as client:
        found = daemon.parts.trees.in_force()
        assert found is not None
        assert found.is_provisional
        assert not client.list_modules()
        add(tree, "newcomer")
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(client.status)
            assert not wait([asked], timeout=0.5).done
            may_read.set()
        assert asked.result().vermagic == VERMAGIC
        assert asked.result().tree.module_count == 2
        client.load("plain")


def test_what_is_loaded_at_start_comes_before_a_front_that_nobody_asks_for(
    modules_root: ModuleTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    early: list[bool] = []

    def have_front(*_: object) -> None:
        asked.set()
        raise NoFrontError("a test needs none")

    monkeypatch.setattr(front_server, "have_front", have_front)
    monkeypatch.setattr(daemon_parts, "load_at_start", lambda *_: early.append(asked.wait(0.5)))
    observers = SocketSettings(path=tmp_path / "observers", role=Role.OBSERVER)
    settings = Settings(
        root=modules_root.root,
        sockets=(SocketSettings(path=tmp_path / "admins"), observers),
        load_at_start=True,
        run_code=False,
    )
    with running(settings):
        assert asked.wait(60)
    assert early == [False]
