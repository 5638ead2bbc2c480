# SPDX-License-Identifier: Apache-2.0
"""The module namespace: plans run on a kernel, one flight per module."""

from kmodd.namespace.audit import Action, AuditTrail, Finished
from kmodd.namespace.carried_parameters import CarriedParameter
from kmodd.namespace.commands import Commands
from kmodd.namespace.context import RequestContext
from kmodd.namespace.devices import Devices
from kmodd.namespace.events import Change, ChangeKind, Event, ModuleListing, Watch
from kmodd.namespace.file_comparison import OutdatedModule, Staleness
from kmodd.namespace.holds import Hold
from kmodd.namespace.hotplug import HOTPLUG, Hotplug
from kmodd.namespace.load_origins import Origin
from kmodd.namespace.module_locks import Running
from kmodd.namespace.namespace import Activity, Namespace
from kmodd.namespace.operation import Operation
from kmodd.namespace.operations import END_CONNECTION
from kmodd.namespace.outcome import Outcome, StepOutcome
from kmodd.namespace.parameters import DescribedParameter
from kmodd.namespace.reload_report import Fate, ReloadedModule, ReloadReport, ReloadRequest

__all__ = [
    "END_CONNECTION",
    "HOTPLUG",
    "Action",
    "Activity",
    "AuditTrail",
    "CarriedParameter",
    "Change",
    "ChangeKind",
    "Commands",
    "DescribedParameter",
    "Devices",
    "Event",
    "Fate",
    "Finished",
    "Hold",
    "Hotplug",
    "ModuleListing",
    "Namespace",
    "Operation",
    "Origin",
    "Outcome",
    "OutdatedModule",
    "ReloadReport",
    "ReloadRequest",
    "ReloadedModule",
    "RequestContext",
    "Running",
    "Staleness",
    "StepOutcome",
    "Watch",
]
