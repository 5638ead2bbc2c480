# SPDX-License-Identifier: Apache-2.0
"""A table of the loads that a real kernel was seen to do; README.md describes its columns."""

import lzma
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("module", "result", "line", "came_with", "clean")

PERMANENT = "[permanent]"
"""What /proc/modules lists behind the holders of a module that cannot be unloaded."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One loaded module: bytes of memory, references to it, and its holders, the newest first.

    A module that cannot be unloaded has ``PERMANENT`` as its last holder.
    """

    size: int
    refcount: int
    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One ``modprobe NAME`` and what came of it.

    ``result`` is OK or the name of an errno. ``size`` is that of the module itself, None where it
    was not loaded. ``family`` is the module with all that came with it. Where the row is not
    ``clean``, other modules held some of the family, so that only ``result`` and ``size`` mean
    something.
    """

    module: str
    result: str
    size: int | None
    family: Mapping[str, Seen]
    clean: bool

    @property
    def loaded(self) -> bool:
        """Whether the module was loaded."""
        return self.result == "OK"


def read_table(path: Path) -> list[Row]:
    """Return the rows of the table at ``path``, which may be compressed with xz.

    Raises ValueError, with the line's number, where a line is not of the form.
    """
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return parse_table(file)


def parse_table(lines: Iterable[str]) -> list[Row]:
    """Return the rows of a table; its first line names the columns, more than needed may be there.

    Raises ValueError, with the line's number, where a line is not of the form.
    """
    rows: list[Row] = []
    columns: list[str] = []
    for number, line in enumerate(lines, 1):
        fields = line.rstrip("\n").split("\t")
        if not columns:
            columns = fields
            missing = [name for name in NEEDED if name not in columns]
            if missing:
                raise ValueError(f"line 1: no column {', '.join(missing)}")
        elif line.strip():
            try:
                rows.append(_row(dict(zip(columns, fields, strict=False))))
            except (KeyError, ValueError) as error:
                raise ValueError(f"line {number}: not a row of the table ({error!r})") from error
    return rows


def _row(fields: Mapping[str, str]) -> Row:
    line = fields["line"].split()
    return Row(
        module=fields["module"],
        result=fields["result"],
        size=int(line[1]) if line else None,
        family=dict(_seen(each) for each in _listed(fields["came_with"], ";")),
        clean=fields["clean"] != "no",
    )


def _seen(text: str) -> tuple[str, Seen]:
    name, size, refcount, holders = text.split(":")
    return name, Seen(int(size), int(refcount), tuple(_listed(holders, ",")))


def _listed(text: str, separator: str) -> list[str]:
    return [] if text in ("", "-") else [each for each in text.split(separator) if each]
