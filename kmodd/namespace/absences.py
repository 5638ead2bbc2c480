# SPDX-License-Identifier: Apache-2.0
"""Modules that are out of the kernel for a moment, and are about to be put in again.

Nobody is to take them for gone meanwhile: who asked for them, who holds them and what is wished of
them stays as it was.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from kmodd.kernel.base import LoadedModule


class Absences:
    """The modules of one namespace, by what plans call them. ``_lock`` guards the field; who reads
    it needs none, as it is replaced as a whole.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._away: Mapping[str, LoadedModule] = {}

    @contextmanager
    def of(self, modules: Mapping[str, LoadedModule]) -> Iterator[None]:
        """Have these count as they are now until the context ends; no two may have the same."""
        with self._lock:
            self._away = {**self._away, **modules}
        try:
            yield
        finally:
            with self._lock:
                self._away = {
                    name: module for name, module in self._away.items() if name not in modules
                }

    def all(self) -> Mapping[str, LoadedModule]:
        """Return the modules as they were, whether they are out yet, or in again."""
        return self._away

    def without(self, names: Iterable[str]) -> list[str]:
        """Return those of ``names`` that are not out for a moment."""
        away = self._away
        return [name for name in names if name not in away]
