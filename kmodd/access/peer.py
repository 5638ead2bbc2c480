# SPDX-License-Identifier: Apache-2.0
"""The process at the other end of a connection, as the kernel names it; no client has a say in it.

It is the one that called connect(2): a child that inherits the connection counts as the one who
made it.
"""

import re

from kmodd.records import record

COMMAND_MAX = 64
"""Characters of a command's name that are kept; the kernel keeps 15 bytes."""


@record(kw_only=True)
class Peer:
    """Who made a connection.

    ``uid`` and ``gids``, all of its groups, are the process's effective ones at that moment
    (SO_PEERCRED and SO_PEERGROUPS in socket(7)), as this machine numbers them. ``pid`` and
    ``started`` name the process for as long as this machine runs: its number, and the ticks from
    the boot to its start (proc_pid_stat(5), starttime). Both are 0, and the rest empty, where the
    process cannot be told: it has ended, or is outside of the daemon's own pid namespace.

    ``command`` is its name, which it may choose. ``unit`` is the systemd unit that it is in, or
    what else its control group is named for, and ``container`` the container, if that is one's.
    ``is_contained`` tells that it is in a container, or in a pid namespace of its own.
    """

    uid: int
    gids: frozenset[int]
    pid: int = 0
    started: int = 0
    command: str = ""
    unit: str = ""
    container: str = ""
    is_contained: bool = False

    def __str__(self) -> str:
        process = f", pid {self.pid} {self.command}" if self.pid else ""
        return f"uid {self.uid}{process}"


def owner_of(control_group: str) -> tuple[str, str]:
    """Return the unit and the container that a control group's path is named for, "" for none.

    It is the outermost group below the slices, as systemd makes it (systemd.unit(5), "Control
    Group" in its documentation): those within it may have been delegated, and then whoever is in
    there gives them what names he likes.
    """
    parts = [part for part in control_group.split("/") if part]
    place = next((at for at, part in enumerate(parts) if not part.endswith(".slice")), None)
    if place is None:
        return "", ""
    unit = parts[place]
    below = parts[place + 1] if place + 1 < len(parts) else ""
    if unit in _BARE_RUNTIMES:
        return f"{unit}/{below}" if below else unit, below
    for pattern in _CONTAINERS:
        if found := pattern.fullmatch(unit):
            return unit, _unescaped(found["name"])
    return unit, ""


_BARE_RUNTIMES = {"docker", "lxc", "libpod_parent", "kubepods"}
"""What container managers call the group of all their containers where systemd makes none."""

_CONTAINERS = tuple(
    map(
        re.compile,
        (
            r"(docker|libpod|crio|cri-containerd|nerdctl)-(?P<name>[0-9a-f]{12,64})\.scope",
            r"machine-(?P<name>.+)\.scope",
            r"systemd-nspawn@(?P<name>.+)\.service",
            r"lxc\.payload\.(?P<name>.+)",
        ),
    )
)
"""The units that container managers put a container in, each with the container's name."""


def _unescaped(name: str) -> str:
    r"""Return a part of a unit's name without systemd's escapes, such as \x2d (systemd-escape)."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), name)
