# SPDX-License-Identifier: Apache-2.0
"""One boot of an isolated kernel: its process, from its start to its end."""

import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import kmodd
from kmodd.errors import KernelError
from kmodd.kernel.base import LoadedModule, Requested
from kmodd.kernel.emulated.process.messages import (
    each,
    number,
    pack_vmlinux,
    text,
    unpack_error,
    unpack_module,
)
from kmodd.kernel.emulated.process.wire import (
    FROM_KERNEL_MAX,
    REQUESTS_MAX,
    Channel,
    Message,
    ProtocolError,
)
from kmodd.kernel.emulated.release.vmlinux import CoreSymbol, Vmlinux
from kmodd.records import record

END_SECONDS = 2.0
"""Seconds that a kernel's process has to end by itself."""

SEND_SECONDS = 30
"""Seconds that it has to take in what is sent to it."""

SHORT_BOOT_SECONDS = 1.0
"""A boot that lasts less than that is not worth another, if it goes on like that."""

MODULES_MAX = 1 << 16
"""Modules that a kernel may say it has."""

LAST_WORDS_MAX = 4096
"""Bytes that are kept of what the process wrote to stderr."""

_BOOTSTRAP = (
    "import gc, json, sys; gc.disable(); sys.path[:] = json.loads(sys.argv[1]); "
    "from kmodd.kernel.emulated.process.child import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), runs_code=sys.argv[4] == '1', "
    "tries=sys.argv[5] == '1')"
)

Unpack = Callable[[object], Any]
"""Reads the value of an answer; raises ProtocolError."""


@record
class ModuleRequest:
    """A module that code has asked for; ``number`` is the request's, for the reply."""

    number: int
    name: str
    waits: bool


HURRY = ModuleRequest(0, "", waits=False)
"""What is put in among the requests of a call that nobody wants to know the end of any more."""


@dataclass(slots=True, eq=False)
class PendingCall:
    """A call under way, for the thread that makes it and the one that receives.

    ``error`` and ``value`` are written before the call is ended. ``requests`` counts what its code
    has asked for. One that ``is_patient`` may take as long as it does, until it ``is_hurried``:
    nobody wants to know its end any more.
    """

    unpack: Unpack
    is_patient: bool = False
    is_hurried: bool = False
    error: KernelError | None = None
    value: Any = None
    requests: int = 0
    _said: SimpleQueue[ModuleRequest | None] = field(default_factory=SimpleQueue)

    def hurry(self) -> None:
        """Have whoever waits for it wait no longer than a moment."""
        self._said.put(HURRY)

    def end(self) -> None:
        """Let it be known that the call is over."""
        self._said.put(None)

    def ask(self, request: ModuleRequest) -> None:
        """Hand a request to the thread that makes the call; raises ProtocolError for too many."""
        self.requests += 1
        if self.requests > REQUESTS_MAX:
            raise ProtocolError(f"more than {REQUESTS_MAX} modules are asked for in one call")
        self._said.put(request)

    def next_request(self, seconds: float | None = None) -> ModuleRequest | None:
        """Wait for the next request, None for the call's end; raises queue.Empty."""
        return self._said.get(timeout=seconds)


