# SPDX-License-Identifier: Apache-2.0
"""The module namespace: plans run on a kernel, one flight per module."""

from kmodd.namespace.audit import AuditTrail, Finished
from kmodd.namespace.commands import Commands
from kmodd.namespace.devices import Devices
from kmodd.namespace.events import Change, ChangeKind, Event, Listing, Watch
from kmodd.namespace.flights import Running
from kmodd.namespace.holds import Hold
from kmodd.namespace.load_origins import Origin
from kmodd.namespace.model import Activity, Basis, Call, Outcome
from kmodd.namespace.namespace import Namespace
from kmodd.namespace.parameters import DescribedParameter
from kmodd.namespace.runner import StepOutcome

__all__ = [
    "Activity",
    "AuditTrail",
    "Basis",
    "Call",
    "Change",
    "ChangeKind",
    "Commands",
    "DescribedParameter",
    "Devices",
    "Event",
    "Finished",
    "Hold",
    "Listing",
    "Namespace",
    "Origin",
    "Outcome",
    "Running",
    "StepOutcome",
    "Watch",
]
