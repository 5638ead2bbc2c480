# SPDX-License-Identifier: Apache-2.0
"""What the installed kmodd.service lets a daemon do with its sockets.

The unit and its drop-ins are read as systemd.unit(5) has it: of several files of one name the first
counts, drop-ins come in the order of their names, and an empty value takes back what a list had.
"""

import grp
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from kmodd.records import record

NAME = "kmodd.service"

PLACES = tuple(
    Path(place, "systemd/system")
    for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
"""Where the manager looks for units (systemd.unit(5)), the most important place first."""

_LISTS = ("SupplementaryGroups", "RuntimeDirectory", "ReadWritePaths", "CapabilityBoundingSet")


@record
class Unit:
    """The bounds of the service: ``groups`` by number, and ``writable`` directories.

    ``may_chown`` tells whether it may give files to anybody, ``writes_all`` whether it may write
    everywhere.
    """

    groups: frozenset[int]
    writable: tuple[Path, ...]
    may_chown: bool
    writes_all: bool


def installed_unit(places: Sequence[Path] = PLACES) -> Unit | None:
    """Return the unit that the manager has at ``places``, None where there is none."""
    unit = next((place / NAME for place in places if (place / NAME).is_file()), None)
    if unit is None:
        return None
    drop_ins: dict[str, Path] = {}
    for place in places:
        for path in (place / f"{NAME}.d").glob("*.conf"):
            drop_ins.setdefault(path.name, path)
    lists: dict[str, list[str]] = {name: [] for name in _LISTS}
    protected = ""
    for key, value in _assignments((unit, *(drop_ins[name] for name in sorted(drop_ins)))):
        if key == "ProtectSystem":
            protected = value
        elif key in lists:
            lists[key] = [*lists[key], *value.split()] if value else []
    capabilities = lists["CapabilityBoundingSet"]
    return Unit(
        frozenset(_numbers(lists["SupplementaryGroups"])),
        tuple(_directories(lists["RuntimeDirectory"], lists["ReadWritePaths"])),
        may_chown=not capabilities or "CAP_CHOWN" in capabilities,
        writes_all=protected != "strict",
    )


def _assignments(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield what the files assign in their sections Service, a continued line as one."""
    for file in files:
        section = ""
        text = ""
        with suppress(OSError):  # nobody's to read
            text = file.read_text(encoding="utf-8", errors="replace")
        for line in map(str.strip, text.replace("\\\n", " ").splitlines()):
            if line.startswith("["):
                section = line
            elif section == "[Service]" and "=" in line and line[0] not in "#;":
                key, _, value = line.partition("=")
                yield key.strip(), value.strip()


def _numbers(groups: Iterable[str]) -> Iterator[int]:
    """Yield the numbers of those groups that there are."""
    for group in groups:
        if group.isdecimal():
            yield int(group)
            continue
        with suppress(KeyError):
            yield grp.getgrnam(group).gr_gid


def _directories(runtime: Iterable[str], writable: Iterable[str]) -> Iterator[Path]:
    """Yield what the service may write below; RuntimeDirectory= may name a link behind a colon."""
    for name in runtime:
        yield Path("/run", name.partition(":")[0])
    for path in writable:
        yield Path(path.lstrip("-+"))
