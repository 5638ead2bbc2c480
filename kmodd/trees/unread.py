# SPDX-License-Identifier: Apache-2.0
"""What of the configuration is not read: the log says it once for all releases."""

import logging
import threading

log = logging.getLogger(__name__)


class Unread:
    """The lines of the last reading. ``_lock`` guards them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: frozenset[str] = frozenset()

    def tell(self, lines: tuple[str, ...]) -> None:
        """Log those of a reading's ``lines`` that the reading before did not have."""
        with self._lock:
            new = [line for line in lines if line not in self._lines]
            self._lines = frozenset(lines)
        for line in new:
            log.warning("%s", line)
