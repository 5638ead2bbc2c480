# SPDX-License-Identifier: Apache-2.0
"""Where a fleet's etcd is, and how to be let in: fleet.toml, and options of the command line.

endpoints = ["https://etcd-1:2379", "https://etcd-2:2379", "https://etcd-3:2379"]
authority = "/etc/kmodd/fleet/authority.crt"
certificate = "/etc/kmodd/fleet/node.crt"
key = "/etc/kmodd/fleet/node.key"
prefix = "/kmodd"
"""

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kmodctl.environment import environment
from kmodctl.errors import KmodctlError
from kmodctl.fleet.links import Tls
from kmodctl.fleet.model import Keys

SYSTEM = "/etc/kmodd/fleet.toml"
"""The machine's settings, which agents have."""

OWN = "~/.config/kmodd/fleet.toml"
"""An operator's own, which come first."""

VARIABLE = "KMODD_FLEET"
"""The variable of the environment that names the file."""

MAX_FILE = 64 << 10
"""Bytes of the file."""

TLS = ("authority", "certificate", "key")


class SettingsError(KmodctlError):
    """The settings of the fleet are wrong; the message names the file."""

    reason = "WRONG_SETTINGS"


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """How a fleet is reached; ``agent`` is what an agent's table says, unchecked."""

    endpoints: tuple[str, ...]
    tls: Tls | None
    keys: Keys
    agent: Mapping[str, Any]


def read_settings(
    file: str | None, endpoints: Sequence[str] = (), prefix: str | None = None, **tls: str | None
) -> FleetSettings:
    """Return the settings of ``file``, or of the one that counts, and of the options in its place.

    ``tls`` has paths by the names of TLS. Raises SettingsError.
    """
    path = file or environment().get(VARIABLE) or _found()
    table = _table(path) if path else {}
    values: dict[str, Any] = {}
    for name, value in table.items():
        check = _CHECKS.get(name)
        if check is None:
            raise SettingsError(f"{path}: {name} is no setting of a fleet")
        try:
            values[name] = check(value)
        except ValueError as error:
            raise SettingsError(f"{path}: {name} {error}") from None
    values |= {name: value for name, value in tls.items() if value is not None}
    if not (endpoints or values.get("endpoints")):
        raise SettingsError(
            f"no endpoint of etcd is known: give --etcd URL, or endpoints in {SYSTEM} or {OWN}"
        )
    missing = [name for name in TLS if name not in values]
    if 0 < len(missing) < len(TLS):
        raise SettingsError(f"TLS needs all of {', '.join(TLS)}; there is no {missing[0]}")
    return FleetSettings(
        tuple(endpoints) or values["endpoints"],
        None if missing else Tls(*(os.path.expanduser(values[name]) for name in TLS)),
        Keys(_prefix(prefix) if prefix is not None else values.get("prefix", Keys().prefix)),
        values.get("agent", {}),
    )


def _found() -> str | None:
    """Return the file that there is, None without one."""
    return next(filter(os.path.exists, (os.path.expanduser(OWN), SYSTEM)), None)


def _table(path: str) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE + 1)
        if len(text) > MAX_FILE:
            raise ValueError(f"more than {MAX_FILE} bytes")
        return tomllib.loads(text.decode())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}") from None


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("is a list of texts")
    return tuple(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("is a text")
    return value


def _prefix(value: Any) -> str:
    prefix = _text(value)
    if prefix.endswith("/") or not prefix.isprintable():
        raise ValueError("is a text that ends with no slash")
    return prefix


def _agent(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("is a table")
    return value


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "endpoints": _texts,
    **dict.fromkeys(TLS, _text),
    "prefix": _prefix,
    "agent": _agent,
}
