# SPDX-License-Identifier: Apache-2.0
"""What the process of the emulated kernel may say to the daemon: any bytes on its socket.

The call under way ends with a value or the one error, and the kernel that boots next serves calls.
"""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import (
    Device,
    EmulationReport,
    InitState,
    InsertFlags,
    KernelFile,
    LoadedModule,
    LogRecord,
    ModuleDetails,
    ModuleNote,
    ModuleSection,
    Requested,
)
from kmodd.kernel.emulated import IsolatedKernel
from kmodd.kernel.emulated.process import boot
from kmodd.kernel.emulated.process.messages import (
    pack_details,
    pack_device,
    pack_error,
    pack_file,
    pack_module,
    pack_report,
)
from kmodd.kernel.emulated.process.wire import TO_KERNEL_MAX, Channel
from kmodd.namespace import DescribedParameter
from kmodd.queries.messages import text
from kmodd.service.convert import (
    leaks_told,
    log_message,
    module_message,
    note_message,
    parameter_message,
    section_message,
)
from kmodd.service.failures import failure_message
from kmodd.v1 import emulation_service_pb2, module_service_pb2
from tests.fuzz.fuzzer import Format, Fuzzer, Target
from tests.fuzz.logged import unexpected
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.emulated import RELEASE, kernel, vmlinux

CALLS: tuple[Callable[[IsolatedKernel], object], ...] = (
    lambda kernel: kernel.init_module(b"x", "", InsertFlags.NONE),
    lambda kernel: kernel.details("sample"),
    lambda kernel: kernel.delete_module("sample"),
    lambda kernel: kernel.set_parameter("sample", "a", "b"),
    lambda kernel: kernel.add_device("pci:x"),
    lambda kernel: kernel.devices(),
    lambda kernel: kernel.files("/dev"),
)
"""The calls that the process may answer with what is not due; an input's first byte says which."""

CALL_SECONDS = 5.0
"""Seconds that a call may take; the thread that reads the answer may be gone."""

_LENGTH_BYTES = 4


class PlayedProcess:
    """Takes the place of the process: says ``words`` once it has been called, and goes.

    Once ``words`` have been said, it answers every call instead, as does its successor.
    """

    words: bytes | None = None

    def __init__(self, _command: list[str], *, pass_fds: tuple[int, int], **_: Any) -> None:
        self.pid = os.getpid()
        self.returncode: int | None = None
        self._end = socket.socket(fileno=os.dup(pass_fds[0]))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, _seconds: float | None = None) -> int:
        """Return an exit status once it has gone."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.returncode = 0
        return 0

    def kill(self) -> None:
        """Go."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        channel = Channel(self._end, limit=TO_KERNEL_MAX, takes_descriptors=True)
        with self._end, suppress(OSError):
            while (message := channel.receive()) is not None:
                if message.get("fd"):
                    os.close(channel.take_descriptor())
                if "id" not in message:
                    continue
                words, PlayedProcess.words = PlayedProcess.words, None
                if words is not None:
                    self._end.sendall(words)
                    self._end.shutdown(socket.SHUT_WR)
                    continue
                answer = {"is": "answer", "id": message["id"], "taint_mask": 0, "value": None}
                channel.send(answer)


@contextmanager
def opened() -> Iterator[Target]:
    """Have kernels whose process is played."""
    process = SimpleNamespace(
        Popen=PlayedProcess, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired
    )
    booted = vmlinux()
    with patch.object(boot, "subprocess", process), unexpected() as logged:

        def target(data: bytes) -> None:
            PlayedProcess.words = data[1:]
            played = IsolatedKernel(RELEASE, lambda: booted, call_seconds=CALL_SECONDS)
            played.answer_requests(lambda _name, _waits: Requested(0, ""))
            try:
                try:
                    tell(CALLS[data[0] % len(CALLS) if data else 0](played))
                except KernelError as error:
                    failure_message(error)
                tell(played.modules())
                logged.check()
                see_that_it_serves(played)
                tell(played.read_log())
            finally:
                played.close()

        yield target


