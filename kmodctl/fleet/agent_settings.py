# SPDX-License-Identifier: Apache-2.0
"""What an agent is told beside where etcd is: the table [agent] of fleet.toml, and options.

[agent]
node = "web-1"                      # default: the host's name
socket = "/run/kmodd/kmodd.sock"    # default: the daemon's that kmodctl would ask
directory = "/var/lib/kmodd-fleet"  # default: systemd's, or in the user's own
lease = 240                         # seconds after which a node that is silent is gone
place_lease = 3600                  # the same for its place in a rollout
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmodctl.fleet.model import NODE
from kmodctl.fleet.pausing import AgentTiming
from kmodctl.fleet.settings import SettingsError

SHORTEST, LONGEST = 5, 86_400
"""Seconds of a lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """The node's name, the daemon's socket (None for kmodctl's), where to keep what is known."""

    node: str
    socket: str | None
    directory: Path
    timing: AgentTiming


def agent_settings(table: Mapping[str, Any], **options: str | None) -> AgentSettings:
    """Return what a table says, and ``options`` of the same names that are not None in its place.

    Raises SettingsError, which names what is wrong.
    """
    values: dict[str, Any] = {}
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in {**table, **given}.items():
        check = _CHECKS.get(name)
        try:
            if check is None:
                raise ValueError("is no setting of an agent")
            values[name] = check(value)
        except ValueError as error:
            raise SettingsError(f"agent: {name} {error}") from None
    node = values.get("node") or _node(os.uname().nodename)
    leases = {name: values[name] for name in ("lease", "place_lease") if name in values}
    return AgentSettings(
        node=node,
        socket=values.get("socket"),
        directory=Path(values.get("directory") or _directory()) / node,
        timing=AgentTiming(**leases),
    )


def _directory() -> str:
    """Return where an agent keeps what it knows: systemd's StateDirectory=, or the user's own."""
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return given
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "kmodd-fleet")


def _node(value: Any) -> str:
    if not isinstance(value, str) or not NODE.fullmatch(value):
        raise ValueError("is at most 128 letters, digits, dots, dashes and underscores")
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError(f"is an absolute path, not {value!r}")
    return value


def _lease(value: Any) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or not SHORTEST <= value <= LONGEST:
        raise ValueError(f"is a number of seconds from {SHORTEST} to {LONGEST}")
    return int(value)


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "node": _node,
    "socket": _path,
    "directory": _path,
    "lease": _lease,
    "place_lease": _lease,
}
