# SPDX-License-Identifier: Apache-2.0
"""What a kernel says of itself: its banner, and the version magic that its modules must have."""

import re

from kmodd.kernelimage.sections import KernelSections

# init/version.c, "%s" in its place in the copy that /proc/version is printed with.
_BANNER = re.compile(rb"Linux version ([!-~]{1,64}) \([^\0\n]{1,1024}")

PLACES = (".rodata",)
"""Sections that they are in."""


def read_banner(kernel: KernelSections) -> tuple[str, str]:
    """Return the release and the whole banner; raises KernelImageError where there is none."""
    for region in kernel.searched(*PLACES):
        if found := _BANNER.search(region.data):
            return found[1].decode("ascii"), found[0].decode("utf-8", "replace")
    raise kernel.error("no banner says which release it is")


def read_vermagic(kernel: KernelSections, release: str) -> str:
    """Return the version magic (include/linux/vermagic.h); "" where it is not found.

    It is the release and what the kernel is built for, a blank behind each, and words of the
    processor's.
    """
    magic = re.compile(
        rb"(?<![!-~])(%b (?:(?:SMP|preempt|preempt_rt|mod_unload|modversions) )+[ -~]{0,128})\0"
        % re.escape(release.encode())
    )
    for region in kernel.searched(*PLACES):
        if found := magic.search(region.data):
            return found[1].decode("ascii")
    return ""
