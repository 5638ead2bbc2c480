# SPDX-License-Identifier: Apache-2.0
"""How far the emulated kernel and the recorded one agree, and what they disagree about."""

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kmodd.errors import Reason
from tests.conformance.realkernel.replay import Outcome
from tests.conformance.realkernel.table import Seen

RUN_TIME = "the module's own code takes references, and is not run"
ORDER = "the same holders in another order"
HOLDERS = "other holders"
REFERENCES = "fewer references on the real kernel"
MISSING = "not loaded here"
SURPLUS = "loaded here alone"
REFUSED = "refused here"
SIZE = "another size"
INIT_REFUSED = "its init, or that of what it needs, fails here"
CRASHED = "its code, or that of what it needs, crashes here"
NOT_RUN = "its init is not run"
LOADED = "loaded here"
ANOTHER_ERRNO = "refused with another errno"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One comparison that failed: in which row, about which module, and how."""

    cause: str
    row: str
    module: str
    detail: str


@dataclass(slots=True)
class Column:
    """One thing that is compared: how often it was, and what disagreed."""

    name: str
    compared: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)

    @property
    def agreed(self) -> int:
        """How many comparisons agreed."""
        return self.compared - len(self.disagreements)

    @property
    def percent(self) -> float:
        """The share that agreed; 100 where nothing was compared."""
        return 100 * self.agreed / self.compared if self.compared else 100.0

    def line(self) -> str:
        """The line that a report has of this column; never rounded up to a full hundred."""
        percent = int(self.percent * 100) / 100
        return f"{self.name} {percent:.2f}% ({self.agreed}/{self.compared})"

    def add(self, found: Disagreement | None) -> None:
        """Count one comparison and what came of it."""
        self.compared += 1
        if found is not None:
            self.disagreements.append(found)


def compare(outcomes: Iterable[Outcome]) -> tuple[Column, ...]:
    """Compare every row.

    Of what the real kernel loaded, ``loads`` counts what is loaded here with its init really run;
    of what it refused, ``refuses`` what is refused here with the same errno. The other columns are
    of loads alone, and not of those that the modules' own code ends here:
    ``came-with`` counts rows: the same modules came in. ``counts`` and ``size`` count modules, each
    in each row that lists it: the same references and holders, the same bytes. A row that is not
    clean counts for the size of its own module alone.
    """
    came_with, counts, size = Column("came-with"), Column("counts"), Column("size")
    loads, refuses = Column("loads"), Column("refuses")
    for outcome in outcomes:
        row = outcome.row
        if not row.loaded:
            refuses.add(_about_refusal(outcome))
            continue
        loads.add(_about_load(outcome))
        if outcome.refused_by_code:
            continue
        if not row.clean:
            if row.size is not None:
                size.add(_about_size(outcome, row.module, row.size))
            continue
        came_with.add(_about_family(outcome))
        for name, seen in row.family.items():
            counts.add(_about_counts(outcome, name, seen))
            size.add(_about_size(outcome, name, seen.size))
    return came_with, counts, size, loads, refuses


def report(columns: Iterable[Column]) -> Iterator[str]:
    """Yield the lines of a report: one for each column, then the disagreements by cause."""
    columns = tuple(columns)
    for column in columns:
        yield column.line()
    for column in columns:
        by_cause: dict[str, list[Disagreement]] = {}
        for each in column.disagreements:
            by_cause.setdefault(each.cause, []).append(each)
        for cause, found in sorted(by_cause.items()):
            yield ""
            yield f"{column.name}: {cause} ({len(found)})"
            for each in found:
                where = "" if each.row == each.module else f" with {each.row}"
                yield f"    {each.module}{where}: {each.detail}"


def _about_load(outcome: Outcome) -> Disagreement | None:
    name, error = outcome.row.module, outcome.error
    if error is None and outcome.ran:
        return None
    if error is None:
        return Disagreement(NOT_RUN, name, name, "loaded")
    crashed = error.reason is Reason.MODULE_CRASHED
    cause = CRASHED if crashed else INIT_REFUSED if outcome.refused_by_code else REFUSED
    return Disagreement(cause, name, name, _refusal(outcome))


def _about_refusal(outcome: Outcome) -> Disagreement | None:
    name, error = outcome.row.module, outcome.error
    if error is None:
        return Disagreement(LOADED, name, name, f"really {outcome.row.result}")
    here = errno.errorcode.get(error.errno, str(error.errno))
    if here == outcome.row.result:
        return None
    detail = f"{here}, really {outcome.row.result}: {error.message}"
    return Disagreement(ANOTHER_ERRNO, name, name, detail)


def _about_family(outcome: Outcome) -> Disagreement | None:
    row = outcome.row
    missing, surplus = set(row.family) - set(outcome.came), set(outcome.came) - set(row.family)
    if outcome.error is not None:
        return Disagreement(REFUSED, row.module, row.module, _refusal(outcome))
    if missing:
        return Disagreement(MISSING, row.module, row.module, ", ".join(sorted(missing)))
    if surplus:
        return Disagreement(SURPLUS, row.module, row.module, ", ".join(sorted(surplus)))
    return None


def _about_counts(outcome: Outcome, name: str, real: Seen) -> Disagreement | None:
    here = outcome.came.get(name)
    if here is None:
        return Disagreement(MISSING, outcome.row.module, name, _refusal(outcome))
    if (here.refcount, here.holders) == (real.refcount, real.holders):
        return None
    if sorted(here.holders) != sorted(real.holders):
        cause = HOLDERS
    elif here.refcount < real.refcount:
        cause = RUN_TIME
    else:
        cause = REFERENCES if here.refcount > real.refcount else ORDER
    return Disagreement(cause, outcome.row.module, name, f"{_shown(here)}, really {_shown(real)}")


def _about_size(outcome: Outcome, name: str, real: int) -> Disagreement | None:
    here = outcome.came.get(name)
    if here is None:
        return Disagreement(MISSING, outcome.row.module, name, _refusal(outcome))
    if here.size == real:
        return None
    return Disagreement(SIZE, outcome.row.module, name, f"{here.size}, really {real}")


def _refusal(outcome: Outcome) -> str:
    return outcome.error.message if outcome.error else "nothing was said"


def _shown(seen: Seen) -> str:
    return f"{seen.refcount} {','.join(seen.holders) or '-'}"
