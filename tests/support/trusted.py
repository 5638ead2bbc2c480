# SPDX-License-Identifier: Apache-2.0
"""A place for files that a daemon on the machine's kernel goes by."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.require import require


@contextmanager
def trusted_directory() -> Iterator[Path]:
    """Yield a directory that is root's with the way to it; it goes with the context."""
    require(os.geteuid() == 0, "only root can make files that are trusted")
    directory = Path(tempfile.mkdtemp(prefix="kmodd-test-", dir="/run"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
