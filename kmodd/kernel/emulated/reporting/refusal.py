# SPDX-License-Identifier: Apache-2.0
"""How a system call of the emulated kernel fails."""

import errno
from collections.abc import Iterable, Sequence
from typing import Self

from kmodd.errors import KernelError, Reason

ERRNO_MAX = 4095
"""The largest errno (include/linux/err.h, MAX_ERRNO): what is beyond is no error for who makes the
call, and is told as EINVAL."""

NAMED = 5
"""Functions that are named where a failure may be kmodd's."""


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
            errno=errno_of(errno),
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


def errno_of(code: int) -> int:
    """Return the errno that what code has returned stands for: ``code`` is its opposite."""
    return code if code <= ERRNO_MAX else errno.EINVAL


def ours(stubbed: Sequence[str]) -> str:
    """Return the end of a sentence about code that failed after it has called such functions.

    What they gave it is not what the kernel gives, and may be why it failed. Empty without any.
    """
    if not stubbed:
        return ""
    more = len(stubbed) - NAMED
    names = ", ".join(stubbed[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"; that may be kmodd's fault, which does not model {names}"


def missing_file(path: str) -> Refusal:
    """Return the refusal of a path that leads nowhere."""
    why = f"{path[:128]}: the emulated kernel has no such file or directory"
    return Refusal(Reason.FILE_NOT_FOUND, errno.ENOENT, why, detail=path[:512])


def format_refusal(message: str) -> Refusal:
    """Return the refusal of a file that is no module for this kernel (ENOEXEC)."""
    return Refusal(Reason.INVALID_MODULE_FORMAT, errno.ENOEXEC, message)
