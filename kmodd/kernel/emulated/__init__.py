# SPDX-License-Identifier: Apache-2.0
"""A kernel of the daemon's own: genuine module files, the kernel's checks, no privileges.

process, life               the kernel in a process of its own, and its reboots
child, wire, messages       that process, and how it is spoken to
kernel                      the system calls
loader                      a load, step by step: headers, signing with certificates, checks,
                            layout, symbols, params with param_table and symbol_table, sysfs
module_table, mod      the modules, their states, references, holders and addresses
vmlinux, build_options,     what a kernel is before it has loaded a module
command_line
cpu                         an emulated processor, and the modules in its memory
api                         the kernel functions that modules call there, with their prototypes
ledger, tree                what modules have taken, and the names that they have made
log, taints, refusal        what the others need
"""

from kmodd.kernel.emulated.process.isolated import IsolatedKernel
from kmodd.kernel.emulated.release.vmlinux import (
    Builtins,
    CoreSymbol,
    MachineType,
    Sample,
    Vmlinux,
    VmlinuxSource,
)
from kmodd.kernel.emulated.system_calls.kernel import EmulatedKernel

__all__ = [
    "Builtins",
    "CoreSymbol",
    "EmulatedKernel",
    "IsolatedKernel",
    "MachineType",
    "Sample",
    "Vmlinux",
    "VmlinuxSource",
]
