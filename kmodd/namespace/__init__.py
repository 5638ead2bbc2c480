# SPDX-License-Identifier: Apache-2.0
"""The module namespace: plans run on a kernel, one flight per module."""

from kmodd.namespace.commands import Commands
from kmodd.namespace.namespace import Call, Listing, Namespace, Outcome
from kmodd.namespace.parameters import DescribedParameter
from kmodd.namespace.runner import StepOutcome

__all__ = [
    "Call",
    "Commands",
    "DescribedParameter",
    "Listing",
    "Namespace",
    "Outcome",
    "StepOutcome",
]
