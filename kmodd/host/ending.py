# SPDX-License-Identifier: Apache-2.0
"""The end of the process, which waits for no thread.

The interpreter joins the threads that serve calls before it ends, and one of them may be in a
kernel call that nobody can end.
"""

import logging
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

log = logging.getLogger(__name__)


def end(status: int) -> NoReturn:
    """End the process with ``status``, whatever its threads are doing."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    logging.shutdown()
    os._exit(status)


def end_within(seconds: float) -> None:
    """Have the process end after so many seconds, with status 0, if it has not by then."""
    bound = threading.Timer(seconds, _give_up, (seconds,))
    bound.daemon = True
    bound.start()


def _give_up(seconds: float) -> None:
    log.warning("the end takes more than %g seconds: ending without the rest", seconds)
    end(0)
