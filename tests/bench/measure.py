# SPDX-License-Identifier: Apache-2.0
"""Measuring two programs side by side."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.support.spending import Spent, processor_seconds

Action = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """The median wall times of two programs at the same job, in seconds, and the ratio wanted."""

    name: str
    ours: float
    theirs: float
    wanted: float | None = None

    @property
    def ratio(self) -> float:
        """Our time in theirs."""
        return self.ours / self.theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentRow:
    """What two programs took for the same job, run by run in turns, and the ratios that are wanted
    of their medians: of the clock's, and of the processor's.
    """

    name: str
    ours: Sequence[Spent]
    theirs: Sequence[Spent]
    clock: float | None = None
    processor: float | None = None


def spent_by(pid: int, action: Action) -> Spent:
    """Return what ``action`` takes of the clock, and of the process that it asks for it."""
    before, started = process_tree_seconds(pid), time.perf_counter()
    action()
    clock = time.perf_counter() - started
    return Spent(0.0, process_tree_seconds(pid) - before, clock)


def in_turns(
    name: str,
    repeat: int,
    ours: Callable[[], Spent],
    theirs: Callable[[], Spent],
    *,
    clock: float | None = None,
    processor: float | None = None,
) -> SpentRow:
    """Run both in turns, so that what else the machine does hits both."""
    pairs = [(ours(), theirs()) for _ in range(repeat)]
    return SpentRow(
        name=name,
        ours=[pair[0] for pair in pairs],
        theirs=[pair[1] for pair in pairs],
        clock=clock,
        processor=processor,
    )


def print_spent_table(title: str, rows: Sequence[SpentRow]) -> None:
    """Print the rows as a Markdown table; times in milliseconds."""
    print(f"| {title} | clock ms | kmod's | ratio | wanted | CPU ms | kmod's | ratio | wanted |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [row.name]
        for part, wanted in (("clock", row.clock), ("processor", row.processor)):
            mine, other = (
                median(getattr(each, part) for each in spent) * 1000
                for spent in (row.ours, row.theirs)
            )
            cells += [f"{mine:.0f}", f"{other:.0f}", f"{mine / other:.2f}"]
            cells.append(f"{wanted:g}" if wanted is not None else "")
        print(f"| {' | '.join(cells)} |")


def timed(action: Action) -> float:
    """Return how long ``action`` takes, in seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def side_by_side(
    name: str,
    repeat: int,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    wanted: float | None = None,
) -> Row:
    """Run both in turns, so that what else the machine does hits both; each returns its time."""
    pairs = [(ours(), theirs()) for _ in range(repeat)]
    return Row(name, median(pair[0] for pair in pairs), median(pair[1] for pair in pairs), wanted)


def print_table(title: str, rows: list[Row]) -> None:
    """Print the rows as a Markdown table; times in milliseconds."""
    print(f"| {title} | kmodd ms | kmod ms | ratio | wanted |")
    print("|---|---|---|---|---|")
    for row in rows:
        wanted = f"{row.wanted:g}" if row.wanted is not None else ""
        print(
            f"| {row.name} | {row.ours * 1000:.1f} | {row.theirs * 1000:.1f} "
            f"| {row.ratio:.2f} | {wanted} |"
        )


def memory(pid: int, field: str) -> float:
    """Return a field of /proc/PID/status (VmRSS, VmHWM) in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(field)


def process_tree_seconds(pid: int) -> float:
    """Return the seconds that processors have spent on a process, its children, and those that it
    has waited for.
    """
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(each) for task in tasks for each in task.read_text().split()]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return processor_seconds(pid) + ended + sum(map(process_tree_seconds, children))
