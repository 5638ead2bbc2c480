# SPDX-License-Identifier: Apache-2.0
"""Rebuilding the databases of Debian's modules: the RPC of a warm client, and ``kmodctl depmod -b``
as a process, beside ``depmod -a``; and how long a daemon takes until it is ready.

The processor's time is that of all processes that take part.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from kmodctl.client import Client
from kmodd.database.scan import SETTLED_NS
from kmodd.modulefile import Compression
from tests.bench.measure import (
    SpentRow,
    in_turns,
    memory,
    print_spent_table,
    process_tree_seconds,
    spent_by,
)
from tests.support.compression import SUFFIXES, compress
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.debian import CACHE, unpacked_tree
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.links import install_links
from tests.support.require import find_tool
from tests.support.spending import Spent, run_and_count
from tests.support.tree import ModuleTree

OTHER = "1.0.0-other"
"""A release with nothing in it, which the daemon's kernel is of: it builds no other unasked."""

RELEASES = 20
"""Kernels that are installed beside each other, at most, on a machine that nobody tidies."""

DENSE = 270
"""Modules that most of the dense tree's need."""

SETTLES = 4.0
"""Seconds in which a daemon that is ready has verified what it serves, and stored what it knows."""

INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


def run(repeat: int) -> None:
    """Measure everything and print the table."""
    tool = find_tool("depmod")
    if tool is None:
        raise SystemExit("the reference, kmod's depmod, is not installed")
    source = unpacked_tree()
    rows: list[SpentRow] = []
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-", dir=CACHE) as directory:
        plain = source.copy(Path(directory, "plain"))
        rows.append(full("full, uncompressed", plain, repeat, tool, clock=0.65, processor=1.1))
        rows.append(cold(plain, Path(directory), repeat, tool))
        other = source.copy(Path(directory, "other"))
        changes, resident = incremental(plain, other, repeat, tool)
        rows += changes
        for kind, clock, processor in ((Compression.XZ, 0.52, 1.05), (Compression.ZSTD, 0.65, 1.2)):
            packed = compressed(plain, Path(directory, kind.value), kind)
            name = f"full, {kind.value}"
            rows.append(full(name, packed, repeat, tool, clock=clock, processor=processor))
            shutil.rmtree(packed.root)
        dense = dense_tree(Path(directory, "dense"))
        rows.append(full("dense graph, 1,000 modules", dense, repeat, tool, clock=1.0))
        starts = [start(plain, repeat, warm=warm) for warm in (False, True)]
        private = private_daemon(plain, source.kernel_image, repeat)
        many, most = many_releases(plain)
    print_spent_table("databases of Debian's modules", rows)
    print("\n| until a daemon is ready | clock ms | CPU ms | wanted (clock) |\n|---|---|---|---|")
    for name, spent, wanted in zip(("cold", "warm"), starts, (500, 200), strict=True):
        clock = median(each.clock for each in spent) * 1000
        processor = median(each.processor for each in spent) * 1000
        print(f"| {name} | {clock:.0f} | {processor:.0f} | {wanted} |")
    processor = median(each.processor for each in private) * 1000
    clock = median(each.clock for each in private) * 1000
    print(f"| kmodd run -- true, warm | {clock:.0f} | {processor:.0f} | |")
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


def full(
    name: str,
    tree: ModuleTree,
    repeat: int,
    tool: str,
    *,
    clock: float,
    processor: float | None = None,
) -> SpentRow:
    """Rebuild from nothing: no database in memory, no records kept, no files written."""
    (tree.directory.with_name(OTHER)).mkdir(exist_ok=True)

    def ours() -> Spent:
        drop_outputs(tree)
        with warm_client(tree) as (daemon, client):
            return rebuilt(daemon, client, tree)

    def theirs() -> Spent:
        return depmod(tree, tool)

    return in_turns(name, repeat, ours, theirs, clock=clock, processor=processor)


