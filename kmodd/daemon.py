# SPDX-License-Identifier: Apache-2.0
"""The daemon: its parts put together, from start to stop."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from kmodd import front_server
from kmodd.access import rules
from kmodd.access.caller import Role
from kmodd.access.grants import Grants
from kmodd.config.modules_load import MODULES_LOAD
from kmodd.database import Database, ModuleRecord
from kmodd.database.releases import newest_release
from kmodd.desired.condition import MachineFacts
from kmodd.errors import KmoddError, Reason, TreeError
from kmodd.host import descriptors, systemd
from kmodd.host.ending import end_within
from kmodd.host.mounts import Outlook
from kmodd.host.repeated_warnings import RepeatedWarnings
from kmodd.host.signals import SignalInbox, caught
from kmodd.host.watchdog import Watchdog
from kmodd.kernel.base import Emulation, Kernel
from kmodd.kernel.opening import KERNELS, KernelOptions, open_kernel, open_trials
from kmodd.log_kinds import LogKind, told
from kmodd.namespace import AuditTrail, Commands, Hotplug, Namespace, runner
from kmodd.namespace.checks import Checks
from kmodd.namespace.load_at_start import load_at_start
from kmodd.namespace.published_denials import PublishedDenials
from kmodd.namespace.state_keeper import StateKeeper
from kmodd.namespace.wish_memory import WishMemory
from kmodd.namespace.wish_sources import WishSources
from kmodd.owner import (
    denials_publisher,
    device_loader,
    load_for_devices,
    sealed_in_time,
    wanted_at_start,
    wanted_modules,
)
from kmodd.plan import DenyList
from kmodd.records import record, replace
from kmodd.server import Parts
from kmodd.servers import Servers
from kmodd.settings import SYSTEM_RUNTIME, Settings
from kmodd.state import AppliedStore, AskedStore, BootStore, ImageStore, RecordStore, SealStore
from kmodd.trees import Trees, modules_directory
from kmodd.trees.watcher import watching

FIXED = (
    *("kernel_image", "vm_accel", "vm_memory", "vm_processors"),
    *("kernel", "root", "release", "state", "runtime", "publish", "watch", "modprobe_config"),
    *("limits", "timing", "load_at_start", "audit_file", "front", "hotplug", "publish_deny"),
    *("seal_after", "desired_state", "metrics_file"),
)
"""The settings that a daemon keeps from its start to its end."""

START_PATIENCE = 30.0
"""Seconds that the start waits for what is to be loaded then."""

CLOSING = 5.0
"""Seconds of those that a stop may take which are left for all but the mutations."""

GUESTS = "guests"
"""The name of the directory where guests are kept that have just booted."""

WISHES = "wishes.json"
"""The name of the file that says what was done by hand to modules that are wished."""

log = logging.getLogger(__name__)


@record
class Daemon:
    """A daemon that runs in this process; ``socket`` is the first of its sockets for admins."""

    settings: Settings
    parts: Parts
    commands: Commands
    servers: Servers
    publish_denials: Callable[[], None] = lambda: None

    @property
    def socket(self) -> Path:
        """Where the daemon itself calls."""
        return self.servers.own()

    @property
    def kernel(self) -> str:
        """Which kernel is served, in words."""
        return _kernel_words(self.parts.kernel)

    def reload(self, settings: Settings) -> "Daemon":
        """Take over ``settings``, and read the kernel's tree and the configuration anew.

        Returns when both are in force. What is fixed at start stays as it is, and is logged.
        """
        for name in FIXED:
            if getattr(settings, name) != getattr(self.settings, name):
                log.warning("the setting %s takes effect with the next start", name)
        fixed = {name: getattr(self.settings, name) for name in FIXED}
        settings = replace(settings, **fixed)
        self.parts.namespace.set_policy(_deny_list(settings), exact=settings.kmod_exact)
        self.publish_denials()
        try:
            self.servers.apply(settings.sockets, self.parts, Grants(settings.grants))
        except KmoddError:
            log.error("no socket could be had by the new settings: those of before stay")
        self.commands.set_policy(self.socket, allowed=_runs_commands(settings, self.parts.kernel))
        _build(self.parts.trees)
        self.parts.keeper.reread(partial(_machine, settings, self.parts.kernel))
        return replace(self, settings=settings)

    def is_unused(self) -> bool:
        """Tell whether no operation is under way and nobody holds a module."""
        namespace = self.parts.namespace
        return namespace.idle() and not namespace.activity().holds

    def status(self) -> str:
        """Say in one line how the daemon and its sockets fare."""
        return "; ".join((self._tree_status(), *self.servers.problems()))

    def _tree_status(self) -> str:
        trees = self.parts.trees
        generation = trees.in_force()
        if generation is None:
            return f"{trees.release}: {trees.refusal() or 'no module tree'}"
        count = len(generation.database.modules)
        return generation.problem or f"{generation.release}: {count} modules in the tree"


@contextlib.contextmanager
def running(settings: Settings, *, images: Path | None = None) -> Iterator[Daemon]:
    """Run a daemon in this process while the context is open.

    ``images`` is where what is read of kernels' images is kept, if not in the directory for state.
    Raises KmoddError where it cannot start: no module tree, the socket taken, a path too long.
    """
    descriptors.raise_limit()
    servers = Servers(
        max(0.0, settings.limits.drain - CLOSING), systemd.lent_sockets(), settings.front
    )
    with contextlib.ExitStack() as ending:
        ending.callback(servers.stop)
        servers.claim(settings.sockets)
        trees = _trees(settings)
        _build(trees, at_once=settings.watch)
        options = _kernel_options(settings, trees, images or settings.state)
        kernel = open_kernel(settings.kernel, options)
        ending.callback(kernel.close)
        commands = Commands(
            _own_socket(settings),
            allowed=_runs_commands(settings, kernel),
            limit=settings.limits.command,
        )
        namespace = _namespace(settings, kernel, trees, commands)
        keeper = _keeper(settings, namespace, trees, kernel)
        checks = Checks(trees, partial(open_trials, kernel, options))
        parts = Parts(kernel, trees, namespace, keeper, settings.limits, checks)
        publish_denials = denials_publisher(settings, namespace, trees)

        def note_database() -> None:
            servers.note_database(trees.in_force())
            publish_denials()

        trees.tell(note_database)
        publish_denials()
        _tell_kernel(settings, kernel)
        servers.apply(settings.sockets, parts, Grants(settings.grants))
        commands.set_policy(servers.own(), allowed=_runs_commands(settings, kernel))
        hotplug = device_loader(settings, namespace, kernel)
        if hotplug is not None:
            ending.callback(hotplug.end)
        namespace.sealing.wanted = partial(wanted_modules, settings, kernel)
        with (
            servers.tended(),
            watching(trees, settings.timing, keeper.tick)
            if settings.watch
            else contextlib.nullcontext(),
            kernel.watching(namespace.look),
        ):
            try:
                _load_what_is_due(settings, namespace, kernel, hotplug, keeper)
                servers.started()
                with (
                    _metrics_kept(settings.metrics_file, parts, servers),
                    sealed_in_time(settings, namespace),
                ):
                    yield Daemon(settings, parts, commands, servers, publish_denials)
            finally:
                keeper.end()
                if hotplug is not None:
                    hotplug.stop(max(0.0, settings.limits.drain - CLOSING))
                namespace.stop()
                servers.stop()  # calls under way still need the kernel
                keeper.stop(CLOSING)
                kernel.close()
                namespace.close()


def serve(settings: Settings, reread: Callable[[], Settings]) -> None:
    """Run a daemon until SIGTERM or SIGINT.

    SIGHUP has it take over what ``reread`` returns, and read its tree and configuration anew;
    where that raises KmoddError the settings stay as they are. A daemon that a service manager
    watches also ends, to be started again, when that alone lets it write where it should.
    """
    outlook = Outlook(_written(settings))
    for logger in (rules.log, runner.log, front_server.log):
        logger.addFilter(RepeatedWarnings(logger))
    with caught((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)) as inbox:
        with running(settings) as daemon:
            systemd.notify("READY=1", f"STATUS={daemon.status()}")
            _attend(daemon, inbox, reread, outlook)
            systemd.notify("STOPPING=1")
            end_within(settings.limits.drain)
        log.info("stopped")


def _attend(
    daemon: Daemon, inbox: SignalInbox, reread: Callable[[], Settings], outlook: Outlook
) -> None:
    """Do as the signals say until one says to stop; tell the watchdog of a life that is proved.

    It is told after a reload, too: one after the other would put that off until it is too late.
    """
    with Watchdog() as watchdog:
        while True:
            try:
                number = inbox.wait(watchdog.pause)
            except TimeoutError:
                if (path := outlook.shut_out_of()) and daemon.is_unused():
                    log.warning("%s can be written by now, but not from here: starting anew", path)
                    return
            else:
                if number is not signal.SIGHUP:
                    why = number.name if number else "end of input"
                    log.info("%s: stopping", why, extra=told(LogKind.STOPPING))
                    return
                daemon = _reloaded(daemon, reread)
            daemon.servers.tend()
            watchdog.answer(daemon.socket, daemon.status())


def _reloaded(daemon: Daemon, reread: Callable[[], Settings]) -> Daemon:
    """Have a daemon take over what ``reread`` returns, and tell the service manager."""
    log.info("reloading")
    systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        settings = reread()
    except KmoddError as error:
        about = told(LogKind.SETTINGS_REFUSED)
        log.error("the settings stay as they are: %s", error.message, extra=about)
        settings = daemon.settings
    daemon = daemon.reload(settings)
    log.info("reloaded", extra=told(LogKind.RELOADED))
    systemd.notify("READY=1", f"STATUS={daemon.status()}")
    return daemon


def _written(settings: Settings) -> Iterator[Path]:
    """Yield the directories that a daemon writes to, but for those of its sockets."""
    if settings.publish:
        yield modules_directory(settings.root)
    if settings.state is not None:
        yield settings.state
    if settings.audit_file is not None:
        yield settings.audit_file.parent
    if settings.metrics_file is not None:
        yield settings.metrics_file.parent
    if settings.publish_deny:
        yield PublishedDenials(settings.root).path.parent


def _load_what_is_due(
    settings: Settings,
    namespace: Namespace,
    kernel: Kernel,
    hotplug: Hotplug | None,
    keeper: StateKeeper,
) -> None:
    """Load what is to be there from the start: by modules-load.d, for devices, and by wishes."""
    if settings.load_at_start:
        _load_at_start(namespace, settings, kernel)
    if hotplug is not None:
        load_for_devices(hotplug, START_PATIENCE)
    keeper.start()
    if not keeper.settle(START_PATIENCE):
        log.warning("what is wished is still being seen to")


def _load_at_start(namespace: Namespace, settings: Settings, kernel: Kernel) -> None:
    """Load what modules-load.d names; what takes too long goes on while the daemon serves."""
    problems: list[str] = []
    wanted = wanted_at_start(settings, kernel, problems)
    loading = threading.Thread(
        target=load_at_start, args=(namespace, wanted, problems), name="kmodd-start", daemon=True
    )
    loading.start()
    loading.join(START_PATIENCE)
    if loading.is_alive():
        log.warning("what %s names is still being loaded", MODULES_LOAD)


def _kernel_words(kernel: Kernel) -> str:
    return f"{KERNELS[kernel.kind].words}, {kernel.release}"


def _tell_kernel(settings: Settings, kernel: Kernel) -> None:
    """Log which kernel is served, and warn where another one is expected."""
    about = told(LogKind.STARTED, release=kernel.release)
    log.info("serving %s", _kernel_words(kernel), extra=about)
    if isinstance(kernel, Emulation) and not kernel.runs_init:
        log.info("modules' code is not run: %s", kernel.why_not_run)
    system = [each.path for each in settings.sockets if each.path.is_relative_to(SYSTEM_RUNTIME)]
    if system and not kernel.traits.is_real:
        log.warning("%s is the system's socket, but this kernel is not the machine's", system[0])


def _own_socket(settings: Settings) -> Path:
    """Return the socket that the daemon's own calls and those of commands go to."""
    admins = (each.path for each in settings.sockets if each.role is Role.ADMIN)
    return next(admins, settings.sockets[0].path)


