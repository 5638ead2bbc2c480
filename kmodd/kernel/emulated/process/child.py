# SPDX-License-Identifier: Apache-2.0
"""The process that the emulated kernel is in.

It is started by boot.py with a socket and a lifeline, and does what the daemon asks: a thread for
each call, so that a module in its init holds up nobody else. Every change of the listing and
every line of the log goes to the daemon at once, before the answer to the call that it is due to.
It ends with the daemon, whatever it is doing, and it ends itself where it is in disorder.

Before it reads a byte from the daemon it imports all that it will ever need, and gives up the rest
(confinement.py).
"""

import errno
import fcntl
import gc
import itertools
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from queue import SimpleQueue
from typing import Any

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags, LoadedModule, LogRecord, Requested
from kmodd.kernel.emulated.abi import function_table, per_cpu, structures
from kmodd.kernel.emulated.execution.cpu import why_not
from kmodd.kernel.emulated.machine.trial import Trial
from kmodd.kernel.emulated.process.confinement import (
    Undone,
    give_up_privileges,
    give_up_system_calls,
)
from kmodd.kernel.emulated.process.messages import (
    pack_details,
    pack_device,
    pack_error,
    pack_file,
    pack_module,
    pack_report,
    unpack_vmlinux,
)
from kmodd.kernel.emulated.process.served_files import ServedFiles
from kmodd.kernel.emulated.process.trial_messages import (
    pack_lines,
    pack_observation,
    unpack_place,
)
from kmodd.kernel.emulated.process.trials import attempt, read_images
from kmodd.kernel.emulated.process.wire import REQUESTS_MAX, TO_KERNEL_MAX, Channel, Message
from kmodd.kernel.emulated.release.vmlinux import Vmlinux
from kmodd.kernel.emulated.reporting.log import KernelLog
from kmodd.kernel.emulated.system_calls.kernel import EmulatedKernel
from kmodd.kernel.trials import Attempt
from kmodd.modulefile.source_lines import source_lines

STACK_SIZE = 1 << 20
"""Bytes of the stack of a thread that makes a call."""

LOG_KEPT = 64
"""Lines that this end keeps of the log: the daemon has them all."""

DEVICES_MAX = 4096
"""Devices that an answer tells of: modules may bring along any number."""

YOUNG = 20_000
"""Objects that are made between two looks for unused cycles: a load makes thousands, of which few
are in any."""

DISORDER = 70
"""The exit status where the kernel is at the end of its wits (sysexits.h, EX_SOFTWARE)."""

IMPORTED_LATE = (
    "kmodd.modulefile.exports",
    "kmodd.modulefile.relocations",
    "kmodd.modulefile.symbols",
    "kmodd.modulefile.versions",
    "kmodd.modulefile.zstd_frames",
)
"""What is imported by functions, when they first need it; there are no files by then."""


DEBUGGING = ("elftools.elf.elffile", "elftools.dwarf.lineprogram", "elftools.dwarf.locationlists")
"""What reads debug information, which is wanted where modules are tried."""


def main(socket_fd: int, lifeline_fd: int, *, runs_code: bool, tries: bool) -> None:
    """Serve the daemon at the other end of the socket until it goes."""
    # A terminal, or whoever ends all of a service's processes, means the daemon.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.stack_size(STACK_SIZE)
    channel = Channel(socket.socket(fileno=socket_fd), limit=TO_KERNEL_MAX, takes_descriptors=True)
    import_all(runs_code=runs_code, tries=tries)
    undone = give_up_privileges()
    # As the user that it is now, whom the system asks whether the signal may be sent.
    die_with(lifeline_fd)
    undone += give_up_system_calls()
    KernelServer(channel, undone).serve()


def import_all(*, runs_code: bool, tries: bool = False) -> None:
    """Import what would be imported later, and nothing after that."""
    for name in (*IMPORTED_LATE, *(DEBUGGING if tries else ())):
        # What Python was built without is missed when it is needed.
        with suppress(ImportError):
            import_module(name)
    if not why_not(wanted=runs_code):
        import_module("kmodd.kernel.emulated.execution.processor")
        import_module("kmodd.kernel.emulated.hardware.x86_64").import_library()
    # An import that was forgotten says so, whatever files there still are.
    sys.path.clear()
    sys.path_importer_cache.clear()


