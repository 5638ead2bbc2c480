# SPDX-License-Identifier: Apache-2.0
"""The real kernel of a module tree, booted in QEMU: a guest without disk and network.

``boot`` makes a guest of what ``images``, ``machines``, ``initramfs`` and ``acceleration`` find, by
``qemu`` (``processes``, ``qmp``) and ``saved_state``; ``agent`` has what runs in it, ``wire`` is
what it is spoken to by, and ``guest_system`` what LinuxKernel asks, which ``kernel`` is.
"""

from kmodd.kernel.vm.boot import Booter, BootOptions
from kmodd.kernel.vm.kernel import VmKernel

__all__ = ["BootOptions", "Booter", "VmKernel"]
