# SPDX-License-Identifier: Apache-2.0
"""What the emulated machine asks of the kernel around it."""

from collections.abc import Callable

from kmodd.kernel.base import Requested
from kmodd.kernel.emulated.machine.trial import Trial
from kmodd.kernel.emulated.reporting.log import Level
from kmodd.records import record


@record
class Services:
    """The functions that it calls.

    ``request`` gets the name of a module, and whether the code that asks for it waits. ``trial``
    is what is tried with a module, None where modules are only run.
    """

    printk: Callable[[Level, str], None]
    taint: Callable[[str], None]
    taints: Callable[[], str]
    hold: Callable[[str], bool]
    release: Callable[[str], None]
    modules: Callable[[], str]
    kernel_release: str
    request: Callable[[str, bool], Requested]
    trial: Trial | None = None
