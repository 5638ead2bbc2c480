# SPDX-License-Identifier: Apache-2.0
"""The file that a module is loaded from."""

import errno
import os
import stat

from kmodd.errors import Reason
from kmodd.kernel.emulated.reporting.refusal import Refusal
from kmodd.modulefile import MAX_IMAGE

FileStatus = tuple[int, int]
"""The mode of a file, and the bytes that are in it (stat(2))."""


def file_status(fd: int) -> FileStatus:
    """Return what fstat(2) tells of a file; raises OSError."""
    status = os.fstat(fd)
    return status.st_mode, status.st_size


def read_image(fd: int, found: FileStatus | None) -> bytes:
    """Return what is in the file at ``fd`` (kernel_read_file); raises Refusal.

    ``found`` is what fstat(2) told of it, None where it is to be asked.
    """
    try:
        mode, size = found or file_status(fd)
        if not stat.S_ISREG(mode) or not size:
            raise Refusal(Reason.KERNEL_REFUSED, errno.EINVAL, "not a file with a module in it")
        if size > MAX_IMAGE:
            raise Refusal(Reason.IMAGE_TOO_LARGE, errno.EFBIG, f"more than {MAX_IMAGE} bytes")
        return os.pread(fd, size, 0)
    except OSError as error:
        why = f"cannot read the module: {error.strerror}"
        raise Refusal(Reason.KERNEL_REFUSED, error.errno or errno.EIO, why) from error
