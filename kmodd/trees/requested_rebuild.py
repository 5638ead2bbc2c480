# SPDX-License-Identifier: Apache-2.0
"""A rebuild that somebody asked for and watches, and that does not depend on them."""

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

from kmodd.database.reading import MANY
from kmodd.errors import Reason, TreeError
from kmodd.trees.generation import Generation
from kmodd.trees.releases import Trees

PROGRESS = 0.1
"""Seconds between two steps that are told: each is a message for a client, and makes the reading
thread wait for the one that sends it."""


class RequestedRebuild:
    """A rebuild in a thread of its own, which begins at once and goes on if nobody watches it.

    ``_told`` carries the steps to whoever watches, then None; there is one who does.
    """

    def __init__(self, trees: Trees, release: str) -> None:
        self._trees = trees
        self._release = release
        self._told: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._result: Future[Generation] = Future()
        self._due = time.monotonic() + PROGRESS
        threading.Thread(target=self._run, name="kmodd-depmod", daemon=True).start()

    def progress(self) -> Iterator[tuple[int, int]]:
        """Yield how many files are read, and of how many, until the rebuild is over."""
        while (step := self._told.get()) is not None:
            yield step

    def result(self) -> Generation:
        """Return what came of it, once it is over.

        Raises TreeError: as ``Trees.rebuild``, CycleError where modules are left out, and
        TREE_NOT_WRITABLE where the databases are in force but could not be written.
        """
        generation = self._result.result()
        if generation.database.cycles:
            raise generation.database.cycles
        if generation.problem and not generation.is_published:
            raise TreeError(Reason.TREE_NOT_WRITABLE, generation.problem)
        return generation

    def _run(self) -> None:
        try:
            self._result.set_result(
                self._trees.rebuild(self._release, insist=True, progress=self._tell)
            )
        except Exception as error:  # whatever it is, it is for the thread that waits
            self._result.set_exception(error)
        finally:
            self._told.put(None)

    def _tell(self, read: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._due or (read == total and total >= MANY):
            self._due = now + PROGRESS
            self._told.put((read, total))
