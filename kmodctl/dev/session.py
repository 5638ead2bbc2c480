# SPDX-License-Identifier: Apache-2.0
"""The loop of ``kmodctl dev``: a save, a build, the old module out, the new one in, and its log."""

import os
import selectors
import subprocess
import sys
from collections.abc import Callable
from time import monotonic

from kmodctl.api import Api
from kmodctl.dev.bench import Bench
from kmodctl.dev.building import BuildError, built_modules, make_command, parameters_for
from kmodctl.dev.headers import Headers
from kmodctl.dev.kernel_log import FollowedLog
from kmodctl.dev.signals import EndingSignals
from kmodctl.dev.sources import Snapshot, SourcesError, SourceWatch, snapshot
from kmodctl.dev.telling import Told
from kmodctl.direct import DirectChannel
from kmodctl.errors import KmodctlError

QUIET = 0.04
"""Seconds without an event after which a save is whole; an editor's take a few milliseconds."""

QUIET_MAX = 0.5
"""Seconds after which a save counts as whole, whatever goes on."""

LOOK = 1.0
"""Seconds between two looks at the sources where no event comes; some file systems have none."""


class Wishes:
    """What to do with what is built: parameters, as NAME=VALUE, and devices, by their modaliases.

    With ``check`` each module is checked, too; with ``once`` there is one round.
    """

    __slots__ = ("check", "devices", "once", "parameters", "verbose")

    def __init__(
        self,
        parameters: list[str],
        devices: list[str],
        *,
        check: bool,
        once: bool,
        verbose: bool,
    ) -> None:
        self.parameters = parameters
        self.devices = devices
        self.check = check
        self.once = once
        self.verbose = verbose


