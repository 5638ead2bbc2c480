# SPDX-License-Identifier: Apache-2.0
"""What a kernel does with a module, and in what two kernels differ about it."""

import os
from contextlib import suppress
from typing import Any, NamedTuple

from kmodctl.api import Api
from kmodctl.errors import CallError, KmodctlError
from kmodctl.uploading import sendable
from kmodd.messages.kernel_log_service import ReadLogRequest
from kmodd.messages.module_service import (
    ListModulesRequest,
    LoadModulesRequest,
    Module,
    RemoveModuleRequest,
    UnloadModulesRequest,
)

TAINTS = ("taint", "module verification failed")
"""What the kernel says once in its life, whichever module comes first."""


class ComparedLoad(NamedTuple):
    """What became of a load: its result in words, the lines that were logged meanwhile, and the
    modules that came, by name.
    """

    result: str
    log: tuple[str, ...]
    came: dict[str, Module]


class Difference(NamedTuple):
    """In what two kernels differ, about which module, and what each of them has in words."""

    what: str
    module: str
    values: tuple[str, str]

    def shown(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        emulated, real = self.values
        return {"what": self.what, "of": self.module, "emulated": emulated, "vm": real}


def observe(api: Api, name: str) -> ComparedLoad:
    """Load a module and what it needs, look, and unload all that came.

    What cannot be unloaded stays. Raises NoDaemonError.
    """
    before = _listing(api)
    newest = max(_log(api), default=-1)
    result = "loads"
    try:
        api.modules.load_modules(LoadModulesRequest(names=[sendable(name)]))
    except CallError as error:
        result = os.strerror(error.errno) if error.errno else error.reason
    log = tuple(
        text
        for sequence, text in _log(api, newest).items()
        if sequence > newest and not any(each in text for each in TAINTS)
    )
    came = {each: module for each, module in _listing(api).items() if each not in before}
    _take_out(api, name, before)
    return ComparedLoad(result, log, came)


def differences(emulated: ComparedLoad, real: ComparedLoad) -> list[Difference]:
    """Return in what the two differ; what only one of them has is compared no further."""
    found = []
    if emulated.result != real.result:
        found.append(Difference("result", "", (emulated.result, real.result)))
    if emulated.log != real.log:
        found.append(Difference("log", "", (_lines(emulated.log), _lines(real.log))))
    for name in sorted(emulated.came.keys() | real.came.keys()):
        one, other = emulated.came.get(name), real.came.get(name)
        if one is None or other is None:
            there = ("loaded" if each else "not loaded" for each in (one, other))
            found.append(Difference("presence", name, (next(there), next(there))))
            continue
        for what, values in (
            ("size", (str(one.size_bytes), str(other.size_bytes))),
            ("references", (_references(one), _references(other))),
        ):
            if values[0] != values[1]:
                found.append(Difference(what, name, values))
    return found


def _listing(api: Api) -> dict[str, Module]:
    answer = api.modules.list_modules(ListModulesRequest())
    return {module.name: module for module in answer.modules}


def _log(api: Api, after: int = -1) -> dict[int, str]:
    request = ReadLogRequest(after_sequence=after) if after >= 0 else ReadLogRequest()
    answers = api.kernel_log.read_log(request)
    return {record.sequence: record.text for each in answers for record in each.records}


def _take_out(api: Api, name: str, before: dict[str, Module]) -> None:
    """Unload a module, and then what else has come, users first."""
    with suppress(CallError):  # one that did not come, or does not go
        api.modules.unload_modules(UnloadModulesRequest(names=[sendable(name)]))
    while True:
        left = [each for each in _listing(api).values() if each.name not in before]
        gone = [_removed(api, each.name) for each in left if not each.holders]
        if not any(gone):
            return


def _removed(api: Api, name: str) -> bool:
    try:
        api.modules.remove_module(RemoveModuleRequest(name=name))
    except KmodctlError:
        return False
    return True


def _lines(lines: tuple[str, ...]) -> str:
    return "; ".join(lines) or "nothing"


def _references(module: Module) -> str:
    return f"{module.reference_count} {','.join(module.holders)}".strip()