def see_that_it_serves(played: IsolatedKernel) -> None:
    """Make a call; the first may come too early to be one of the next boot's."""
    try:
        played.set_parameter("sample", "a", "b")
    except KernelError as error:
        if error.reason is not Reason.KERNEL_PANIC:
            raise
        played.set_parameter("sample", "a", "b")


def tell(value: object) -> None:
    """Make of what a call has given what a client is told of it."""
    match value:
        case tuple():
            for each in value:
                tell(each)
        case LoadedModule():
            module_message(value)
        case ModuleDetails():
            module_message(value.module)
            tell((*value.sections, *value.notes))
            for shown in value.parameters:
                parameter_message(DescribedParameter(shown, "", ""))
            module_service_pb2.GetModuleResponse(
                core_size_bytes=value.core_size, init_size_bytes=value.init_size
            )
        case ModuleSection():
            section_message(value)
        case ModuleNote():
            note_message(value)
        case LogRecord():
            log_message(value)
        case EmulationReport():
            leaks_told(value)
        case Device():
            emulation_service_pb2.Device(name=text(value.name), probe_errno=value.probe_errno)
        case KernelFile():
            text(value.path)


def split(data: bytes) -> list[bytes]:
    """Return the first byte of an input, and the messages behind it."""
    messages, at = [data[:1]], 1
    while at + _LENGTH_BYTES <= len(data):
        length = int.from_bytes(data[at : at + _LENGTH_BYTES], "big")
        at += _LENGTH_BYTES
        messages.append(data[at : at + length])
        at += length
    return messages


def joined(messages: list[bytes]) -> bytes:
    """Return the messages with lengths that are right."""
    first, *rest = messages or [b"\0"]
    return first[:1] + b"".join(len(each).to_bytes(_LENGTH_BYTES, "big") + each for each in rest)


def seeds() -> Iterator[bytes]:
    """Yield an answer to each call, an error, and all that a kernel says by itself."""
    genuine = kernel()
    genuine.init_module(write_module(ModuleSpec()), "", InsertFlags.NONE)
    (module,) = genuine.modules()
    details = genuine.details(module.name)
    assert details is not None
    device = Device(
        name="0000:00:01.0",
        bus="pci",
        modalias="pci:v1",
        driver="d",
        driver_module="sample",
        probe_errno=19,
        owner="",
    )
    report = EmulationReport(InitState.RAN, "", ("a",), ("b",))
    values = (
        None,
        pack_details(details),
        pack_report(report),
        None,
        pack_device(device),
        [pack_device(device)],
        [pack_file(KernelFile("/dev/x", False, "sample", 0o600))],
    )
    asked = {"is": "request", "number": 1, "name": "hello", "wait": True, "call": 1}
    listed = {"is": "changed", "modules": [pack_module(module)], "gone": ["a"]}
    told = [{"is": "up", "undone": ["no files"]}, {"is": "log", "level": 4, "text": "x"}, listed]
    for number, value in enumerate(values):
        answer = {"is": "answer", "id": 1, "taint_mask": 4096, "value": value}
        pieces = [json.dumps(each).encode() for each in (*told, asked, answer)]
        yield joined([bytes([number]), *pieces])
    error = KernelError(Reason.KERNEL_REFUSED, "no", errno=22, log=("a",), leaks=("b",))
    refused = {"is": "answer", "id": 1, "taint_mask": 0, "error": pack_error(error)}
    yield joined([bytes([0]), json.dumps(refused).encode()])


FUZZER = Fuzzer(
    opened=opened,
    seeds=seeds,
    words=(
        *('{"is":"answer","id":1}', '"is":"log"', '"error":[', "[]", "{}", "null", "true", "-1"),
        *("1e999", "18446744073709551616", "NaN", '"\\ud800"', '"request"', '"changed"', '"wait"'),
    ),
    format=Format(split, joined),
)
