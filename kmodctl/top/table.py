# SPDX-License-Identifier: Apache-2.0
"""The table of the loaded modules."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual import events
from textual.widgets import DataTable

from kmodctl.top.rows import Row
from kmodctl.top.telling import shown

NUMBERS = (8, 4, 10)
"""Cells of the columns for the bytes, the uses and the origin."""

LEAST = 12
"""Cells that the name, the users and the holders have at least."""


class LoadedTable(DataTable[Text]):
    """A line for each module; the cursor stays on its module whatever comes and goes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cursor_type="row", show_row_labels=False, **options)
        self._rows: Sequence[Row] = ()

    @property
    def row(self) -> Row | None:
        """The line that the cursor is on."""
        at = self.cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def show(self, rows: Sequence[Row]) -> None:
        """Show these lines in this order."""
        if rows != self._rows:
            self._draw(rows)

    def on_resize(self, _event: events.Resize) -> None:
        """Give the columns the room that there is."""
        self._draw(self._rows)

    def _draw(self, rows: Sequence[Row]) -> None:
        there = self.row
        at, offset = self.cursor_row, self.scroll_offset.y
        self._rows = rows
        self.clear(columns=True)
        titles = ("Module", "Size", "Uses", "Origin", "Used by", "Held by")
        for title, width in zip(titles, self._widths(), strict=True):
            label = Text(title, justify="right" if title in ("Size", "Uses") else "left")
            self.add_column(label, key=title, width=width)
        for row in rows:
            self.add_row(*_cells(row))
        if there is not None:
            same = (place for place, row in enumerate(rows) if row.name == there.name)
            at = next(same, min(at, len(rows) - 1))
        self.move_cursor(row=max(at, 0), scroll=False)
        self.scroll_to(y=offset, animate=False, force=True)

    def _widths(self) -> tuple[int, ...]:
        """Return the columns' widths without their padding of a cell on each side."""
        bar = self.styles.scrollbar_size_vertical  # whether there is one or not
        rest = self.outer_size.width - sum(NUMBERS) - 12 - bar
        third = max(LEAST, rest // 3)
        name = min(max(third, LEAST + 6), 40)
        users = max(LEAST, (rest - name) // 2)
        return (name, *NUMBERS, users, max(LEAST, rest - name - users))


def _cells(row: Row) -> tuple[Text, ...]:
    name = shown(row.name)
    if row.state:
        name.append(f" ({row.state})", "yellow")
    numbers = (Text(str(number), justify="right") for number in (row.size, row.uses))
    return (name, *numbers, shown(row.origin), shown(row.holders), shown(row.held, "yellow"))
