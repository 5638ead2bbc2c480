# SPDX-License-Identifier: Apache-2.0
"""A kernel of the daemon's own: genuine module files, the kernel's checks, no privileges.

Its rooms from top to bottom, each of which imports none that is above it:

process         the kernel in a process of its own: its boots, and how it is spoken to
system_calls    what is asked of the kernel: modules go in and out, parameters, devices, files
load            a load, step by step: headers, signature, checks, symbols
execution       who runs modules' code: nobody, or the processor, which gives it its place
functions       the kernel functions that modules call, a file for each family
machine         the kernel's part of a call: scheduler, heap, ledger, crashes
modules         a module's file and its ``struct module``; the table of modules
release         what a kernel is before it has loaded a module
abi             what modules are compiled against: prototypes, structures, printk formats
hardware        an x86-64 processor, its memory, what a device says it is
reporting       the log, the taints, what a system call is refused with
"""

from kmodd.kernel.emulated.process.isolated import IsolatedKernel
from kmodd.kernel.emulated.process.trial_kernel import TrialKernel
from kmodd.kernel.emulated.release.source import VmlinuxSource
from kmodd.kernel.emulated.release.vmlinux import (
    Builtins,
    CoreSymbol,
    MachineType,
    Sample,
    Vmlinux,
)
from kmodd.kernel.emulated.system_calls.kernel import EmulatedKernel

__all__ = [
    "Builtins",
    "CoreSymbol",
    "EmulatedKernel",
    "IsolatedKernel",
    "MachineType",
    "Sample",
    "TrialKernel",
    "Vmlinux",
    "VmlinuxSource",
]
