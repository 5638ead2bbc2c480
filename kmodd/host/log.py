# SPDX-License-Identifier: Apache-2.0
"""The log of this process: where it goes, and how much libraries may write into it."""

import logging
import sys

from kmodd.host.journal import JournalHandler
from kmodd.host.systemd import LineFormatter, is_journal

LIBRARY_MAX = 1000
"""Characters of one message of a library that are logged; some have grown to megabytes."""

_OURS = ("kmodd", "__main__")


def begin_logging() -> None:
    """Log from now on, what the interpreter and libraries warn of among it.

    To stderr, or to the journal where that is the journal's.
    """
    handler = _handler()
    handler.addFilter(cut_library)
    logging.basicConfig(handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger("watchdog").setLevel(logging.INFO)  # it tells of every event otherwise


def cut_library(record: logging.LogRecord) -> bool:
    """Cut the message of a library where it is too long; returns True, for it is logged."""
    if record.name.partition(".")[0] in _OURS:
        return True
    message = record.getMessage()
    if len(message) > LIBRARY_MAX:
        record.msg, record.args = f"{message[:LIBRARY_MAX]}...", None
    return True


def _handler() -> logging.Handler:
    if is_journal(sys.stderr.fileno()):
        return JournalHandler()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("kmodd: %(message)s"))
    return handler
