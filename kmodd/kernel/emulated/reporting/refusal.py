# SPDX-License-Identifier: Apache-2.0
"""How a system call of the emulated kernel fails."""

import errno
from collections.abc import Iterable
from typing import Self

from kmodd.errors import KernelError, Reason

ERRNO_MAX = (1 << 31) - 1
"""The largest int: what code returns may be the smallest, whose opposite is none."""


class Refusal(KernelError):  # noqa: N818  # the kernel's word for it
    """Why a system call ends, from where that is found out to who made the call.

    ``detail`` is what the reason has to tell beside the message, ``leaks`` what the module had
    taken and not given back when it was gone.
    """

    def __init__(
        self,
        reason: Reason,
        errno: int,
        message: str,
        symbol: str = "",
        detail: str = "",
        leaks: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            reason,
            message,
            errno=min(errno, ERRNO_MAX),
            symbol=symbol,
            detail=detail,
            leaks=leaks,
        )
        self._is_told = False

    def about(self, module: str, log: Iterable[str]) -> Self:
        """Note once which module it is about, and what the log said meanwhile."""
        if not self._is_told:
            self.module, self.log, self._is_told = module, tuple(log), True
        return self


def format_refusal(message: str) -> Refusal:
    """Return the refusal of a file that is no module for this kernel (ENOEXEC)."""
    return Refusal(Reason.INVALID_MODULE_FORMAT, errno.ENOEXEC, message)
