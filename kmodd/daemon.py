# SPDX-License-Identifier: Apache-2.0
"""The daemon: its parts put together, from start to stop."""

import contextlib
import logging
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from kmodd.database import ModuleRecord
from kmodd.errors import KmoddError, Reason, TreeError
from kmodd.kernel.base import Kernel
from kmodd.kernel.emulated import EmulatedKernel, VmlinuxSource
from kmodd.kernel.linux import LinuxKernel
from kmodd.namespace import Namespace
from kmodd.server import Parts, SocketServer
from kmodd.settings import Settings
from kmodd.signals import caught
from kmodd.sockets import SocketPlace
from kmodd.state import RecordStore
from kmodd.trees import Trees, modules_directory, newest_release
from kmodd.watch import watching

log = logging.getLogger(__name__)


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Path]:
    """Run a daemon in this process while the context is open; yields its socket's path.

    Raises KmoddError where it cannot start: no module tree, the socket taken, a path too long.
    """
    linux = _linux_kernel() if settings.kernel == LinuxKernel.kind else None
    with SocketPlace(settings.socket, settings.socket_mode) as place:
        store = RecordStore(settings.state) if settings.state else None
        trees = Trees(
            settings.root,
            _release(settings, linux),
            publish=settings.publish,
            store=store,
            command_line=linux.command_line() if linux else "",
            trusted_only=linux is not None,
        )
        _build_first(trees)
        kernel = linux or _emulated_kernel(trees)
        parts = Parts(kernel, trees, Namespace(kernel, trees))
        server = SocketServer(place, parts, settings.limits)
        trees.tell(lambda: server.note_database(trees.in_force()))
        server.start()
        with watching(trees, settings.timing) if settings.watch else contextlib.nullcontext():
            try:
                yield place.path
            finally:
                kernel.close()
                server.stop()


def serve(settings: Settings) -> None:
    """Run a daemon until SIGTERM or SIGINT."""
    with caught((signal.SIGTERM, signal.SIGINT)) as inbox:
        with running(settings) as path:
            log.info("listening on %s", path)
            asked = inbox.wait()
            log.info("%s: stopping", asked.name if asked else "end of input")
        log.info("stopped")


def _linux_kernel() -> LinuxKernel:
    """Return the running kernel, and log what it will not let us do."""
    kernel = LinuxKernel()
    for limit in kernel.limits():
        log.warning("%s", limit)
    return kernel


def _emulated_kernel(trees: Trees) -> Kernel:
    source = VmlinuxSource(trees.root, trees.release, trees.directory, _tree_modules(trees))
    return EmulatedKernel(trees.release, source)


def _release(settings: Settings, linux: LinuxKernel | None) -> str:
    """Return the release whose tree is meant where a call names none."""
    if settings.release:
        return settings.release
    if linux is not None:
        return linux.release
    release = newest_release(modules_directory(settings.root))
    if release is None:
        raise TreeError(
            Reason.TREE_NOT_FOUND,
            f"{modules_directory(settings.root)} has no module tree (a directory named for a "
            "kernel release); give --root DIR for one that has, or --release VERSION",
        )
    return release


def _build_first(trees: Trees) -> None:
    """Have a database in force before the first caller; without a tree there is none yet."""
    try:
        trees.rebuild()
    except KmoddError as error:
        log.warning("%s", error.message)


def _tree_modules(trees: Trees) -> Callable[[], Mapping[str, ModuleRecord]]:
    def modules() -> Mapping[str, ModuleRecord]:
        generation = trees.in_force()
        return generation.database.modules if generation else {}

    return modules
