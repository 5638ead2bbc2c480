# SPDX-License-Identifier: Apache-2.0
"""The kernel's own word that modules came or went, and that devices were plugged in.

A uevent is a datagram to netlink group 1, which anybody may receive: ``add@/module/NAME`` once a
module's init has run, ``remove@/module/NAME`` before it leaves the list (lib/kobject_uevent.c,
kernel/module). It is taken as a hint: what there is, the listing says. ``add@/devices/...`` tells
of a device, the first time and whenever somebody has the kernel tell of it anew.
"""

import contextlib
import errno
import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial

from kmodd.kernel.base import DeviceListener
from kmodd.kernel.linux.devices import device_of_event
from kmodd.kernel.linux.system import EventSource
from kmodd.records import record

NETLINK_KOBJECT_UEVENT = 15
"""The netlink protocol (include/uapi/linux/netlink.h)."""

KERNEL_GROUP = 1
"""The multicast group that the kernel sends to; udev passes events on to group 2."""

UEVENT_MAX = 8192
"""Bytes that are read of an event; the kernel's own bound is lower (UEVENT_BUFFER_SIZE)."""

ROOM = 1 << 20
"""Bytes of events that are asked to be kept until they are read; the kernel may give less."""

MOST = 4096
"""Events that are taken in before anything else is looked at."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds until another look while a module leaves: the first time, and after many."""

log = logging.getLogger(__name__)


def open_uevents() -> socket.socket:
    """Return a socket that the kernel's events come from; raises OSError."""
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    uevents = socket.socket(socket.AF_NETLINK, kind, NETLINK_KOBJECT_UEVENT)
    try:
        uevents.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        uevents.bind((0, KERNEL_GROUP))
    except OSError:
        uevents.close()
        raise
    return uevents


@record
class _Following:
    """Who is told of what."""

    uevents: EventSource
    wake: int
    changed: Callable[[], None]
    leaving: Callable[[], bool]
    devices: DeviceListener | None


@contextlib.contextmanager
def following(
    changed: Callable[[], None],
    leaving: Callable[[], bool],
    opened: Callable[[], EventSource] = open_uevents,
    *,
    devices: DeviceListener | None = None,
) -> Iterator[None]:
    """Call ``changed`` from another thread whenever modules may have come or gone.

    ``leaving`` tells whether a module is listed that is on its way out: the event comes before it
    has left, and nothing comes after. ``devices`` is told of devices. Where there are no events to
    be had, neither is ever told of any, and the log says so.
    """
    try:
        uevents = opened()
    except OSError as error:
        log.warning("changes that others make are seen late: no uevents: %s", error.strerror)
        yield
        return
    wake = os.eventfd(0, os.EFD_CLOEXEC)
    told = _Following(uevents, wake, changed, leaving, devices)
    follower = threading.Thread(target=_follow, args=(told,), name="uevents", daemon=True)
    follower.start()
    try:
        yield
    finally:
        os.eventfd_write(wake, 1)
        follower.join()
        os.close(wake)
        uevents.close()


def _follow(told: _Following) -> None:
    poll = select.poll()
    poll.register(told.uevents, select.POLLIN)
    poll.register(told.wake, select.POLLIN)
    question = -1 if told.devices is None else told.devices.question
    if question >= 0:
        poll.register(question, select.POLLIN)
    pause: float | None = None
    while True:
        ready = {fd for fd, _ in poll.poll(None if pause is None else pause * 1000)}
        if told.wake in ready:
            return
        news, is_all = False, True
        if not ready.isdisjoint((told.uevents.fileno(), question)):
            news, is_all = _take_in(told)
        if question in ready and is_all and told.devices is not None:
            _tell(told.devices.all_heard)
        if not news and pause is None:
            continue
        try:
            told.changed()
            longer = FIRST_PAUSE if news or pause is None else min(pause * 2, LONGEST_PAUSE)
            pause = longer if told.leaving() else None
        except Exception:
            # The next event deserves another attempt, whatever came of this one.
            log.exception("a change of the loaded modules is passed over")
            pause = None


def _take_in(told: _Following) -> tuple[bool, bool]:
    """Take in the events that there are, many at most.

    Tells whether one is of a module, or was lost; and whether there are no more.
    """
    found = False
    for _ in range(MOST):
        try:
            event, sender = told.uevents.recvfrom(UEVENT_MAX)
        except BlockingIOError:
            return found, True
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            found = True
            if told.devices is not None:
                _tell(told.devices.lost)
            continue
        if isinstance(sender, tuple) and sender[0] != 0:  # a port of its own: not the kernel
            continue
        found = found or event.startswith((b"add@/module/", b"remove@/module/"))
        if told.devices is not None and event.startswith(b"add@"):
            device = device_of_event(event)
            if device is not None:
                _tell(partial(told.devices.plugged, device))
    return found, False


def _tell(tell: Callable[[], None]) -> None:
    """Tell a listener of something; the next event is told of, whatever comes of this one."""
    try:
        tell()
    except Exception:
        log.exception("an event of a device is passed over")
