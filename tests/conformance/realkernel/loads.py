# SPDX-License-Identifier: Apache-2.0
"""Makes a table of loads: on a release's own kernel, in a virtual machine of kmodd's.

Each module is loaded by modprobe's plan and unloaded again. Where that leaves something, the kernel
boots anew, so that every row is of a kernel on which nothing was loaded before.
"""

import errno
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from kmodd.database import Database
from kmodd.errors import KernelError, KmoddError
from kmodd.kernel.base import Kernel
from kmodd.kernel.vm import Booter, BootOptions, VmKernel
from tests.conformance.realkernel.replay import Replay, seen
from tests.conformance.realkernel.table import Seen

COLUMNS = ("module", "result", "message", "line", "came_with", "clean", "remove", "log")

LOGGED = 4
"""Lines of the log that a row has at most, the last ones."""

SETTLED = 0.05
"""Seconds that what a load leaves behind has to go: device events, deferred work."""


def record_loads(root: Path, release: str, states: Path, *, seed: int, count: int) -> Iterator[str]:
    """Yield the lines of the table of ``count`` modules that ``seed`` draws, 0 for all."""
    yield "\t".join(COLUMNS)
    recorder = Recorder(root, release, states)
    try:
        names = sorted(recorder.names)
        if count:
            names = sorted(random.Random(seed).sample(names, min(count, len(names))))
        yield from recorder.rows(names)
    finally:
        recorder.close()


class Recorder:
    """A release's kernel in a guest, on which modules are loaded one after the other."""

    def __init__(self, root: Path, release: str, states: Path) -> None:
        """Boot it; raises KmoddError where that cannot be."""

        def boot(found: str, database: Database) -> Kernel:
            options = BootOptions(
                root=root, release=found, tree=database, acceleration="tcg", states=states
            )
            return VmKernel(found, Booter(options).boot)

        self._open = partial(Replay, root, release, boot)
        self._replay = self._open()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all modules of the tree."""
        return self._replay.names

    def rows(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the row of each module."""
        for name in names:
            yield self._row(name)

    def close(self) -> None:
        """Halt the kernel."""
        self._replay.close()

    def _row(self, name: str) -> str:
        kernel = self._replay.kernel
        resident = {module.name for module in kernel.modules()}
        newest = max((each.sequence for each in kernel.read_log()), default=-1)
        error = self._replay.load(name)
        modules = {module.name: module for module in kernel.modules()}
        family = self._replay.family(name) - resident
        came = {each: seen(module) for each, module in modules.items() if each in family}
        own = modules.get(name.replace("-", "_"))
        removed = "-" if own is None else self._removed(kernel, name)
        lines = [each.text for each in kernel.read_log(newest)][-LOGGED:]
        self._leave(resident)
        line = ""
        if own is not None:
            holders = ",".join(own.holders) or "-"
            line = f"{own.name} {own.size} {own.refcount} {holders} Live"
        fields = (
            name,
            "OK" if error is None else errno.errorcode.get(error.errno, str(error.errno)),
            "" if error is None else error.message,
            line,
            ";".join(_shown(each, came[each]) for each in sorted(came)) or "-",
            "yes",
            removed,
            "|".join(lines),
        )
        return "\t".join(_cell(field) for field in fields)

    def _removed(self, kernel: Kernel, name: str) -> str:
        try:
            kernel.delete_module(name.replace("-", "_"))
        except KmoddError as error:
            return error.message
        return "OK"

    def _leave(self, resident: set[str]) -> None:
        """Unload what has come, users first; a kernel that keeps something is left for another."""
        kernel = self._replay.kernel
        while extra := [each for each in kernel.modules() if each.name not in resident]:
            for module in extra:
                if not module.holders:
                    with suppress(KernelError):
                        kernel.delete_module(module.name)
            if len(kernel.modules()) == len(resident) + len(extra):
                self._replay.close()
                self._replay = self._open()
                return
            time.sleep(SETTLED)


def _shown(name: str, module: Seen) -> str:
    return f"{name}:{module.size}:{module.refcount}:{','.join(module.holders) or '-'}"


def _cell(text: str) -> str:
    return " ".join(text.split("\t")).replace("\n", " ")
