# SPDX-License-Identifier: Apache-2.0
"""How far a reload is, by what the daemon tells of modules meanwhile."""

import io
import sys
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from kmodctl.reload_progress import shown_reload
from kmodd.messages import module_service as pb


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def change(name: str, kind: int) -> pb.WatchModulesResponse:
    changed = pb.ModuleChange(kind=kind, module=pb.Module(name=name))
    return pb.WatchModulesResponse(changes=pb.ModuleChanges(changes=[changed]))


class PlayedApi:
    """A daemon that reloads ``one``, as ``another`` module comes and goes."""

    def __init__(self) -> None:
        self.modules = self
        self.told = Event()

    def another(self) -> "PlayedApi":
        return self

    def reload_modules(self, request: pb.ReloadModulesRequest) -> pb.ReloadModulesResponse:
        if not request.dry_run:
            assert self.told.wait(60)
        fate = pb.RELOAD_FATE_PLANNED if request.dry_run else pb.RELOAD_FATE_RELOADED
        stays = pb.ReloadedModule(module="stays", fate=pb.RELOAD_FATE_STAYED)
        return pb.ReloadModulesResponse(modules=[pb.ReloadedModule(module="one", fate=fate), stays])

    def watch_modules(self, _request: object) -> Iterator[pb.WatchModulesResponse]:
        yield pb.WatchModulesResponse(snapshot=pb.ModuleSnapshot(modules=[pb.Module(name="one")]))
        yield change("one", pb.CHANGE_KIND_UNLOADED)
        yield change("another", pb.CHANGE_KIND_LOADED)
        yield change("one", pb.CHANGE_KIND_CHANGED)
        yield change("one", pb.CHANGE_KIND_LOADED)
        yield pb.WatchModulesResponse(operation=pb.FinishedOperation())
        self.told.set()


def test_each_module_goes_and_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    api: Any = PlayedApi()
    request = pb.ReloadModulesRequest(names=["one"])
    planned = pb.ReloadModulesRequest(names=["one"], dry_run=True)
    answer = shown_reload(api, planned, request)
    assert answer.modules[0].fate == pb.RELOAD_FATE_RELOADED
    drawn = [each.partition("] ")[2][:9] for each in terminal.getvalue().split("\r") if "]" in each]
    assert drawn == ["0/2 steps", *["1/2 steps"] * 3, *["2/2 steps"] * 2]
    assert terminal.getvalue().endswith("\r\033[K")
