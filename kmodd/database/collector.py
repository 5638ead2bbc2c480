# SPDX-License-Identifier: Apache-2.0
"""Python's cyclic garbage collector, and when to leave it alone."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0


@contextmanager
def collector_paused() -> Iterator[None]:
    """Have no cycles looked for meanwhile, on any thread; contexts may overlap.

    Records and databases hold no cycles and stay. While hundreds of thousands of objects of theirs
    come, the collector goes through all that there are again and again: a tenth of a rebuild.
    """
    global _pauses
    with _lock:
        _pauses += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1
            if not _pauses:
                gc.enable()
