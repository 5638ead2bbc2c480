# SPDX-License-Identifier: Apache-2.0
"""The daemon: its parts put together, from start to stop."""

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kmodd import systemd
from kmodd.database import ModuleRecord
from kmodd.errors import KmoddError, Reason, TreeError
from kmodd.kernel.base import Kernel
from kmodd.kernel.emulated import IsolatedKernel, VmlinuxSource
from kmodd.kernel.linux import LinuxKernel
from kmodd.namespace import Commands, Namespace
from kmodd.plan import DenyList
from kmodd.server import Parts, SocketServer
from kmodd.settings import Settings
from kmodd.signals import SignalInbox, caught
from kmodd.sockets import SocketPlace
from kmodd.state import RecordStore
from kmodd.trees import Trees, modules_directory, newest_release
from kmodd.watch import watching

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that runs in this process."""

    socket: Path
    trees: Trees

    def reload(self) -> None:
        """Read the kernel's tree and the configuration anew, and wait until they are in force."""
        _build(self.trees)

    def answers(self, timeout: float) -> bool:
        """Tell whether a client gets an answer within ``timeout`` seconds."""
        with grpc.insecure_channel(f"unix:{quote(str(self.socket))}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            try:
                stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
            except grpc.RpcError as error:
                log.error("the daemon does not answer itself: %s", error.details())
                return False
        return True

    def status(self) -> str:
        """Say in one line how the daemon fares."""
        generation = self.trees.in_force()
        if generation is None:
            return f"{self.trees.release}: no module tree"
        count = len(generation.database.modules)
        return generation.problem or f"{generation.release}: {count} modules in the tree"


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Daemon]:
    """Run a daemon in this process while the context is open.

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
            modprobe_config=settings.modprobe_config,
            command_line=linux.command_line() if linux else "",
            trusted_only=linux is not None,
        )
        _build(trees)
        kernel = linux or _emulated_kernel(trees)
        # On a real kernel the configuration is trusted, or its tree is not in force at all.
        commands = Commands(
            place.path,
            allowed=settings.run_commands or linux is not None,
            limit=settings.limits.command,
        )
        namespace = Namespace(
            kernel, trees, commands, deny=DenyList(settings.deny), exact=settings.kmod_exact
        )
        parts = Parts(kernel, trees, namespace)
        server = SocketServer(place, parts, settings.limits)
        trees.tell(lambda: server.note_database(trees.in_force()))
        server.start()
        with watching(trees, settings.timing) if settings.watch else contextlib.nullcontext():
            try:
                yield Daemon(place.path, trees)
            finally:
                namespace.stop()
                server.stop()  # calls under way still need the kernel
                kernel.close()
                commands.close()


def serve(settings: Settings) -> None:
    """Run a daemon until SIGTERM or SIGINT; SIGHUP has it read its tree and configuration anew."""
    with caught((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)) as inbox:
        with running(settings) as daemon:
            log.info("listening on %s", daemon.socket)
            systemd.notify("READY=1", f"STATUS={daemon.status()}")
            _attend(daemon, inbox)
            systemd.notify("STOPPING=1")
        log.info("stopped")


def _attend(daemon: Daemon, inbox: SignalInbox) -> None:
    """Do as the signals say until one says to stop; tell the watchdog of a life that is proved."""
    pause = systemd.watchdog_pause()
    while True:
        try:
            number = inbox.wait(pause)
        except TimeoutError:
            if daemon.answers(pause or 0):
                systemd.notify("WATCHDOG=1", f"STATUS={daemon.status()}")
            continue
        if number is not signal.SIGHUP:
            log.info("%s: stopping", number.name if number else "end of input")
            return
        log.info("reloading")
        systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        daemon.reload()
        systemd.notify("READY=1", f"STATUS={daemon.status()}")


def _linux_kernel() -> LinuxKernel:
    """Return the running kernel, and log what it will not let us do."""
    kernel = LinuxKernel()
    for limit in kernel.limits():
        log.warning("%s", limit)
    return kernel


def _emulated_kernel(trees: Trees) -> Kernel:
    source = VmlinuxSource(trees.root, trees.release, trees.directory, _tree_modules(trees))
    return IsolatedKernel(trees.release, source)


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


def _build(trees: Trees) -> None:
    """Have a database in force, before the first caller; without a tree there is none yet."""
    try:
        trees.rebuild()
    except KmoddError as error:
        log.warning("%s", error.message)


def _tree_modules(trees: Trees) -> Callable[[], Mapping[str, ModuleRecord]]:
    def modules() -> Mapping[str, ModuleRecord]:
        generation = trees.in_force()
        return generation.database.modules if generation else {}

    return modules
