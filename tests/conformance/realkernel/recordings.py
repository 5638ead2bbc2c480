# SPDX-License-Identifier: Apache-2.0
"""The tables that are checked in, and how far the emulated kernel agrees with each at least.

This is the one place of those figures: ``python -m tests.conformance.realkernel --of NAME`` says
what they are now.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.realkernel.compare import Column
from tests.conformance.realkernel.table import Row, read_table

HERE = Path(__file__).parent

SPARE = 2
"""Comparisons that may be lost before a test fails: what a load comes to may depend on the time."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The loads that the kernel of one of Debian's suites was seen to do.

    ``release`` is the kernel's, and ``build`` is in the names of the packages that are built as its
    was, of the same sources but for fixes: sizes and counts are those of one build and of a few
    like it. ``rows`` of the table are tested, 0 for all. ``agreed`` says in how many comparisons of
    each column the two kernels agree at least, with those rows and that build, and ``elsewhere`` in
    how many percent of them, with what the suite has had since.
    """

    name: str
    suite: str
    release: str
    build: str
    rows: int
    agreed: Mapping[str, int]
    elsewhere: Mapping[str, float]

    @property
    def table(self) -> Path:
        """The file of the table."""
        return HERE / f"loads-{self.name}.tsv.xz"

    def tested(self) -> list[Row]:
        """Return the rows that are tested: drawn from all, always the same."""
        rows = read_table(self.table)
        if not self.rows or self.rows >= len(rows):
            return rows
        drawn = random.Random(self.name).sample(range(len(rows)), self.rows)  # a draw
        return [rows[index] for index in sorted(drawn)]

    def is_of(self, package: str) -> bool:
        """Tell whether the package of that file name is of that build."""
        return self.build in package

    def shortfalls(self, columns: Sequence[Column], package: str) -> list[str]:
        """Return the columns that agree too little; all have to be there."""
        if self.is_of(package):
            agreed = {each.name: each.agreed for each in columns}
            return [name for name, least in self.agreed.items() if agreed[name] < least - SPARE]
        percent = {each.name: each.percent for each in columns}
        return [name for name, least in self.elsewhere.items() if percent[name] < least]


RECORDINGS = (
    Recording(
        name="6.1",
        suite="bookworm",
        release="6.1.0-56-amd64 (6.1.192-2)",
        build="-amd64_6.1.192-",
        rows=0,
        agreed={"came-with": 1832, "counts": 6406, "size": 6488, "loads": 1907, "refuses": 111},
        # One with another configuration altogether, Debian's for clouds, still agrees in 98% of
        # what came with a load, and in 93% of the sizes.
        elsewhere={"came-with": 80, "counts": 80, "size": 80, "loads": 80, "refuses": 80},
    ),
    Recording(
        name="6.12",
        suite="trixie",
        release="6.12.118+deb13-amd64 (6.12.118-1)",
        build="-amd64_6.12.118-",
        rows=400,
        agreed={"came-with": 368, "counts": 1396, "size": 1411, "loads": 380, "refuses": 20},
        elsewhere={"came-with": 90, "counts": 90, "size": 80, "loads": 95, "refuses": 80},
    ),
    Recording(
        name="7.2",
        suite="sid",
        release="7.2.13+deb14-amd64 (7.2.13-1)",
        build="-amd64_7.2.13-",
        rows=400,
        agreed={"came-with": 243, "counts": 866, "size": 870, "loads": 244, "refuses": 16},
        elsewhere={"came-with": 80, "counts": 80, "size": 50, "loads": 80, "refuses": 60},
    ),
)
"""The oldest first."""

OF_6_1 = RECORDINGS[0]


def recording(name: str) -> Recording:
    """Return the recording of that name."""
    return next(each for each in RECORDINGS if each.name == name)