def _runs_commands(settings: Settings, kernel: Kernel) -> bool:
    """Tell whether commands of modprobe.d are run."""
    return settings.run_commands or kernel.traits.runs_commands


def _deny_list(settings: Settings) -> DenyList:
    return DenyList(settings.deny, settings.deny_builds)


def _asked_store(settings: Settings, kernel: Kernel) -> AskedStore | None:
    """Return where it is kept which modules were asked for, where they outlive the daemon."""
    if settings.runtime is None or not kernel.traits.outlives_daemon:
        return None
    return AskedStore(settings.runtime, kernel.boot_id)


def _seal_store(settings: Settings, kernel: Kernel) -> SealStore | None:
    """Return where it is kept who has sealed the kernel, where that outlives the daemon."""
    if settings.runtime is None or not kernel.traits.outlives_daemon:
        return None
    return SealStore(settings.runtime, kernel.boot_id)


def _namespace(settings: Settings, kernel: Kernel, trees: Trees, commands: Commands) -> Namespace:
    return Namespace(
        kernel,
        trees,
        commands,
        deny=_deny_list(settings),
        exact=settings.kmod_exact,
        limits=settings.limits,
        audit=AuditTrail(settings.audit_file),
        asked=_asked_store(settings, kernel),
        seals=_seal_store(settings, kernel),
    )


