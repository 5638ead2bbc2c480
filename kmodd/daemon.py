# SPDX-License-Identifier: Apache-2.0
"""The daemon: its parts put together, from start to stop."""

import contextlib
import logging
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from kmodd.database import ModuleRecord
from kmodd.errors import KmoddError, Reason, TreeError
from kmodd.kernel.emulated import EmulatedKernel, VmlinuxSource
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
    release = _release(settings)
    with SocketPlace(settings.socket, settings.socket_mode) as place:
        store = RecordStore(settings.state) if settings.state else None
        trees = Trees(settings.root, release, publish=settings.publish, store=store)
        _build_first(trees)
        kernel = EmulatedKernel(
            release, VmlinuxSource(trees.root, release, trees.directory, _tree_modules(trees))
        )
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


def _release(settings: Settings) -> str:
    """Return the release that the kernel is of."""
    if settings.release:
        return settings.release
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
