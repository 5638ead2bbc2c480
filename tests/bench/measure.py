# SPDX-License-Identifier: Apache-2.0
"""Measuring two programs side by side."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.support.spending import processor_seconds

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