def _keeper(settings: Settings, namespace: Namespace, trees: Trees, kernel: Kernel) -> StateKeeper:
    """Return what sees to the wishes; it is not started yet."""
    traits = kernel.traits
    applied = settings.state / f"wishes.{settings.kernel}" if settings.state else None
    remembered = settings.runtime / WISHES if settings.runtime and traits.outlives_daemon else None
    return StateKeeper(
        namespace,
        trees,
        WishSources(
            settings.desired_state,
            AppliedStore(applied) if applied else None,
            trusted_only=traits.trusted_files_only,
        ),
        partial(_machine, settings, kernel),
        WishMemory(BootStore(remembered, kernel.boot_id) if remembered else None),
    )


def _machine(settings: Settings, kernel: Kernel) -> MachineFacts:
    """Return what wishes may choose by, as it is now."""
    return MachineFacts(kernel.release, os.uname().nodename, dict(settings.labels))


def _metrics_kept(
    path: Path | None, parts: Parts, servers: Servers
) -> contextlib.AbstractContextManager[None]:
    """Return what keeps the file of metrics while it is open, where there is to be one."""
    if path is None:
        return contextlib.nullcontext()
    from kmodd.metrics_file import metrics_written

    return metrics_written(path, parts.metrics(servers.connections))


def _trees(settings: Settings) -> Trees:
    """Return the trees, of which none is read yet; raises KmoddError."""
    kind = KERNELS[settings.kernel]
    directory = modules_directory(settings.root)
    return Trees(
        settings.root,
        settings.release or kind.release() or _newest(directory),
        publish=settings.publish,
        store=RecordStore(settings.state) if settings.state else None,
        modprobe_config=settings.modprobe_config,
        command_line=kind.command_line(settings.kernel_command_line),
        trusted_only=kind.traits.trusted_files_only,
        patience=settings.timing.debounce_removal,
    )


