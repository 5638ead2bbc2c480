# SPDX-License-Identifier: Apache-2.0
"""What it takes to load and unload all of a distribution's modules, their own code run.

There is nothing to compare with: kmod loads into the kernel of the machine, and no other tool
runs modules' code elsewhere. So the table has seconds, loads a second, and the memory of the
emulated kernel's process; the time is also given as the processor's, which a busy machine changes
less. A module is loaded after what it needs, which one after the other is loaded again each time.
"""

from pathlib import Path

from kmodd.database.releases import newest_release
from kmodd.trees import modules_directory
from tests.bench.measure import memory
from tests.conformance.all_modules import Rounds
from tests.support.debian import unpacked_tree
from tests.support.spending import processor_seconds

WANTED_SECONDS = {"one after the other": 30.0, "all at once": 20.0}
"""For all modules, with code."""

LIGHT = "nls_"
"""What the names of modules begin with that only fill in a table: the least load with code."""

LIGHT_LOADS = 50
"""Loads of such modules of which one is the mean."""

WANTED_MEMORY = 300.0
"""MB of the kernel's process at its largest."""


def run(repeat: int) -> None:
    """Load all modules one after the other and all at once, and print a row for each round."""
    root = unpacked_tree().root
    release = newest_release(str(modules_directory(root))) or ""
    print("| code | modules | loads | s | CPU s | loads a second | most MB | MB after |")
    print("|---|---|---|---|---|---|---|---|")
    for code in (True, False):
        rounds = Rounds(root, release, run_code=code)
        try:
            for _ in range(repeat):
                _print_row(rounds, "one after the other", code=code)
                _print_row(rounds, "all at once", code=code)
        finally:
            rounds.close()
    print(
        "\nwanted with code: "
        + ", ".join(f"{how} {seconds:g} s" for how, seconds in WANTED_SECONDS.items())
        + f", {WANTED_MEMORY:g} MB; no other tool does this, so there is no ratio"
    )
    _print_growth(root, release)


def _print_growth(root: Path, release: str) -> None:
    """Print what the least of loads takes with nothing loaded, and with all modules loaded."""
    rounds = Rounds(root, release)
    try:
        light = [name for name in rounds.database.modules if name.startswith(LIGHT)]
        others = [name for name in rounds.database.modules if name not in light]
        names = (light * LIGHT_LOADS)[:LIGHT_LOADS]
        _light_load(rounds, light)  # what is read once has been read
        alone = _light_load(rounds, names)
        loaded = rounds.load(others)
        among = _light_load(rounds, names)
    finally:
        rounds.close()
    print(
        "\n| loading and unloading one module of a table | CPU ms | to the first |\n|---|---|---|"
    )
    print(f"| nothing loaded | {alone * 1000:.2f} | 1 |")
    print(f"| {loaded} modules loaded | {among * 1000:.2f} | {among / alone:.1f} |")


def _light_load(rounds: Rounds, names: list[str]) -> float:
    """Return the processor's seconds for one of these modules, the kernel's process alone."""
    pid = rounds.kernel.pid
    assert pid is not None
    before = processor_seconds(pid)
    rounds.one_by_one(names)
    return (processor_seconds(pid) - before) / len(names)


def _print_row(rounds: Rounds, how: str, *, code: bool) -> None:
    names = tuple(rounds.database.modules)
    pid = rounds.kernel.pid
    assert pid is not None
    before = processor_seconds(pid)
    done = (rounds.one_by_one if how == "one after the other" else rounds.together)(names)
    spent = processor_seconds(pid) - before
    print(
        f"| {'run' if code else 'not run'} | {how} | {done.loads} | {done.seconds:.1f} "
        f"| {spent:.1f} | {done.loads / done.seconds:.0f} "
        f"| {memory(pid, 'VmHWM'):.0f} | {memory(pid, 'VmRSS'):.0f} |",
        flush=True,
    )
