# SPDX-License-Identifier: Apache-2.0
"""A file that others read while it is written anew: they see all of the old one or of the new."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, data: bytes, *, lasting: bool) -> None:
    """Have the file be ``data``, for everybody to read; raises OSError, and then it is as it was.

    ``lasting`` has it down on the disk before it is in place. What is at its temporary name beside
    it is removed, and never written through.
    """
    temporary = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o644), "wb") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever umask(2) took
            file.write(data)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
