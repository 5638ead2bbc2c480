# SPDX-License-Identifier: Apache-2.0
"""Rebuilding the databases of Debian's modules: the RPC of a warm client beside ``depmod -a``."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from kmodctl.client import Client
from kmodd.database.scan import SETTLED_NS
from kmodd.modulefile import Compression
from tests.bench.measure import Row, memory, print_table, side_by_side, timed
from tests.support.compression import SUFFIXES, compress
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.debian import CACHE, unpacked_tree
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.require import find_tool
from tests.support.tree import ModuleTree

OTHER = "1.0.0-other"
"""A release with nothing in it, which the daemon's kernel is of: it builds no other unasked."""

RELEASES = 20
"""Kernels that are installed beside each other, at most, on a machine that nobody tidies."""

DENSE = 270
"""Modules that most of the dense tree's need."""

INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


def run(repeat: int) -> None:
    """Measure everything and print the table."""
    tool = find_tool("depmod")
    if tool is None:
        raise SystemExit("the reference, kmod's depmod, is not installed")
    source = unpacked_tree()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-", dir=CACHE) as directory:
        plain = source.copy(Path(directory, "plain"))
        rows.append(full("full, uncompressed", plain, repeat, tool, 0.9))
        other = source.copy(Path(directory, "other"))
        changes, resident = incremental(plain, other, repeat, tool)
        rows += changes
        for kind, wanted in ((Compression.XZ, 0.55), (Compression.ZSTD, 0.7)):
            packed = compressed(plain, Path(directory, kind.value), kind)
            rows.append(full(f"full, {kind.value}", packed, repeat, tool, wanted))
            shutil.rmtree(packed.root)
        dense = dense_tree(Path(directory, "dense"))
        rows.append(full("dense graph, 1,000 modules", dense, repeat, tool, 1.0))
        many, most = many_releases(plain)
    print_table("databases of Debian's modules", rows)
    print("\n| kmodd's memory | MB | wanted |\n|---|---|---|")
    print(f"| with that tree | {resident:.0f} | 120 |")
    print(f"| with {RELEASES} such releases | {many:.0f} | 150 |")
    print(f"| the same, at its most | {most:.0f} | |")


def many_releases(tree: ModuleTree) -> tuple[float, float]:
    """Return the daemon's resident memory with as many releases, and the most it was, in MB."""
    root = tree.root.with_name("many")
    directories = [root / "lib/modules" / f"6.1.0-{number}-many" for number in range(RELEASES)]
    directories[0].parent.mkdir(parents=True)
    drop_outputs(tree)
    for directory in directories:
        subprocess.run(["cp", "-al", tree.directory, directory], check=True)
    with running_daemon(root, "--release", directories[0].name, "--log-level", "error") as daemon:
        for directory in directories:
            wait_until((directory / "modules.devname").exists, seconds=300, pause=0.5)
        time.sleep(20)
        return memory(daemon.process.pid, "VmRSS"), memory(daemon.process.pid, "VmHWM")


def full(name: str, tree: ModuleTree, repeat: int, tool: str, wanted: float) -> Row:
    """Rebuild from nothing: no database in memory, no records kept, no files written."""
    (tree.directory.with_name(OTHER)).mkdir(exist_ok=True)

    def ours() -> float:
        drop_outputs(tree)
        with warm_client(tree) as (_, client):
            return timed(lambda: client.rebuild_database(tree.release))

    return side_by_side(name, repeat, ours, lambda: depmod(tree, tool), wanted)


def incremental(
    tree: ModuleTree, other: ModuleTree, repeat: int, tool: str
) -> tuple[list[Row], float]:
    """Rebuild after small changes; also the daemon's resident memory in MB.

    depmod works on a copy of its own. Its databases are of its own version, and where they lie
    in our tree a rebuild has all of them to write again, whatever else has changed.
    """
    module = next((tree.directory / "kernel" / "fs").rglob("ext4.ko"))
    added = tree.directory / "kernel" / "fs" / "added.ko"
    twin = tree.root / "twin.ko"

    def change() -> None:
        shutil.copy(module, twin)
        twin.replace(module)

    with warm_client(tree) as (daemon, client):

        def rebuild() -> float:
            return timed(lambda: client.rebuild_database(tree.release))

        def theirs() -> float:
            return depmod(other, tool)

        def changed() -> float:
            change()
            return rebuild()

        def unchanged() -> float:
            # What has changed just now is looked at again, whatever its stamp.
            time.sleep(2 * SETTLED_NS / 1e9)
            rebuild()
            rebuild()
            return rebuild()

        def with_one_more() -> float:
            shutil.copy(added.with_name("mbcache.ko"), added)
            spent = rebuild()
            added.unlink()
            rebuild()
            return spent

        def with_one_less() -> float:
            shutil.copy(added.with_name("mbcache.ko"), added)
            rebuild()
            added.unlink()
            return rebuild()

        rebuild()
        rows = [
            side_by_side("one changed, same symbols", repeat, changed, theirs, 0.1),
            side_by_side("one added", repeat, with_one_more, theirs, 0.3),
            side_by_side("one removed", repeat, with_one_less, theirs, 0.3),
            side_by_side("nothing changed", repeat, unchanged, theirs, 0.03),
        ]
        return rows, memory(daemon.process.pid, "VmRSS")


@contextmanager
def warm_client(tree: ModuleTree) -> Iterator[tuple[Daemon, Client]]:
    """Start a daemon and give it with a client that has asked it something.

    The answer comes from the emulated kernel, so that this has booted and is at rest, too.
    """
    words = ("--release", OTHER, "--no-watch", "--log-level", "error")
    with running_daemon(tree.root, *words) as daemon, daemon.client() as client:
        client.list_files()
        yield daemon, client


def depmod(tree: ModuleTree, tool: str) -> float:
    """Time the machine's depmod on the tree."""
    drop_outputs(tree)
    command = [tool, "-a", "-b", str(tree.root), tree.release]
    return timed(lambda: subprocess.run(command, check=True, capture_output=True))


def drop_outputs(tree: ModuleTree) -> None:
    """Remove what a depmod has written."""
    for path in tree.directory.glob("modules.*"):
        if path.name not in INPUTS:
            path.unlink()


def compressed(tree: ModuleTree, root: Path, kind: Compression) -> ModuleTree:
    """Return a tree with the same modules, compressed."""
    packed = ModuleTree(root=root, release=tree.release)

    def pack(path: Path) -> None:
        place = packed.directory / path.relative_to(tree.directory)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_suffix(SUFFIXES[kind]).write_bytes(compress(path.read_bytes(), kind))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(pack, sorted(tree.directory.rglob("*.ko"))))
    for name in INPUTS:
        shutil.copy(tree.directory / name, packed.directory)
    return packed


def dense_tree(root: Path) -> ModuleTree:
    """Return a tree of 1,000 modules, most with DENSE in their closure: a chain, and ways into it.

    Where those in the chain name more than one of each other, depmod goes all ways that there
    are, and is not done after 40 s.
    """
    tree = ModuleTree(root=root, release="6.1.0-dense")
    directory = tree.directory / "kernel"
    directory.mkdir(parents=True)
    for number in range(1000):
        below = min(number, DENSE)
        named = {*range(below - 1, below), *(range(0, below, 30) if number > DENSE else ())}
        needs = tuple(Import(f"m{other}_do") for other in sorted(named) if other >= 0)
        spec = ModuleSpec(name=f"m{number}", exports=(Export(f"m{number}_do"),), imports=needs)
        (directory / f"m{number}.ko").write_bytes(write_module(spec))
    for name in INPUTS:
        (tree.directory / name).touch()
    return tree
