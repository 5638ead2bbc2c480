# SPDX-License-Identifier: Apache-2.0
"""Python's cyclic garbage collector, and when to leave it alone."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0


_HARVEST = 10_000
"""Objects that are left of a long pause; a short one leaves as many as any other call."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Have no cycles looked for meanwhile, on any thread; contexts may overlap.

    Records and databases hold no cycles and stay. While tens of thousands of objects of theirs
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
                _resume()


def _resume() -> None:
    if gc.get_count()[0] > _HARVEST:
        # What has come would be gone through at once, by whoever makes the next object: 25 ms with
        # Debian's tree. This makes it as old as what has been looked at for the last time.
        gc.freeze()
        gc.unfreeze()
    gc.enable()
