# SPDX-License-Identifier: Apache-2.0
"""A kernel of the daemon's own: genuine module files, the kernel's checks, no privileges."""

from kmodd.kernel.emulated.kernel import EmulatedKernel
from kmodd.kernel.emulated.vmlinux import CoreSymbol, Machine, Vmlinux, VmlinuxSource

__all__ = ["CoreSymbol", "EmulatedKernel", "Machine", "Vmlinux", "VmlinuxSource"]
