# SPDX-License-Identifier: Apache-2.0
"""The metrics in a file, for node_exporter's textfile collector and those who read as it does."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kmodd.host.whole_file import write_whole
from kmodd.messages.exposition import plain_text
from kmodd.service.metrics import Metrics

PERIOD = 15.0
"""Seconds between two looks at the metrics: what most have Prometheus read them by."""

LONGEST = 60.0
"""Seconds after which the file is written although nothing has happened, so that its age tells
whether the daemon lives."""

log = logging.getLogger(__name__)


class MetricsFile:
    """The file, for one thread. It is written as a whole, when something has changed."""

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._path = path
        self._metrics = metrics
        self._text = ""
        self._written = 0.0
        self._complained = False

    def write(self, now: float) -> None:
        """Write the file, if there is something to tell; ``now`` is in seconds.

        What cannot be written or told is complained of once.
        """
        try:
            text = plain_text(self._metrics.families())
            if text == self._text and now - self._written < LONGEST:
                return
            whole = text + plain_text(self._metrics.of_process())
            write_whole(self._path, whole.encode(), lasting=False)
        except OSError as error:
            if not self._complained:
                log.error("%s cannot be written: %s", self._path, error.strerror)
            self._complained = True
        except Exception:
            if not self._complained:
                log.exception("what there is to be written to %s", self._path)
            self._complained = True
        else:
            self._text, self._written, self._complained = text, now, False

    def remove(self) -> None:
        """Remove the file: old numbers would pass for those of now."""
        with suppress(OSError):
            self._path.unlink()


@contextmanager
def metrics_written(path: Path, metrics: Metrics, period: float = PERIOD) -> Iterator[None]:
    """While the context is open, keep the file at ``path`` as the metrics are.

    They are looked at every ``period`` seconds.
    """
    over = threading.Event()
    file = MetricsFile(path, metrics)

    def keep() -> None:
        file.write(time.monotonic())
        while not over.wait(period):
            file.write(time.monotonic())

    keeping = threading.Thread(target=keep, name="kmodd-metrics", daemon=True)
    keeping.start()
    try:
        yield
    finally:
        over.set()
        keeping.join()
        file.remove()
