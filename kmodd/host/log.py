# SPDX-License-Identifier: Apache-2.0
"""The log of this process: where it goes, and how much libraries may write into it."""

import logging

from kmodd.host.systemd import log_handler

LIBRARY_MAX = 1000
"""Characters of one message of a library that are logged; some have grown to megabytes."""

_OURS = ("kmodd", "__main__")


def begin_logging() -> None:
    """Log to stderr from now on, what the interpreter and libraries warn of among it."""
    handler = log_handler()
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
