# SPDX-License-Identifier: Apache-2.0
"""Tries a module with each call that can fail failing once, and judges what comes of it.

``runs`` says which runs there are, ``judging`` what each of them shows, ``rules`` why that is
wrong; ``check`` goes from one to the next. The runs themselves are a kernel's (kernel/trials.py).
"""

from kmodd.checking.check import Progress, check
from kmodd.checking.flaws import FailedCall, Flaw, Report
from kmodd.checking.runs import RUNS_MAX

__all__ = ["RUNS_MAX", "FailedCall", "Flaw", "Progress", "Report", "check"]