def _kernel_options(settings: Settings, trees: Trees, images: Path | None) -> KernelOptions:
    """Return what the kernel is opened with. What an image says is kept in ``images``."""

    def listed() -> Mapping[str, ModuleRecord]:
        generation = trees.in_force()
        return generation.database.modules if generation else {}

    def database() -> Database | None:
        generation = trees.in_force()
        return generation.database if generation else None

    def modules() -> Mapping[str, ModuleRecord]:
        if reads_behind():
            with contextlib.suppress(KmoddError):
                trees.rebuild()
        return listed()

    def reads_behind() -> bool:
        generation = trees.in_force()
        return generation is not None and generation.is_provisional

    return KernelOptions(
        release=trees.release,
        root=trees.root,
        trees=trees.directory,
        modules=modules,
        listed=listed,
        reads_behind=reads_behind,
        images=ImageStore(images) if images else None,
        command_line=settings.kernel_command_line,
        run_code=settings.run_code,
        database=database,
        image=settings.kernel_image,
        acceleration=settings.vm_accel,
        memory=settings.vm_memory,
        processors=settings.vm_processors,
        states=images / GUESTS if images else None,
    )


def _newest(directory: Path) -> str:
    """Return the release whose tree is meant where nobody names one; raises TreeError."""
    release = newest_release(str(directory))
    if release is None:
        raise TreeError(
            Reason.TREE_NOT_FOUND,
            f"{directory} has no module tree (a directory named for a "
            "kernel release); give --root DIR for one that has, or --release VERSION",
        )
    return release


def _build(trees: Trees, *, at_once: bool = False) -> None:
    """Have a database in force, before the first caller; without a tree there is none yet.

    One that is had ``at_once`` is that on disk, which whoever watches the trees verifies.
    """
    if at_once and trees.serve_published():
        return
    try:
        trees.rebuild()
    except KmoddError as error:
        log.warning("%s", error.message)