def die_with(lifeline_fd: int) -> None:
    """Have this process killed when the last writer of the pipe is gone.

    The system does it, so that it works in an endless loop too, and unlike PR_SET_PDEATHSIG it
    depends on no thread of the daemon's.
    """
    fcntl.fcntl(lifeline_fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline_fd, fcntl.F_GETFL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(lifeline_fd, select.POLLIN)
    if poll.poll(0):
        os._exit(0)


class KernelServer:
    """A kernel, and the conversation about it.

    The threads take turns at listening (``_turn``): the one that has heard a call makes it, while
    the next one listens. There is always one more than there are calls under way. ``_vmlinux`` is
    swapped as one reference; ``_idle`` and ``_asked`` are guarded by ``_lock``. A thread whose call
    has asked for a module waits for the reply, which the listening thread hands to it.
    """

    def __init__(self, channel: Channel, undone: Undone) -> None:
        """``undone`` is what the daemon is told that this process did not give up."""
        self._channel = channel
        self._undone = undone
        self._vmlinux = Vmlinux("")
        self._kernel: EmulatedKernel | None = None
        self._orders: Message = {}
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._idle = 0
        self._here = threading.local()
        self._numbers = itertools.count(1)
        self._asked: dict[int, SimpleQueue[Requested]] = {}
        self._handlers: dict[str, Callable[[EmulatedKernel, Message], Any]] = {
            "insert": self._insert,
            "remove": self._remove,
            "details": self._details,
            "set": self._set,
            "plug": self._plug,
            "unplug": self._unplug,
            "devices": self._devices,
            "raise": self._raise,
            "files": self._files,
            "attempt": self._attempt,
            "lines": self._lines,
            **ServedFiles().handlers,
        }

    def serve(self) -> None:
        """Do what the daemon asks, until it goes; in this thread and others. Never returns."""
        try:
            while True:
                with self._lock:
                    self._idle += 1
                with self._turn:
                    message = self._next_call()
                with self._lock:
                    self._idle -= 1
                    alone = not self._idle
                if alone:
                    threading.Thread(target=self.serve, daemon=True).start()
                self._call(message)
        except BrokenPipeError:
            os._exit(0)
        except BaseException:
            try:
                traceback.print_exc(file=sys.stderr)
            finally:
                os._exit(DISORDER)

    def _next_call(self) -> Message:
        """Return the next call, once what comes before it is done; ends the process at the end."""
        while (message := self._channel.receive()) is not None:
            match message["do"]:
                case "vmlinux":
                    self._vmlinux = unpack_vmlinux(message, self._vmlinux)
                case "boot":
                    self._boot(message)
                case "reply":
                    with self._lock:
                        asked = self._asked.pop(message["number"])
                    asked.put(Requested(message["status"], message["why"]))
                case _:
                    if message.get("fd"):
                        message["fd"] = self._channel.take_descriptor()
                    return message
        # The daemon is gone, or has given this kernel up.
        os._exit(0)

    def _boot(self, message: Message) -> None:
        layouts = self._vmlinux.layouts
        structures.adopt(layouts)
        per_cpu.adopt(None if layouts is None else self._vmlinux.per_cpu)
        function_table.adopt(self._vmlinux.version, self._vmlinux.release, self._vmlinux.prototypes)
        self._orders = message
        self._kernel = EmulatedKernel(
            self._vmlinux.release,
            lambda: self._vmlinux,
            command_line=message["command_line"],
            run_code=message["run_code"],
            log=KernelLog(LOG_KEPT, self._tell_log),
            changed=self._tell_changes,
            ask=self._ask,
        )
        # What a kernel begins with stays, and need not be gone through over and over.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG)
        gc.enable()  # which it was not while all was imported (boot.py)
        self._channel.send({"is": "up", "undone": self._undone})

    def _call(self, message: Message) -> None:
        """Make one call and answer it; what is not a refusal is the end."""
        assert self._kernel is not None
        self._here.call, self._here.requests = message["id"], 0
        answer: Message = {"is": "answer", "id": message["id"], "error": None, "value": None}
        try:
            answer["value"] = self._handlers[message["do"]](self._kernel, message)
        except KernelError as error:
            answer["error"] = pack_error(error)
        except MemoryError:
            exhausted = KernelError(Reason.KERNEL_REFUSED, "out of memory", errno=errno.ENOMEM)
            answer["error"] = pack_error(exhausted)
        answer["taint_mask"] = self._kernel.identity().taint_mask
        self._channel.send(answer)

    def _insert(self, kernel: EmulatedKernel, message: Message) -> None:
        fd, mode, size = message["fd"], message["mode"], message["size"]
        flags = InsertFlags(message["flags"])
        try:
            if not message["image"]:
                kernel.finit_file(fd, (mode, size), message["parameters"], flags)
                return
            image = os.pread(fd, size, 0)
        finally:
            os.close(fd)
        kernel.init_module(image, message["parameters"], flags)

    def _remove(self, kernel: EmulatedKernel, message: Message) -> list[Any] | None:
        return pack_report(kernel.delete_module(message["name"], force=message["force"]))

    def _details(self, kernel: EmulatedKernel, message: Message) -> list[Any] | None:
        found = kernel.details(message["name"])
        return None if found is None else pack_details(found)

    def _set(self, kernel: EmulatedKernel, message: Message) -> None:
        kernel.set_parameter(message["module"], message["name"], message["value"])

    def _plug(self, kernel: EmulatedKernel, message: Message) -> list[Any]:
        return pack_device(kernel.add_device(message["modalias"]))

    def _unplug(self, kernel: EmulatedKernel, message: Message) -> None:
        kernel.remove_device(message["name"])

    def _devices(self, kernel: EmulatedKernel, _message: Message) -> list[Any]:
        return [pack_device(each) for each in kernel.devices()[:DEVICES_MAX]]

    def _raise(self, kernel: EmulatedKernel, message: Message) -> list[Any]:
        return [*kernel.raise_interrupt(message["number"])]

    def _files(self, kernel: EmulatedKernel, message: Message) -> list[Any]:
        return [pack_file(each) for each in kernel.files(message["path"])]

    def _attempt(self, _kernel: EmulatedKernel, message: Message) -> dict[str, Any]:
        images = read_images(message["fd"], message["sizes"])
        wanted = Attempt(tuple(message["fail"]), tuple(message["devices"]), message["follow"])
        return pack_observation(attempt(self._fresh, images, message["parameters"], wanted))

    def _fresh(self, trial: Trial, log: KernelLog) -> EmulatedKernel:
        """Return a kernel that has just booted, and in which nothing can be asked for."""
        return EmulatedKernel(
            self._vmlinux.release,
            lambda: self._vmlinux,
            command_line=self._orders["command_line"],
            run_code=self._orders["run_code"],
            log=log,
            trial=trial,
        )

    def _lines(self, _kernel: EmulatedKernel, message: Message) -> list[Any]:
        (image,) = read_images(message["fd"], message["sizes"])
        places = [unpack_place(each) for each in message["places"]]
        wanted = [(each.function, each.offset) for each in places]
        return pack_lines(source_lines(image, wanted))

    def _ask(self, name: str, wait: bool) -> Requested:
        """Ask the daemon for a module on behalf of the call that this thread makes.

        Code that asks without end is told that nobody has the time, once with a word in the log.
        """
        self._here.requests += 1
        if self._here.requests > REQUESTS_MAX:
            is_first = self._here.requests == REQUESTS_MAX + 1
            why = f"more than {REQUESTS_MAX} modules are asked for in one call" if is_first else ""
            return Requested(-errno.ETIME, why)
        number, reply = next(self._numbers), SimpleQueue[Requested]()
        if wait:
            with self._lock:
                self._asked[number] = reply
        asked = {"call": self._here.call, "number": number, "name": name, "wait": wait}
        self._channel.send({"is": "request", **asked})
        return reply.get() if wait else Requested()

    def _tell_log(self, record: LogRecord) -> None:
        self._channel.send({"is": "log", "level": record.level, "text": record.text})

    def _tell_changes(self, modules: Iterable[LoadedModule], gone: Iterable[str]) -> None:
        self._channel.send(
            {"is": "changed", "modules": [pack_module(each) for each in modules], "gone": [*gone]}
        )
