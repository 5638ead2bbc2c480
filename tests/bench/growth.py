# SPDX-License-Identifier: Apache-2.0
"""How what the daemon does grows: with 64,000 modules, and with chains of thousands.

The processor's time is that of the daemon with all that it had run, and its kernel's process.
kmod's counterparts are ``depmod -a`` and ``modprobe -D`` as processes; it loads into the machine's
kernel alone, so there is none for loads.
"""

import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from kmodctl.client import Client
from tests.bench.depmod import INPUTS
from tests.bench.measure import memory, process_tree_seconds
from tests.support.daemon import Daemon, running_daemon
from tests.support.debian import CACHE
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.require import find_tool
from tests.support.tree import ModuleTree

MANY = 64_000
"""Modules of the large tree, in directories of 20."""

CHAINS = (1000, 3000, 6000)
"""Modules of a chain, each of which needs the one before."""

WANTED_PLANS = {1000: 5.0, 3000: 15.0}
"""Milliseconds of a plan, by the processor."""

PLANS = 10
"""Plans of a chain of which one is the median."""


def run(repeat: int) -> None:
    """Measure everything and print the tables."""
    tool = find_tool("depmod")
    if tool is None:
        raise SystemExit("the reference, kmod's depmod, is not installed")
    kmod = Path(tool).parent
    print("| growth | clock ms | CPU ms | kmod's clock | kmod's CPU | wanted |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-", dir=CACHE) as directory:
        sizes = [_many(Path(directory, "many"), kmod, repeat)]
        sizes += [_chain(Path(directory, str(length)), length, kmod) for length in CHAINS]
    print("\n| the daemon's memory | MB | most MB |\n|---|---|---|")
    for name, now, most in sizes:
        print(f"| {name} | {now:.0f} | {most:.0f} |")


def _many(root: Path, kmod: Path, repeat: int) -> tuple[str, float, float]:
    """Measure changes of the large tree, and return what the daemon takes with it."""
    tree = _tree(root, [_large_spec(number) for number in range(MANY)])
    module = tree.directory / "kernel/d3000/m60000.ko"
    added = module.with_name("added.ko")
    words = ("--no-watch", "--log-level", "error")
    theirs = _timed(lambda: _process(kmod / "depmod", "-a", "-b", tree.root, tree.release), None)
    with running_daemon(tree.root, *words, seconds=300.0) as daemon, daemon.client() as client:
        client.list_files()
        time.sleep(1.0)
        client.rebuild_database()

        def changed() -> None:
            shutil.copy(module, tree.root / "twin.ko")
            (tree.root / "twin.ko").replace(module)

        def row(name: str, change: Callable[[], object], wanted: float | None = None) -> None:
            costs = []
            for _ in range(repeat):
                change()
                costs.append(_timed(client.rebuild_database, daemon))
                added.unlink(missing_ok=True)
                time.sleep(1.0)
                client.rebuild_database()
            _print_row(f"{MANY} modules, {name}", _median(costs), theirs, wanted)

        row("nothing changed", lambda: None)
        row("one changed", changed, 300.0)
        row("one added", lambda: shutil.copy(module, added))
        return f"{MANY} modules", *_memory(daemon)


def _chain(root: Path, length: int, kmod: Path) -> tuple[str, float, float]:
    """Measure a plan and a load of a chain's last module, and return what the daemon takes."""
    tree = _tree(root, [_chain_spec(number) for number in range(length)])
    last = f"m{length - 1}"
    words = ("--no-watch", "--log-level", "error")
    with running_daemon(tree.root, *words) as daemon, daemon.client() as client:
        client.list_files()
        ours = _median([_timed(lambda: _plan(client, last), daemon) for _ in range(PLANS)])
        place = ("-d", tree.root, "-S", tree.release)
        theirs = None
        if (tree.directory / "modules.dep").exists():
            theirs = _timed(lambda: _process(kmod / "modprobe", *place, "-D", last), None)
        _print_row(f"plan of a chain of {length}", ours, theirs, WANTED_PLANS.get(length))
        size = _memory(daemon)
        _print_row(f"load of a chain of {length}", _timed(lambda: client.load(last), daemon), None)
        return f"a chain of {length}", *size


def _plan(client: Client, name: str) -> object:
    return client.load(name, dry_run=True)


def _process(tool: Path, *words: object) -> object:
    return subprocess.run([tool, *map(str, words)], check=True, capture_output=True)


def _timed(act: Callable[[], object], daemon: Daemon | None) -> tuple[float, float]:
    """Return the clock's seconds, and those of the processor: of a daemon, or of a process."""

    def spent() -> float:
        if daemon is not None:
            return process_tree_seconds(daemon.process.pid)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before, began = spent(), time.perf_counter()
    act()
    return time.perf_counter() - began, spent() - before


def _median(costs: list[tuple[float, float]]) -> tuple[float, float]:
    return median(clock for clock, _ in costs), median(spent for _, spent in costs)


def _memory(daemon: Daemon) -> tuple[float, float]:
    return memory(daemon.process.pid, "VmRSS"), memory(daemon.process.pid, "VmHWM")


def _print_row(
    name: str,
    ours: tuple[float, float],
    theirs: tuple[float, float] | None,
    wanted: float | None = None,
) -> None:
    cells = [f"{each * 1000:.1f}" for each in ours]
    cells += [f"{each * 1000:.1f}" for each in theirs] if theirs else ["", ""]
    print(f"| {name} | {' | '.join(cells)} | {f'{wanted:g}' if wanted else ''} |", flush=True)


def _large_spec(number: int) -> ModuleSpec:
    """Return a module as a distribution's are: an alias, a symbol, and now and then a need."""
    needs = {number // 2, number // 3} if number % 50 else set()
    return ModuleSpec(
        name=f"m{number}",
        exports=(Export(f"m{number}_do"),),
        imports=tuple(Import(f"m{other}_do") for other in sorted(needs) if other < number),
        modinfo=(("alias", f"pci:v0000{number:04X}d*sv*sd*bc*sc*i*"),),
    )


def _chain_spec(number: int) -> ModuleSpec:
    needs = (Import(f"m{number - 1}_do"),) if number else ()
    return ModuleSpec(name=f"m{number}", exports=(Export(f"m{number}_do"),), imports=needs)


def _tree(root: Path, specs: list[ModuleSpec]) -> ModuleTree:
    """Write a tree of these modules."""
    tree = ModuleTree(root=root, release="6.1.0-growth")
    for number, spec in enumerate(specs):
        file = tree.directory / f"kernel/d{number // 20}" / f"{spec.name}.ko"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(write_module(spec))
    for name in INPUTS:
        (tree.directory / name).touch()
    return tree
