# SPDX-License-Identifier: Apache-2.0
"""The kernel's own word that modules came or went, whoever it was that loaded them.

A uevent is a datagram to netlink group 1, which anybody may receive: ``add@/module/NAME`` once a
module's init has run, ``remove@/module/NAME`` before it leaves the list (lib/kobject_uevent.c,
kernel/module). It is taken as a hint: what there is, the listing says.
"""

import contextlib
import errno
import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

NETLINK_KOBJECT_UEVENT = 15
"""The netlink protocol (include/uapi/linux/netlink.h)."""

KERNEL_GROUP = 1
"""The multicast group that the kernel sends to; udev passes events on to group 2."""

UEVENT_MAX = 8192
"""Bytes that are read of an event; the kernel's own bound is lower (UEVENT_BUFFER_SIZE)."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds until another look while a module leaves: the first time, and after many."""

log = logging.getLogger(__name__)


def open_uevents() -> socket.socket:
    """Return a socket that the kernel's events come from; raises OSError."""
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    uevents = socket.socket(socket.AF_NETLINK, kind, NETLINK_KOBJECT_UEVENT)
    try:
        uevents.bind((0, KERNEL_GROUP))
    except OSError:
        uevents.close()
        raise
    return uevents


@contextlib.contextmanager
def following(
    changed: Callable[[], None],
    leaving: Callable[[], bool],
    opened: Callable[[], socket.socket] = open_uevents,
) -> Iterator[None]:
    """Call ``changed`` from another thread whenever modules may have come or gone.

    ``leaving`` tells whether a module is listed that is on its way out: the event comes before it
    has left, and nothing comes after. Where there are no events to be had, ``changed`` is never
    called and the log says so.
    """
    try:
        uevents = opened()
    except OSError as error:
        log.warning("changes that others make are seen late: no uevents: %s", error.strerror)
        yield
        return
    wake = os.eventfd(0, os.EFD_CLOEXEC)
    follower = threading.Thread(
        target=_follow, args=(uevents, wake, changed, leaving), name="uevents", daemon=True
    )
    follower.start()
    try:
        yield
    finally:
        os.eventfd_write(wake, 1)
        follower.join()
        os.close(wake)
        uevents.close()


def _follow(
    uevents: socket.socket, wake: int, changed: Callable[[], None], leaving: Callable[[], bool]
) -> None:
    poll = select.poll()
    poll.register(uevents, select.POLLIN)
    poll.register(wake, select.POLLIN)
    pause: float | None = None
    while True:
        ready = {fd for fd, _ in poll.poll(None if pause is None else pause * 1000)}
        if wake in ready:
            return
        news = uevents.fileno() in ready and _concern_modules(uevents)
        if not news and pause is None:
            continue
        try:
            changed()
            longer = FIRST_PAUSE if news or pause is None else min(pause * 2, LONGEST_PAUSE)
            pause = longer if leaving() else None
        except Exception:
            # The next event deserves another attempt, whatever came of this one.
            log.exception("a change of the loaded modules is passed over")
            pause = None


def _concern_modules(uevents: socket.socket) -> bool:
    """Take in all the events that there are; tell whether one is of a module, or was lost."""
    found = False
    while True:
        try:
            event = uevents.recv(UEVENT_MAX)
        except BlockingIOError:
            return found
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            found = True
        else:
            found = found or event.startswith((b"add@/module/", b"remove@/module/"))
