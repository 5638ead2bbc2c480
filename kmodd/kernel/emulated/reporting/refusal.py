# SPDX-License-Identifier: Apache-2.0
"""How a system call of the emulated kernel fails."""

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from kmodd.errors import KernelError, Reason

ERRNO_MAX = (1 << 31) - 1
"""The largest int: what code returns may be the smallest, whose opposite is none."""


@dataclass(slots=True, eq=False)
class Refusal(Exception):  # noqa: N818  # the kernel's word for it
    """Why a system call ends. ``detail`` is what the reason has to tell beside the message.

    ``leaks`` is what the module had taken and not given back when it was gone.
    """

    reason: Reason
    errno: int
    message: str
    symbol: str = ""
    detail: str = ""
    leaks: tuple[str, ...] = ()


def format_refusal(message: str) -> Refusal:
    """Return the refusal of a file that is no module for this kernel (ENOEXEC)."""
    return Refusal(Reason.INVALID_MODULE_FORMAT, errno.ENOEXEC, message)


def refusal_as_error(refusal: Refusal, module: str, log: Iterable[str]) -> KernelError:
    """Return the error that the caller of the system call gets."""
    return KernelError(
        refusal.reason,
        refusal.message,
        errno=min(refusal.errno, ERRNO_MAX),
        module=module,
        symbol=refusal.symbol,
        detail=refusal.detail,
        log=tuple(log),
        leaks=refusal.leaks,
    )