class Boot:
    """One boot of the kernel: the process, the conversation with it, the calls under way.

    ``_calls`` and ``_over`` are guarded by ``_lock``; ``listed`` by the lock of the kernel that
    this is a boot of. A thread receives what the process says: answers end calls, what it says by
    itself is handed to ``told``, and ``died`` is called at the end.
    """

    def __init__(
        self,
        orders: Message,
        vmlinux: Vmlinux,
        told: Callable[["Boot", Message], None],
        died: Callable[["Boot", str], None],
    ) -> None:
        """Start the process; raises OSError where the system does not.

        ``orders`` are what the kernel boots with: its command line, and whether it runs code.
        """
        self.listed = dict[str, LoadedModule]()
        self.taint_mask = 0
        self.is_up = False
        self._born = time.monotonic()
        self._told = told
        self._died = died
        self._lock = threading.Lock()
        self._calls: dict[int, PendingCall] = {}
        self._numbers = itertools.count(1)
        self._over = False
        self._sent: Vmlinux | None = None
        self._symbols: Mapping[str, CoreSymbol] | None = None
        self._ready = threading.Event()
        self._start_process(orders)
        threading.Thread(
            target=self._run, args=(orders, vmlinux), name="kmodd-kernel", daemon=True
        ).start()

    def was_short(self) -> bool:
        """Tell whether the kernel was up too short to boot the next one for no reason."""
        return not self.is_up or time.monotonic() - self._born < SHORT_BOOT_SECONDS

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def start(self, call: PendingCall, message: Message, fd: int | None, vmlinux: Vmlinux) -> bool:
        """Begin a call; False where this boot is over. Raises OSError where it cannot be begun."""
        self._ready.wait()
        call_number = next(self._numbers)
        with self._lock:
            if self._over:
                return False
            self._calls[call_number] = call
        with self._channel.lock:
            self._send_vmlinux(vmlinux)
            self._channel.send({**message, "id": call_number}, fd)
        return True

    def reply(self, request: ModuleRequest, requested: Requested) -> None:
        """Tell code what became of the module that it has asked for, and waits for."""
        said = {"number": request.number, "status": requested.status, "why": requested.why}
        # Where the kernel is gone, so is its code.
        with suppress(OSError):
            self._channel.send({"do": "reply", **said})

    def change(self, message: Message) -> None:
        """Take in a change of the listing; raises ProtocolError."""
        for module in each(unpack_module, message.get("modules")):
            self.listed[module.name] = module
        for name in each(text, message.get("gone")):
            self.listed.pop(name, None)
        if len(self.listed) > MODULES_MAX:
            raise ProtocolError(f"more than {MODULES_MAX} modules")

    def fail(self, error: KernelError) -> None:
        """Fail the calls under way; there will be no others."""
        with self._lock:
            self._over = True
            calls, self._calls = self._calls, {}
        for call in calls.values():
            call.error = error
            call.end()

    def kill(self) -> list[str]:
        """End the process at once, and return the last lines that it wrote to stderr."""
        self._kill()
        return self._bury(None)

    def end(self, error: KernelError, seconds: float) -> None:
        """Fail what is under way, and give the process some time to end by itself.

        One that is not up yet has nothing to end.
        """
        self.fail(error)
        if not self.is_up:
            self._kill()
        self._channel.close()
        self._bury(seconds)

    def _start_process(self, orders: Message) -> None:
        """Start the process; raises OSError."""
        with ExitStack() as ours, ExitStack() as theirs:
            end, other_end = socket.socketpair()
            ours.enter_context(end)
            theirs.enter_context(other_end)
            # Whatever the process does, a full pipe must not stop it, nor an empty one its reader.
            self._stderr, errors = _pipe(ours, theirs, os.O_NONBLOCK)
            lifeline, self._lifeline = _pipe(theirs, ours, 0)
            _limit_sending(end)
            self._process = subprocess.Popen(
                command(
                    other_end.fileno(),
                    lifeline,
                    runs_code=orders["run_code"],
                    tries=orders["tries"],
                ),
                pass_fds=(other_end.fileno(), lifeline),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                # The terminal's signals are the daemon's affair.
                start_new_session=True,
                cwd="/",
                # One heap for all threads: glibc gives each its own, of which little goes back.
                env={**os.environ, "MALLOC_ARENA_MAX": "1"},
            )
            self._channel = Channel(end, limit=FROM_KERNEL_MAX)
            ours.pop_all()

    def _send_vmlinux(self, vmlinux: Vmlinux) -> None:
        """Send what the kernel is, if it is not what was sent before."""
        if vmlinux is self._sent:
            return
        same = vmlinux.symbols is self._symbols
        self._channel.send({"do": "vmlinux", **pack_vmlinux(vmlinux, with_symbols=not same)})
        self._sent, self._symbols = vmlinux, vmlinux.symbols

    def _run(self, orders: Message, vmlinux: Vmlinux) -> None:
        """Boot the process, and take in what it says until it ends."""
        try:
            # The process does not read before it has started, which takes a while.
            self._send_vmlinux(vmlinux)
            self._channel.send({"do": "boot", **orders})
            self._ready.set()
            why = self._receive()
        except ProtocolError as error:
            why = f"the kernel's process talks nonsense: {error}"
        except ConnectionError:
            # It has ended before it was told anything.
            why = self._cause_of_death()
        except OSError as error:
            why = f"the kernel's process cannot be reached: {error.strerror}"
        finally:
            self._ready.set()
        self._died(self, why)

    def _receive(self) -> str:
        """Take in messages until the end, and return how that came."""
        while (message := self._channel.receive()) is not None:
            match message.get("is"):
                case "answer":
                    self._answer(message)
                case "request":
                    self._ask(message)
                case _:
                    self._told(self, message)
        return self._cause_of_death()

    def _answer(self, message: Message) -> None:
        with self._lock:
            call = self._calls.pop(number(message.get("id")), None)
        if call is None:
            raise ProtocolError("an answer that nobody asked for")
        try:
            self.taint_mask = number(message.get("taint_mask"))
            if message.get("error") is not None:
                call.error = unpack_error(message["error"])
            else:
                call.value = call.unpack(message.get("value"))
        except ProtocolError:
            # It fails with all the others.
            with self._lock:
                self._calls[0] = call
            raise
        call.end()

    def _ask(self, message: Message) -> None:
        """Hand a request for a module to the call whose code makes it; raises ProtocolError."""
        waits = message.get("wait")
        if not isinstance(waits, bool):
            raise ProtocolError("a request for a module that waits or not")
        request = ModuleRequest(number(message.get("number")), text(message.get("name")), waits)
        with self._lock:
            call = self._calls.get(number(message.get("call")))
        if call is None:
            raise ProtocolError("a request for a module by no call")
        call.ask(request)

    def _cause_of_death(self) -> str:
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return "the kernel's process does not talk any more"
        if status >= 0:
            return f"the kernel's process ended with status {status}"
        return f"the kernel's process was ended by {_signal_name(-status)}"

    def _kill(self) -> None:
        """Have the system kill the process, which a root without CAP_KILL may not: it is another
        user's.
        """
        with suppress(PermissionError):
            self._process.kill()
        self._cut_lifeline()

    def _cut_lifeline(self) -> None:
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)

    def _bury(self, seconds: float | None) -> list[str]:
        """Wait for the process, which is killed where it takes longer than ``seconds``."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        self._channel.close()
        try:
            words = os.read(self._stderr, 1 << 16)[-LAST_WORDS_MAX:]
        except OSError:
            words = b""
        os.close(self._stderr)
        self._cut_lifeline()
        return words.decode("utf-8", "replace").splitlines()


def _pipe(readers: ExitStack, writers: ExitStack, flags: int) -> tuple[int, int]:
    """Return a pipe whose ends are closed with these."""
    reader, writer = os.pipe2(os.O_CLOEXEC | flags)
    readers.callback(os.close, reader)
    writers.callback(os.close, writer)
    return reader, writer


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def command(socket_fd: int, lifeline: int, *, runs_code: bool, tries: bool = False) -> list[str]:
    """Return the command that the kernel's process is started with.

    It has to know ``runs_code``, and whether it ``tries`` modules, before it is told anything else.
    """
    # Isolated: neither the caller's environment nor the working directory has a say.
    paths = [str(Path(kmodd.__file__).parents[1]), *map(os.path.abspath, sys.path)]
    python = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOTSTRAP]
    numbers = [str(socket_fd), str(lifeline), str(int(runs_code)), str(int(tries))]
    return [*python, json.dumps(paths), *numbers]


def _limit_sending(end: socket.socket) -> None:
    """Make a send fail that the kernel's process does not take for too long."""
    timeval = struct.pack("@ll", SEND_SECONDS, 0)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