def cold(tree: ModuleTree, work: Path, repeat: int, tool: str) -> SpentRow:
    """Rebuild from nothing by a process that is started for it."""
    command = [str(install_links(work) / "depmod"), "-b", str(tree.root), tree.release]

    def ours() -> Spent:
        drop_outputs(tree)
        return run_and_count(command, {"PATH": "/usr/bin:/bin"})

    name = "full, by a process that is started for it"
    return in_turns(name, repeat, ours, lambda: depmod(tree, tool), processor=1.3)


def start(tree: ModuleTree, repeat: int, *, warm: bool) -> list[Spent]:
    """Start a daemon until it is ready, with what an earlier one left or with the tree alone."""
    spent = []
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        told, state = Path(directory, "notify"), Path(directory, "state")
        command = [sys.executable, "-m", "kmodd", "serve", "--log-level", "error"]
        command += ["--root", str(tree.root), "--release", tree.release, "--state", str(state)]
        command += ["--socket", str(Path(directory, "run/kmodd.sock"))]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(str(told))
            for turn in range(repeat + warm):
                if not warm:
                    drop_outputs(tree)
                    shutil.rmtree(state, ignore_errors=True)
                began = time.perf_counter()
                process = subprocess.Popen(command, env=os.environ | {"NOTIFY_SOCKET": str(told)})
                while b"READY=1" not in listening.recv(4096):
                    pass
                clock = time.perf_counter() - began
                if turn or not warm:
                    spent.append(Spent(0.0, process_tree_seconds(process.pid), clock))
                time.sleep(SETTLES)
                process.terminate()
                process.wait()
    return spent


def private_daemon(tree: ModuleTree, image: Path, repeat: int) -> list[Spent]:
    """Run a command that does nothing with a daemon of its own, on an emulated kernel."""
    boot = tree.root / "boot"
    boot.mkdir()
    shutil.copy(image, boot / f"vmlinuz-{tree.release}")
    command = [sys.executable, "-m", "kmodd", "run", "--root", str(tree.root)]
    command += ["--release", tree.release, "--", "true"]
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        environment = os.environ | {"XDG_CACHE_HOME": directory}
        spent = [run_and_count(command, environment) for _ in range(repeat + 1)]
    shutil.rmtree(boot)
    return spent[1:]


def rebuilt(daemon: Daemon, client: Client, tree: ModuleTree) -> Spent:
    """Rebuild a tree's databases by a warm client."""
    return spent_by(daemon.process.pid, lambda: client.rebuild_database(tree.release))


def incremental(
    tree: ModuleTree, other: ModuleTree, repeat: int, tool: str
) -> tuple[list[SpentRow], float]:
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

        def rebuild() -> Spent:
            return rebuilt(daemon, client, tree)

        def theirs() -> Spent:
            return depmod(other, tool)

        def changed() -> Spent:
            change()
            return rebuild()

        def unchanged() -> Spent:
            # What has changed just now is looked at again, whatever its stamp.
            time.sleep(2 * SETTLED_NS / 1e9)
            rebuild()
            rebuild()
            return rebuild()

        def with_one_more() -> Spent:
            shutil.copy(added.with_name("mbcache.ko"), added)
            spent = rebuild()
            added.unlink()
            rebuild()
            return spent

        def with_one_less() -> Spent:
            shutil.copy(added.with_name("mbcache.ko"), added)
            rebuild()
            added.unlink()
            return rebuild()

        rebuild()
        cases: tuple[tuple[str, Callable[[], Spent], float], ...] = (
            ("one changed, same symbols", changed, 0.1),
            ("one added", with_one_more, 0.3),
            ("one removed", with_one_less, 0.3),
            ("nothing changed", unchanged, 0.03),
        )
        rows = [in_turns(name, repeat, ours, theirs, clock=want) for name, ours, want in cases]
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


def depmod(tree: ModuleTree, tool: str) -> Spent:
    """Run the machine's depmod on the tree."""
    drop_outputs(tree)
    return run_and_count([tool, "-a", "-b", str(tree.root), tree.release], {})


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
