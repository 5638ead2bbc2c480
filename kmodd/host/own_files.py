# SPDX-License-Identifier: Apache-2.0
"""What this process runs: the files that it has imported, and the interpreter."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path


def is_roots_service() -> bool:
    """Tell whether root's service manager has started this process (sd_notify(3))."""
    return os.geteuid() == 0 and "NOTIFY_SOCKET" in os.environ


def own_files() -> Iterator[Path]:
    """Yield the interpreter and the files of all modules that have been imported so far.

    What makes a module from elsewhere, such as a frozen one of the library, has no file.
    """
    yield Path(sys.executable)
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and os.path.isabs(file):
            yield Path(file)
