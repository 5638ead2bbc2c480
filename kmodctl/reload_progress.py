# SPDX-License-Identifier: Apache-2.0
"""How far a reload is, on a terminal: each module goes, and comes."""

import threading
from contextlib import suppress

from kmodctl.api import Api
from kmodctl.errors import KmodctlError
from kmodctl.progress import Bar
from kmodd.messages.module_service import (
    CHANGE_KIND_LOADED,
    CHANGE_KIND_UNLOADED,
    RELOAD_FATE_PLANNED,
    ModuleChange,
    ModuleChanges,
    ReloadModulesRequest,
    ReloadModulesResponse,
    WatchModulesRequest,
)

READY = 2.0
"""Seconds that the events may take to be told; without them there is no bar."""


def shown_reload(
    api: Api, planned: ReloadModulesRequest, request: ReloadModulesRequest
) -> ReloadModulesResponse:
    """Reload, and draw how many of the steps are done; ``planned`` is the same as a dry run."""
    plan = api.modules.reload_modules(planned)
    names = {each.module for each in plan.modules if each.fate == RELOAD_FATE_PLANNED}
    progress = _Progress(api.another(), names)
    progress.start()
    try:
        return api.modules.reload_modules(request)
    finally:
        progress.end()


class _Progress:
    """Counts events on a thread of its own; ``_drawing`` guards the bar."""

    def __init__(self, api: Api, names: set[str]) -> None:
        self._api = api
        self._names = names
        self._bar = Bar("steps")
        self._drawing = threading.Lock()
        self._is_over = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="kmodctl-bar", daemon=True)

    def start(self) -> None:
        """Draw from the next change on."""
        self._thread.start()
        self._ready.wait(READY)

    def end(self) -> None:
        """Take the bar away; the thread ends with the command."""
        with self._drawing:
            self._is_over = True
            self._bar.wipe()

    def _follow(self) -> None:
        done = 0
        with suppress(KmodctlError):
            for message in self._api.modules.watch_modules(WatchModulesRequest()):
                if self._ready.is_set():  # the first tells what there is
                    done += sum(map(self._is_step, (message.changes or ModuleChanges()).changes))
                self._draw(done)
                self._ready.set()

    def _is_step(self, change: ModuleChange) -> bool:
        is_step = change.kind in (CHANGE_KIND_LOADED, CHANGE_KIND_UNLOADED)
        return is_step and change.module is not None and change.module.name in self._names

    def _draw(self, done: int) -> None:
        with self._drawing:
            if not self._is_over:
                self._bar.draw(done, 2 * len(self._names))
