# SPDX-License-Identifier: Apache-2.0
"""The kernel that this machine runs, behind the Kernel protocol.

``system`` is what it is asked by, and ``this_machine`` the one that kmodd runs on, whose calls on
modules are in ``syscalls``. ``parameters`` and ``sections`` read /sys/module, ``decoders`` tell
what the kernel undoes, ``kmsg`` reads the log, ``uevents`` and ``devices`` tell of what comes and
goes, ``verdicts`` turns an errno and log lines into the failure that a client is told.
(/proc/modules is read by kernel/proc_modules.)
"""

from kmodd.kernel.linux.kernel import LinuxKernel, read_command_line

__all__ = ["LinuxKernel", "read_command_line"]
