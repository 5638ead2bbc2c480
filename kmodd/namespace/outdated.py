# SPDX-License-Identifier: Apache-2.0
"""Plans that the world has overtaken."""

import os
from pathlib import Path

from kmodd.database import FileStamp
from kmodd.database.walk import file_stamp


class OutdatedPlanError(Exception):
    """What a plan was made from is not so any more: the file of a step, or a module loaded."""


class OutdatedFileError(OutdatedPlanError):
    """The file of a step is not the one that was planned with."""


def open_planned(path: Path, stamp: FileStamp) -> int:
    """Return a descriptor of the file, which is still the one that was read for the database.

    Raises OutdatedFileError where it is not.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise OutdatedFileError(str(path)) from error
    if file_stamp(os.fstat(fd)) != stamp:
        os.close(fd)
        raise OutdatedFileError(str(path))
    return fd
