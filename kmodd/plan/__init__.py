# SPDX-License-Identifier: Apache-2.0
"""What modprobe would do: a request and the state of things become a list of steps.

Everything here is pure. A database, a configuration and a listing of loaded modules go in, values
come out; there is no I/O, no clock and no thread, so a plan can be shown as well as run.

    lookup    what a name stands for
    load      modprobe NAME
    unload    modprobe -r NAME
"""

from kmodd.plan.deny_list import DenyList
from kmodd.plan.load import plan_load
from kmodd.plan.lookup import Resolution, Stage, Target, find, resolve, resolve_module
from kmodd.plan.requests import LoadRequest, UnloadRequest
from kmodd.plan.steps import (
    BuiltinStep,
    Cause,
    CommandStep,
    InsertStep,
    Plan,
    RemoveStep,
    Step,
    module_of,
)
from kmodd.plan.unload import plan_unload

__all__ = [
    "BuiltinStep",
    "Cause",
    "CommandStep",
    "DenyList",
    "InsertStep",
    "LoadRequest",
    "Plan",
    "RemoveStep",
    "Resolution",
    "Stage",
    "Step",
    "Target",
    "UnloadRequest",
    "find",
    "module_of",
    "plan_load",
    "plan_unload",
    "resolve",
    "resolve_module",
]
