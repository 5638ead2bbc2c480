# SPDX-License-Identifier: Apache-2.0
"""All subsystems: importing this declares every function that is modelled."""

from kmodd.kernel.emulated.api import (  # noqa: F401
    bus,
    crypto,
    devices,
    disks,
    files,
    hotplug,
    lists,
    locks,
    memory,
    modules,
    network,
    parameters,
    printing,
    registries,
    strings,
    sync,
    timing,
    x86,
)
