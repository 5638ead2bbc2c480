# SPDX-License-Identifier: Apache-2.0
"""From a change in the tree to the databases on disk, and to the first load answered; and misses.

kmod's counterpart of a change is its ``depmod -a`` right behind it, of a miss ``modprobe -q``. The
processor's time is the daemon's, all that it had run included.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kmodctl import CallError
from kmodctl.client import Client
from tests.bench.depmod import drop_outputs
from tests.bench.measure import process_tree_seconds
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.debian import CACHE, unpacked_tree
from tests.support.links import install_links
from tests.support.require import find_tool
from tests.support.spending import run_and_count
from tests.support.tree import ModuleTree

ALIASES = 60
"""Aliases of one call of modprobe, as a machine's devices have them."""

HITS = 15
"""Those of them that some module has."""

REST = 12.0
"""Seconds in which a daemon comes to rest after a change."""

MISSES = 500
"""Misses of which one is the mean."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds: the clock's, and the processor's of all that took part."""

    clock: float
    processor: float


@dataclass(frozen=True, slots=True)
class CostRow:
    """What something costs kmodd, and kmod where it can do the like; ``wanted`` is ours by the
    clock, or by the processor where ``by_processor``, in milliseconds.
    """

    name: str
    ours: Sequence[Cost]
    theirs: Sequence[Cost] = ()
    wanted: float | None = None
    by_processor: bool = False


