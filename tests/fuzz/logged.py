# SPDX-License-Identifier: Apache-2.0
"""Errors of a daemon in this process that it logs, or that a thread ends of."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Unexpected(logging.Handler):
    """Keeps the exceptions that were logged, or ended a thread; one thread looks at them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception."""
        if record.exc_info and record.exc_info[1] is not None:
            self._errors.append(record.exc_info[1])

    def ended(self, arguments: threading.ExceptHookArgs) -> None:
        """Keep what a thread has ended of (threading.excepthook)."""
        if arguments.exc_value is not None:
            self._errors.append(arguments.exc_value)

    def check(self) -> None:
        """Raise what was kept."""
        if self._errors:
            raise self._errors.pop()


@contextmanager
def unexpected() -> Iterator[Unexpected]:
    """Keep what kmodd logs and what threads end of, and print none of it."""
    handler, logger = Unexpected(), logging.getLogger("kmodd")
    logger.addHandler(handler)
    logger.propagate = False
    before, threading.excepthook = threading.excepthook, handler.ended
    try:
        yield handler
    finally:
        threading.excepthook = before
        logger.propagate = True
        logger.removeHandler(handler)
