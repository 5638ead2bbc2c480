# SPDX-License-Identifier: Apache-2.0
"""The module namespace: plans run on a kernel, one flight per module."""

from kmodd.namespace.namespace import Listing, Namespace, Outcome
from kmodd.namespace.runner import StepOutcome

__all__ = ["Listing", "Namespace", "Outcome", "StepOutcome"]