def run(repeat: int) -> None:
    """Measure everything and print the table."""
    kmod = find_tool("depmod")
    if kmod is None:
        raise SystemExit("the reference, kmod's depmod, is not installed")
    source = unpacked_tree()
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-", dir=CACHE) as directory:
        tree = source.copy(Path(directory, "watched"))
        other = source.copy(Path(directory, "other"))
        links = install_links(Path(directory))
        with (
            running_daemon(tree.root, "--log-level", "error") as daemon,
            daemon.client() as client,
        ):
            client.list_files()
            wait_until((tree.directory / "modules.devname").exists)
            changes = _Changes(daemon, client, tree, other, kmod)
            rows = [
                changes.row("one file", 1, repeat, 200.0),
                changes.row("100 files", 100, repeat, 250.0),
                changes.row("4,023 files, a new release", 0, min(repeat, 3), 500.0),
                changes.first_load(repeat),
            ]
            time.sleep(REST)
            rows += [_miss(daemon, client), _aliases(daemon, tree, links, Path(kmod), repeat)]
    print("| change | clock ms | CPU ms | kmod's clock | kmod's CPU | wanted |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(_line(row))


class _Changes:
    """Makes the same change in a tree that is watched, and in another that depmod is run on."""

    def __init__(
        self, daemon: Daemon, client: Client, tree: ModuleTree, other: ModuleTree, depmod: str
    ) -> None:
        self._daemon = daemon
        self._client = client
        self._tree = tree
        self._other = other
        self._depmod = depmod
        self._count = 0

    def row(self, name: str, files: int, repeat: int, wanted: float) -> CostRow:
        """Measure as many new files, all of a new release's for 0, in turns with depmod."""
        ours, theirs = [], []
        for _ in range(repeat):
            ours.append(self._ours(files))
            theirs.append(self._theirs(files))
        return CostRow(f"{name} to modules.dep", ours, theirs, wanted)

    def first_load(self, repeat: int) -> CostRow:
        """Measure a load of what was copied just now; kmod's has to run depmod first."""
        costs, theirs = [], []
        for _ in range(repeat):
            module = self._copy(self._tree, 1)[0]
            began, before = time.perf_counter(), self._spent()
            self._client.load(module, dry_run=True)
            costs.append(Cost(time.perf_counter() - began, self._spent() - before))
            time.sleep(REST / 4)
            theirs.append(self._theirs(1))
        return CostRow("one file to the first load", costs, theirs)

    def _ours(self, files: int) -> Cost:
        before = self._spent()
        tree = self._tree if files else self._new_release()
        modules = self._copy(tree, files) if files else ["ext4"]
        began, path = time.perf_counter(), tree.directory / "modules.dep"
        last = f"/{modules[-1]}.ko:"
        wait_until(lambda: path.exists() and last in path.read_text(), pause=0.005)
        clock = time.perf_counter() - began
        cost = Cost(clock, self._spent() - before)
        time.sleep(REST / 4)
        if not files:
            shutil.rmtree(tree.directory)
            time.sleep(REST / 2)
        return cost

    def _theirs(self, files: int) -> Cost:
        if files:
            self._copy(self._other, files)
        else:
            drop_outputs(self._other)
        words = (self._depmod, "-a", "-b", str(self._other.root), self._other.release)
        spent = run_and_count(words, {})
        return Cost(spent.clock, spent.processor)

    def _copy(self, tree: ModuleTree, files: int) -> list[str]:
        """Copy one module under names that no module has had; returns them."""
        source = next(tree.directory.rglob("mbcache.ko"))
        names = [f"added{self._count + number}" for number in range(files)]
        self._count += files
        for name in names:
            shutil.copy(source, source.with_name(f"{name}.ko"))
        return names

    def _new_release(self) -> ModuleTree:
        tree = ModuleTree(root=self._tree.root, release="6.99.0-new")
        subprocess.run(["cp", "-al", self._other.directory, tree.directory], check=True)
        drop_outputs(tree)
        return tree

    def _spent(self) -> float:
        return process_tree_seconds(self._daemon.process.pid)


def _miss(daemon: Daemon, client: Client) -> CostRow:
    """Measure a call for an alias that no module has."""

    def miss(number: int) -> None:
        try:
            client.load(f"acpi:NONE{number:04}:", dry_run=True)
        except CallError as error:
            if error.reason != "MODULE_NOT_FOUND":
                raise

    cost = _mean(miss, daemon.process.pid)
    return CostRow("a miss, by a warm client", [cost], wanted=0.3, by_processor=True)


def _mean(act: Callable[[int], None], pid: int) -> Cost:
    act(0)
    began, before = time.perf_counter(), process_tree_seconds(pid)
    for number in range(MISSES):
        act(number)
    clock, spent = time.perf_counter() - began, process_tree_seconds(pid) - before
    return Cost(clock / MISSES, spent / MISSES)


def _aliases(daemon: Daemon, tree: ModuleTree, links: Path, kmod: Path, repeat: int) -> CostRow:
    """Measure one modprobe of many aliases, most of which no module has."""
    names = [f"acpi:NONE{number:04}:" for number in range(ALIASES - HITS)]
    names += [f"fs-{name}" for name in _FILE_SYSTEMS]
    environment = {"PATH": "/usr/bin:/bin", "KMODD_SOCKET": str(daemon.socket)}
    ours, theirs = [], []
    for _ in range(repeat):
        mine = run_and_count(
            [str(links / "modprobe"), "-n", "-q", "-a", *names],
            environment,
            (daemon.process.pid,),
            status=1,
        )
        ours.append(Cost(mine.clock, mine.processor))
        place = ("-d", str(tree.root), "-S", tree.release)
        words = (str(kmod.with_name("modprobe")), *place, "-n", "-q", "-a", *names)
        spent = run_and_count(words, {}, status=1)
        theirs.append(Cost(spent.clock, spent.processor))
    return CostRow(f"modprobe -n -q -a, {ALIASES} aliases, {HITS} of them hits", ours, theirs)


_FILE_SYSTEMS = (
    *("ext4", "xfs", "btrfs", "vfat", "nfs", "cifs", "udf", "ntfs"),
    *("jfs", "f2fs", "minix", "hfs", "hfsplus", "squashfs", "overlay"),
)
"""Of which each is an alias: fs-NAME."""


def _line(row: CostRow) -> str:
    sets = [
        times
        for costs in (row.ours, row.theirs)
        for times in ([each.clock for each in costs], [each.processor for each in costs])
    ]
    cells = [row.name, *(f"{median(times) * 1000:.2f}" if times else "" for times in sets)]
    cells.append(f"{row.wanted:g}{' (CPU)' if row.by_processor else ''}" if row.wanted else "")
    return f"| {' | '.join(cells)} |"
