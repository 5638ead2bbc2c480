# SPDX-License-Identifier: Apache-2.0
"""What is made of the kernel's events; that it sends them, tests/realkernel shows."""

import errno
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kmodd.kernel.base import PluggedDevice
from kmodd.kernel.linux.uevents import following

ADD = b"add@/module/world\0ACTION=add\0DEVPATH=/module/world\0SUBSYSTEM=module\0SEQNUM=1\0"
REMOVE = b"remove@/module/world\0ACTION=remove\0DEVPATH=/module/world\0SUBSYSTEM=module\0"
DISK = b"add@/devices/virtual/block/loop0\0ACTION=add\0SUBSYSTEM=block\0"
PATIENCE = 30.0


def never() -> bool:
    return False


@contextmanager
def events(
    changed: Callable[[], None], leaving: Callable[[], bool] = never
) -> Iterator[socket.socket]:
    """The kernel's end of the socket that is followed."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    with kernels, following(changed, leaving, lambda: ours):
        yield kernels


def test_each_module_that_comes_or_goes_is_a_hint_and_nothing_else_is() -> None:
    hints: queue.Queue[str] = queue.Queue()
    with events(lambda: hints.put("changed")) as kernel:
        for event in (ADD, REMOVE):
            kernel.send(DISK)
            kernel.send(event)
            assert hints.get(timeout=PATIENCE) == "changed"
        kernel.send(DISK)
    assert hints.empty()


def test_a_module_that_is_still_leaving_is_looked_at_until_it_has_left() -> None:
    looks: queue.Queue[str] = queue.Queue()
    left = iter([True, True, False])
    with events(lambda: looks.put("look"), lambda: next(left)) as kernel:
        kernel.send(REMOVE)
        for _ in range(3):
            looks.get(timeout=PATIENCE)
    assert looks.empty()


def test_a_look_that_fails_does_not_end_the_looking() -> None:
    looks: queue.Queue[str] = queue.Queue()

    def fail() -> None:
        looks.put("look")
        raise RuntimeError("it does not work")

    with events(fail) as kernel:
        for _ in range(2):
            kernel.send(ADD)
            looks.get(timeout=PATIENCE)


def test_events_that_were_lost_are_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(socket.socket):
        lost = True

        def recvfrom(self, *arguments: int) -> tuple[bytes, object]:
            if Full.lost:
                Full.lost = False
                raise OSError(errno.ENOBUFS, "no buffer space")
            return super().recvfrom(*arguments)

    monkeypatch.setattr(socket, "socket", Full)
    hinted = threading.Event()
    with events(hinted.set) as kernel:
        kernel.send(DISK)
        assert hinted.wait(PATIENCE)


class Listener:
    """Notes what it is told; the first thing that it is told of breaks it."""

    def __init__(self) -> None:
        self.told: queue.Queue[str] = queue.Queue()
        self.question = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def plugged(self, device: PluggedDevice) -> None:
        self.told.put(device.path)
        if device.path.endswith("/bad"):
            raise RuntimeError("it does not work")

    def lost(self) -> None:
        self.told.put("lost")

    def all_heard(self) -> None:
        os.eventfd_read(self.question)
        self.told.put("all heard")


@contextmanager
def devices() -> Iterator[tuple[socket.socket, Listener]]:
    """The kernel's end of the socket, and who is told of devices."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    listener = Listener()
    try:
        with kernels, following(lambda: None, never, lambda: ours, devices=listener):
            yield kernels, listener
    finally:
        os.close(listener.question)


def test_devices_are_told_of_and_a_listener_that_breaks_is_told_of_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with devices() as (kernel, listener):
        for event in (b"add@/devices/bad\0", b"remove@/devices/x\0", b"nonsense", DISK, ADD):
            kernel.send(event)
        told = [listener.told.get(timeout=PATIENCE) for _ in range(3)]
    assert told == ["/devices/bad", "/devices/virtual/block/loop0", "/module/world"]
    assert listener.told.empty()
    assert "an event of a device is passed over" in caplog.text


def test_who_asks_is_answered_after_what_was_sent_before() -> None:
    with devices() as (kernel, listener):
        for _ in range(20):
            kernel.send(DISK)
            os.eventfd_write(listener.question, 1)
            told = [listener.told.get(timeout=PATIENCE) for _ in range(2)]
            assert told == ["/devices/virtual/block/loop0", "all heard"]


def test_events_of_devices_that_were_lost_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    class Overflown(socket.socket):
        lost = True

        def recvfrom(self, *arguments: int) -> tuple[bytes, object]:
            if Overflown.lost:
                Overflown.lost = False
                raise OSError(errno.ENOBUFS, "no buffer space")
            return super().recvfrom(*arguments)

    monkeypatch.setattr(socket, "socket", Overflown)
    with devices() as (kernel, listener):
        kernel.send(DISK)
        assert listener.told.get(timeout=PATIENCE) == "lost"
        assert listener.told.get(timeout=PATIENCE) == "/devices/virtual/block/loop0"


def test_an_event_that_another_process_has_sent_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    senders = iter([(4711, 0), (0, 1)])

    class Netlink(socket.socket):
        def recvfrom(self, *arguments: int) -> tuple[bytes, object]:
            return super().recvfrom(*arguments)[0], next(senders)

    monkeypatch.setattr(socket, "socket", Netlink)
    with devices() as (kernel, listener):
        kernel.send(b"add@/devices/forged\0")
        kernel.send(DISK)
        assert listener.told.get(timeout=PATIENCE) == "/devices/virtual/block/loop0"


def test_after_the_end_no_look_is_under_way() -> None:
    inside, go_on = threading.Event(), threading.Event()
    finished = []

    def slow() -> None:
        inside.set()
        go_on.wait(PATIENCE)
        finished.append(True)

    with events(slow) as kernel:
        kernel.send(ADD)
        assert inside.wait(PATIENCE)
        go_on.set()
    assert finished


def test_a_machine_without_events_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    def refused() -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    with following(lambda: None, never, refused):
        pass
    assert "no uevents: Address family not supported by protocol" in caplog.text
