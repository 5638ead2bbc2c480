# SPDX-License-Identifier: Apache-2.0
"""Virtual machines as the daemon has them, of Debian's kernels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kmodd.kernel.vm import Booter, BootOptions, VmKernel
from tests.realkernel.machine import QEMU_NEEDED, database_of
from tests.support.debian import DebianTree
from tests.support.require import require

EMULATED = ("--kernel", "vm", "--vm-accel", "tcg")
"""The options of a daemon whose guest runs the same on every machine."""

PATIENCE = 300.0
"""Seconds for a guest's boot on a busy machine."""


def booter(debian: DebianTree, states: Path | None, *, command_line: str = "") -> Booter:
    """Return what boots Debian's kernel; skips without QEMU. States are kept in ``states``."""
    require("qemu-system-x86_64", QEMU_NEEDED)
    return Booter(
        BootOptions(
            root=debian.root,
            release=debian.release,
            tree=database_of(debian),
            command_line=command_line,
            acceleration="tcg",
            states=states,
        )
    )


@contextmanager
def guest_kernel(
    debian: DebianTree, states: Path, *, call_seconds: float, command_line: str = ""
) -> Iterator[VmKernel]:
    """Run Debian's kernel in a guest whose calls may take so long."""
    one = booter(debian, states, command_line=command_line)
    kernel = VmKernel(debian.release, one.boot, call_seconds=call_seconds)
    try:
        yield kernel
    finally:
        kernel.close()
