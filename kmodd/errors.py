# SPDX-License-Identifier: Apache-2.0
"""Every way in which a request can fail, and the one table that gives each its errno and status.

    KmoddError                    a reason, an errno, and the thing that failed
    ├── ModuleFileError           a file that is not a kernel module, or that lies about itself
    ├── KernelImageError          a file that is no kernel's image, or that lies about itself
    ├── TreeError                 a module tree that is not there, or cannot be read or written
    │   └── CycleError            modules of a tree that need each other in a cycle
    ├── NotFoundError             a name or alias that nothing in the tree answers to
    ├── RequestError              a request that cannot be right whatever the state
    ├── StateError                a request that the present state forbids (in use, builtin, ...)
    ├── KernelError               what the kernel refused, with its log lines
    ├── AccessError               what the socket that a request came in by does not allow
    └── LimitError                a bound of the daemon's own that was reached

Nothing here knows gRPC: a status is named by its code's name, and ``kmodd.service.failures``
turns it into one. The enum's members are those of ``kmodd.v1.ErrorReason``; a test compares them.
"""

from __future__ import annotations

import errno as errno_module
import os

from kmodd.enums import Enum
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Reason(Enum):
    """Why a request failed; stable, and the same names as ``kmodd.v1.ErrorReason``."""

    MODULE_NOT_FOUND = 1
    MODULE_NOT_LOADED = 2
    MODULE_ALREADY_LOADED = 3
    MODULE_IN_USE = 4
    MODULE_BUSY = 5
    MODULE_BUILTIN = 6
    MODULE_CHANGED = 7
    INVALID_MODULE_FILE = 8
    INVALID_MODULE_FORMAT = 9
    UNKNOWN_SYMBOL = 10
    SYMBOL_VERSION_MISMATCH = 11
    INVALID_PARAMETER = 12
    INVALID_NAME = 13
    INVALID_REQUEST = 14
    KERNEL_REFUSED = 15
    TREE_NOT_FOUND = 16
    TREE_UNREADABLE = 17
    TREE_NOT_WRITABLE = 18
    DEPENDENCY_CYCLE = 19
    IMAGE_TOO_LARGE = 20
    UPLOAD_STALLED = 21
    LIMIT_REACHED = 22
    SHUTTING_DOWN = 23
    INTERNAL = 24
    COMMAND_REFUSED = 25
    MODULE_DENIED = 26
    COMMAND_FAILED = 27
    COMMAND_TIMED_OUT = 28
    COMMAND_LOOP = 29
    OPERATION_ENDED = 30
    ACCESS_DENIED = 31
    KERNEL_PANIC = 32
    PARAMETER_NOT_FOUND = 33
    MODULE_HELD = 34
    HOLD_NOT_FOUND = 35
    HOLD_ENDED = 36
    EVENTS_GONE = 37
    READER_TOO_SLOW = 38
    MODULE_CRASHED = 39
    DEVICE_NOT_FOUND = 40
    FILE_NOT_FOUND = 41
    CALLER_GONE = 42
    MODULES_DISABLED = 43


@record
class Verdict:
    """What a reason comes to outside: an errno, and the name of a gRPC status code."""

    errno: int
    status: str


