# SPDX-License-Identifier: Apache-2.0
"""The lines of the table of modules: what each tells, which are wanted, and in what order."""

from collections.abc import Iterable
from dataclasses import dataclass

from kmodctl.output import shown_caller, shown_name
from kmodd.messages.module_service import MODULE_STATE, MODULE_STATE_LIVE, ORIGIN, Hold, Module

ORDERS = ("newest", "name", "size", "uses")
"""By what lines are sorted; the first is lsmod's order."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is told of a loaded module, not escaped yet.

    ``size`` is in bytes; ``held`` is who holds it where one may know, else how many holds it has.
    """

    name: str
    size: int
    uses: int
    origin: str
    holders: str
    held: str
    state: str


def rows_of(modules: Iterable[Module], holds: Iterable[Hold]) -> list[Row]:
    """Return a row for each module, in their order."""
    by: dict[str, list[str]] = {}
    for hold in holds:
        for name in hold.modules:
            by.setdefault(name, []).append(shown_holder(hold))
    return [
        Row(
            name=module.name,
            size=module.size_bytes,
            uses=module.reference_count,
            origin=shown_name(ORIGIN, module.origin),
            holders=" ".join(module.holders),
            held=", ".join(by.get(module.name, ())) or _count(module.hold_count),
            state=(
                "" if module.state == MODULE_STATE_LIVE else shown_name(MODULE_STATE, module.state)
            ),
        )
        for module in modules
    ]


def shown_holder(hold: Hold) -> str:
    """Return who holds, and what for."""
    who = shown_caller(hold.caller) if hold.caller is not None else hold.role
    return f"{who}: {hold.note}" if hold.note else who


def _count(holds: int) -> str:
    return f"{holds} hold{'s' * (holds > 1)}" if holds else ""


def chosen(rows: Iterable[Row], wanted: str, order: str) -> list[Row]:
    """Return the rows whose names have each word of ``wanted``, in the order of that name.

    Capitals do not matter, and dashes are underscores.
    """
    words = wanted.lower().replace("-", "_").split()
    found = [
        row for row in rows if all(word in row.name.lower().replace("-", "_") for word in words)
    ]
    if order == "name":
        found.sort(key=lambda row: row.name)
    elif order == "size":
        found.sort(key=lambda row: -row.size)
    elif order == "uses":
        found.sort(key=lambda row: -row.uses)
    return found
