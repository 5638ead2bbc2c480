# SPDX-License-Identifier: Apache-2.0
"""What ``kmodctl fleet`` does, one file an action, each with

    run(options, fleet, output)     does it, by what ``fleet`` connects to; returns the exit status

where the words behind the action are ``options.words``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from kmodctl.fleet.etcd import Etcd
from kmodctl.fleet.model import Keys
from kmodctl.output import Output
from kmodctl.parser import CommandOptions


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet's etcd, where in there it is, and what the settings say of an agent."""

    etcd: Etcd
    keys: Keys
    agent: Mapping[str, Any] = field(default_factory=dict)


class FleetAction(Protocol):
    """What does one action."""

    async def run(self, options: CommandOptions, fleet: Fleet, output: Output) -> int:
        """Do it; returns the exit status. Raises KmodctlError."""


def action_named(name: str) -> FleetAction:
    """Return what does the action ``name``."""
    module: FleetAction = import_module(f"{__name__}.{name}")
    return module