VERDICTS: dict[Reason, Verdict] = {
    Reason.MODULE_NOT_FOUND: Verdict(errno_module.ENOENT, "NOT_FOUND"),
    Reason.MODULE_NOT_LOADED: Verdict(errno_module.ENOENT, "NOT_FOUND"),
    Reason.MODULE_ALREADY_LOADED: Verdict(errno_module.EEXIST, "ALREADY_EXISTS"),
    Reason.MODULE_IN_USE: Verdict(errno_module.EAGAIN, "FAILED_PRECONDITION"),
    Reason.MODULE_BUSY: Verdict(errno_module.EBUSY, "FAILED_PRECONDITION"),
    Reason.MODULE_BUILTIN: Verdict(errno_module.ENOENT, "FAILED_PRECONDITION"),
    Reason.MODULE_CHANGED: Verdict(errno_module.ESTALE, "ABORTED"),
    Reason.INVALID_MODULE_FILE: Verdict(errno_module.ENOEXEC, "INVALID_ARGUMENT"),
    Reason.INVALID_MODULE_FORMAT: Verdict(errno_module.ENOEXEC, "FAILED_PRECONDITION"),
    Reason.UNKNOWN_SYMBOL: Verdict(errno_module.ENOENT, "FAILED_PRECONDITION"),
    Reason.SYMBOL_VERSION_MISMATCH: Verdict(errno_module.EINVAL, "FAILED_PRECONDITION"),
    Reason.INVALID_PARAMETER: Verdict(errno_module.EINVAL, "INVALID_ARGUMENT"),
    Reason.INVALID_NAME: Verdict(errno_module.EINVAL, "INVALID_ARGUMENT"),
    Reason.INVALID_REQUEST: Verdict(errno_module.EINVAL, "INVALID_ARGUMENT"),
    Reason.KERNEL_REFUSED: Verdict(errno_module.EINVAL, "FAILED_PRECONDITION"),
    Reason.TREE_NOT_FOUND: Verdict(errno_module.ENOENT, "NOT_FOUND"),
    Reason.TREE_UNREADABLE: Verdict(errno_module.EIO, "FAILED_PRECONDITION"),
    Reason.TREE_NOT_WRITABLE: Verdict(errno_module.EROFS, "FAILED_PRECONDITION"),
    Reason.DEPENDENCY_CYCLE: Verdict(errno_module.ELOOP, "FAILED_PRECONDITION"),
    Reason.IMAGE_TOO_LARGE: Verdict(errno_module.EFBIG, "RESOURCE_EXHAUSTED"),
    Reason.UPLOAD_STALLED: Verdict(errno_module.ETIMEDOUT, "ABORTED"),
    Reason.LIMIT_REACHED: Verdict(errno_module.EUSERS, "RESOURCE_EXHAUSTED"),
    Reason.SHUTTING_DOWN: Verdict(errno_module.ESHUTDOWN, "UNAVAILABLE"),
    Reason.INTERNAL: Verdict(errno_module.EIO, "INTERNAL"),
    Reason.COMMAND_REFUSED: Verdict(errno_module.EPERM, "FAILED_PRECONDITION"),
    Reason.MODULE_DENIED: Verdict(errno_module.EPERM, "PERMISSION_DENIED"),
    Reason.COMMAND_FAILED: Verdict(errno_module.EINVAL, "FAILED_PRECONDITION"),
    Reason.COMMAND_TIMED_OUT: Verdict(errno_module.ETIMEDOUT, "ABORTED"),
    Reason.COMMAND_LOOP: Verdict(errno_module.ELOOP, "FAILED_PRECONDITION"),
    Reason.OPERATION_ENDED: Verdict(errno_module.ESTALE, "FAILED_PRECONDITION"),
    Reason.ACCESS_DENIED: Verdict(errno_module.EACCES, "PERMISSION_DENIED"),
    Reason.KERNEL_PANIC: Verdict(errno_module.EIO, "ABORTED"),
    Reason.PARAMETER_NOT_FOUND: Verdict(errno_module.ENOENT, "NOT_FOUND"),
    Reason.MODULE_HELD: Verdict(errno_module.EBUSY, "FAILED_PRECONDITION"),
    Reason.HOLD_NOT_FOUND: Verdict(errno_module.ENOENT, "NOT_FOUND"),
    Reason.HOLD_ENDED: Verdict(errno_module.ECANCELED, "ABORTED"),
    Reason.EVENTS_GONE: Verdict(errno_module.ESTALE, "OUT_OF_RANGE"),
    Reason.READER_TOO_SLOW: Verdict(errno_module.EOVERFLOW, "RESOURCE_EXHAUSTED"),
    Reason.MODULE_CRASHED: Verdict(errno_module.EFAULT, "FAILED_PRECONDITION"),
    Reason.DEVICE_NOT_FOUND: Verdict(errno_module.ENODEV, "NOT_FOUND"),
    Reason.FILE_NOT_FOUND: Verdict(errno_module.ENOENT, "NOT_FOUND"),
    Reason.CALLER_GONE: Verdict(errno_module.ECANCELED, "CANCELLED"),
    Reason.MODULES_DISABLED: Verdict(errno_module.EPERM, "FAILED_PRECONDITION"),
}


class KmoddError(Exception):
    """A request that failed: why, and the thing it failed on.

    ``errno`` is the kernel's own (positive) where the kernel gave one, else the reason's.
    ``log`` holds the kernel log lines that belong to the failure, oldest first.
    ``detail`` is the fact that the client's words need beside the reason: the holders of a
    module in use, separated by spaces, or the directory that was searched. ``leaks`` is what the
    module's code had taken and not given back when it was gone.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        errno: int = 0,
        module: str = "",
        symbol: str = "",
        detail: str = "",
        log: tuple[str, ...] = (),
        leaks: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.errno = errno or VERDICTS[reason].errno
        self.module = module
        self.symbol = symbol
        self.detail = detail
        self.log = log
        self.leaks = leaks

    def copy(self) -> KmoddError:
        """The same failure for another thread to raise, without this one's traceback."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        return twin

    @property
    def status(self) -> str:
        """The name of the gRPC status code that a client sees."""
        return VERDICTS[self.reason].status

    @property
    def strerror(self) -> str:
        """The C library's text for ``errno``."""
        return os.strerror(self.errno)


class ModuleFileError(KmoddError):
    """A file that is not a kernel module, or whose tables lie, overlap or end past the file."""

    def __init__(
        self,
        path: str,
        why: str,
        *,
        reason: Reason = Reason.INVALID_MODULE_FILE,
        errno: int = 0,
    ) -> None:
        super().__init__(reason, f"{path}: {why}" if path else why, detail=path, errno=errno)
        self.path = path
        self.why = why


class KernelImageError(KmoddError):
    """A file that is no kernel's image, or whose headers, stream or tables lie about themselves."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(Reason.TREE_UNREADABLE, f"{path}: {why}", detail=path)
        self.path = path
        self.why = why


class TreeError(KmoddError):
    """A module tree that is not there, cannot be read or written, or whose modules form a cycle."""


class CycleError(TreeError):
    """Modules that need each other in a cycle; ``log`` are depmod's lines about it.

    ``left_out`` are those that cannot be loaded for it, each with the reason in words.
    """

    def __init__(
        self, message: str, *, module: str, log: tuple[str, ...], left_out: Mapping[str, str]
    ) -> None:
        super().__init__(Reason.DEPENDENCY_CYCLE, message, module=module, log=log)
        self.left_out = left_out


class NotFoundError(KmoddError):
    """A module name, alias or symbol that nothing in the tree answers to."""


class RequestError(KmoddError):
    """A request that is wrong whatever the state: a bad name, an option that makes no sense."""


class StateError(KmoddError):
    """A request that the present state of the namespace forbids."""


class KernelError(KmoddError):
    """A load or a removal that the kernel refused, with the kernel's errno and log lines."""


class AccessError(KmoddError):
    """A request that the role of its socket does not allow; ``detail`` says what was missing."""


class LimitError(KmoddError):
    """A bound of the daemon's own (size, number, time) that was reached."""