class Session:
    """One run of the command in a directory; for one thread.

    ``socket`` gives the daemon's, which is first asked for once something is built.
    """

    def __init__(
        self,
        directory: str,
        headers: Headers,
        wishes: Wishes,
        told: Told,
        socket: Callable[[], str],
    ) -> None:
        """Raises BuildError where make cannot build in ``directory``."""
        self._directory = directory
        self._headers = headers
        self._command = make_command(headers.directory, directory)
        self._wishes = wishes
        self._told = told
        self._socket = socket
        self._built: Snapshot | None = None
        self._api: Api | None = None
        self._bench: Bench | None = None
        self._log: FollowedLog | None = None
        self._parts: dict[str, float] = {}

    def run(self, signals: EndingSignals, watch: SourceWatch) -> None:
        """Go round until a signal comes, or once; then take out what was put in.

        Raises KmodctlError for what leaves nothing to wait for.
        """
        self._signals = signals
        self._watch = watch
        if watch.why_blind:
            self._told.warning(f"saves are noticed late: {watch.why_blind}")
        with selectors.DefaultSelector() as self._selector:
            for each in (signals, watch):
                self._selector.register(each, selectors.EVENT_READ)
            try:
                while not signals.has_come:
                    self._look()
                    if self._wishes.once:
                        return
            finally:
                self._clear()

    def _look(self) -> None:
        """Have a round where a source is new, else wait for one."""
        self._settle()
        began = monotonic()
        try:
            now = snapshot(self._directory)
        except SourcesError as error:
            if self._built is None or not os.path.isdir(self._directory):
                raise
            now = {}
            if self._built:
                self._told.failed("", error)
        looked = monotonic() - began
        if not now or now == self._built:
            self._built = now
            self._wait(max(LOOK, 20 * looked))
            return
        self._parts["look"] = looked
        self._built = now
        self._round()

    def _round(self) -> None:
        built = self._build()
        if self._signals.has_come:
            return
        if built:
            try:
                self._exchange()
            except KmodctlError as error:
                self._told.failed("", error)
            except OSError as error:
                self._told.failed("", BuildError(f"{error.filename}: {error.strerror}"))
        if self._wishes.verbose:
            parts = ", ".join(f"{name} {spent:.3f} s" for name, spent in self._parts.items())
            self._told.event("spent", f"spent: {parts}", seconds=self._parts)
        self._parts = {}
        if not self._wishes.once:
            self._told.event("wait", f"waits for a save in {self._directory}; Ctrl-C ends")

    def _build(self) -> bool:
        """Have make build; what it and the compiler say goes to stderr as it is."""
        release = self._headers.release
        self._told.event("build", f"builds {self._directory} for {release}", release=release)
        sys.stderr.flush()
        began = monotonic()
        try:
            child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=2)
        except OSError as error:
            self._told.failed("make", BuildError(error.strerror or str(error)))
            return False
        ended = os.pidfd_open(child.pid)
        self._selector.register(ended, selectors.EVENT_READ)
        self._selector.unregister(self._watch)  # what comes now is looked at afterwards
        try:
            while child.poll() is None:
                self._wait(LOOK)
                if self._signals.has_come and child.poll() is None:
                    child.terminate()
                    child.wait()
        finally:
            self._selector.register(self._watch, selectors.EVENT_READ)
            self._selector.unregister(ended)
            os.close(ended)
        self._parts["make"] = monotonic() - began
        if child.returncode and not self._signals.has_come:
            self._told.failed("", BuildError(f"make ended with status {child.returncode}"))
        return child.returncode == 0

    def _exchange(self) -> None:
        """Take the old modules out and put those in that were built."""
        modules = built_modules(self._directory)
        parameters = parameters_for(modules, self._wishes.parameters)
        bench = self._connected()
        began = monotonic()
        is_free = bench.take_out(tuple(module.name for module in modules))
        self._parts["out"] = monotonic() - began
        if not is_free:
            return
        began = monotonic()
        for module in modules:
            if not bench.put_in(module, parameters[module.name]):
                break
        bench.plug_in()
        self._parts["in"] = monotonic() - began
        if self._wishes.check:
            for module in modules:
                bench.check(module, parameters[module.name], lambda: self._signals.has_come)

    def _connected(self) -> Bench:
        """Return what puts modules into the kernel, whose log is followed from now on."""
        if self._api is None:
            path = self._socket()
            self._api = Api(lambda: DirectChannel(path))
        if self._log is None:
            try:
                self._log = FollowedLog(self._api, DirectChannel(self._socket()))
                self._selector.register(self._log, selectors.EVENT_READ)
            except KmodctlError as error:
                self._told.warning(f"the kernel's log is not shown: {error}")
        if self._bench is None:
            self._bench = Bench(self._api, self._told, self._wishes.devices, self._catch_up)
        return self._bench

    def _clear(self) -> None:
        """Take out what was put in, and end the connections."""
        try:
            if self._bench is not None:
                self._bench.clear()
        except KmodctlError as error:
            self._told.failed("", error)
        if self._log is not None:
            self._log.close()
        if self._api is not None:
            self._api.close()

    def _catch_up(self) -> None:
        """Show what the kernel has logged by now."""
        if self._log is None:
            return
        try:
            for record in self._log.caught_up():
                self._told.record(record)
        except KmodctlError:  # the thread that follows it tells why
            pass
        self._show_log()

    def _show_log(self) -> None:
        if self._log is None:
            return
        for record in self._log.come():
            self._told.record(record)
        if self._log.why_ended is not None:
            self._told.warning(f"the kernel's log has ended: {self._log.why_ended}")
            self._selector.unregister(self._log)
            self._log.close()
            self._log = None

    def _wait(self, seconds: float) -> bool:
        """Wait for anything, and show what is logged; returns whether a source may be new."""
        ready = {key.fileobj for key, _ in self._selector.select(seconds)}
        self._show_log()
        return self._watch in ready

    def _settle(self) -> None:
        """Wait until a save that has begun is whole."""
        began = monotonic()
        pause = 0.0
        while self._wait(pause) and monotonic() - began < QUIET_MAX:
            self._watch.clear()
            pause = QUIET
            if self._signals.has_come:
                return
        if pause:
            self._parts["settle"] = monotonic() - began
