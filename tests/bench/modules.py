# SPDX-License-Identifier: Apache-2.0
"""What it takes to load and unload all of a distribution's modules, their own code run.

There is nothing to compare with: kmod loads into the kernel of the machine, and no other tool
runs modules' code elsewhere. So the table has seconds, loads a second, and the memory of the
emulated kernel's process; the time is also given as the processor's, which a busy machine changes
less. A module is loaded after what it needs, which one after the other is loaded again each time.
"""

import os
from pathlib import Path

from kmodd.database.releases import newest_release
from kmodd.trees import modules_directory
from tests.bench.measure import memory
from tests.conformance.all_modules import Rounds
from tests.support.debian import unpacked_tree

WANTED_SECONDS = 60.0
"""For all modules one after the other."""

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
        f"\\nwanted with code, one after the other: {WANTED_SECONDS:g} s, {WANTED_MEMORY:g} MB; "
        "no other tool does this, so there is no ratio"
    )


def _print_row(rounds: Rounds, how: str, *, code: bool) -> None:
    names = tuple(rounds.database.modules)
    pid = rounds.kernel.pid
    assert pid is not None
    before = _processor_seconds(pid)
    done = (rounds.one_by_one if how == "one after the other" else rounds.together)(names)
    spent = _processor_seconds(pid) - before
    print(
        f"| {'run' if code else 'not run'} | {how} | {done.loads} | {done.seconds:.1f} "
        f"| {spent:.1f} | {done.loads / done.seconds:.0f} "
        f"| {memory(pid, 'VmHWM'):.0f} | {memory(pid, 'VmRSS'):.0f} |",
        flush=True,
    )


def _processor_seconds(pid: int) -> float:
    """Return the seconds that the processor has spent on a process (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
