# SPDX-License-Identifier: Apache-2.0
"""What an input device reports, as a file in /dev/input (drivers/input/evdev.c).

Each input device has one, as where evdev is loaded. Who has it open has a queue of his own, which
begins empty; where he reads too slowly, all that waits is lost, and he is told so.
"""

import os
import stat
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EAGAIN, EFAULT, EINVAL, ENODEV

from kmodd.kernel.emulated.abi.structures import LIST_HEAD, POLL_TABLE, WAIT_QUEUE
from kmodd.kernel.emulated.functions.open_files import Content, FileDescription
from kmodd.kernel.emulated.functions.polling import pollwait
from kmodd.kernel.emulated.functions.sync import INTERRUPTED, signal_pending, wake_up
from kmodd.kernel.emulated.machine.machine import Machine

QUEUE_MAX = 64
"""Events of one reader that wait at most (EVDEV_MIN_BUFFER_SIZE)."""

Event = tuple[int, int, int]
"""A type, a code and a value."""

Listener = Callable[[list[Event]], None]
"""Is told the events of a report, the last of which ends it."""

_EVENT = struct.Struct("<QQHHi")
_LOST = (0, 3, 0)
"""SYN_DROPPED of linux/input-event-codes.h."""

_READABLE, _GONE = 0x41, 0x18
"""EPOLLIN and EPOLLRDNORM; EPOLLERR and EPOLLHUP."""

_QUEUE_SIZE = 64


@dataclass(slots=True, eq=False)
class EventReader:
    """One who has a device's file open: what he has not read, and where the kernel has him wait."""

    queue: int
    events: deque[bytes] = field(default_factory=deque)
    listener: Listener = lambda _events: None


@dataclass(slots=True)
class EventReaders:
    """All readers, by their ``struct file``."""

    known: dict[int, EventReader] = field(default_factory=dict)


class EventContent(Content):
    """The events of a device: ``listen`` and ``stop`` have a listener told of them, and no more."""

    kind = stat.S_IFCHR

    def __init__(
        self,
        listen: Callable[[Machine, Listener], int],
        stop: Callable[[Machine, Listener], None],
    ) -> None:
        self.listen = listen
        self.stop = stop

    def uses(self, _machine: Machine) -> str:
        """It can be read and polled."""
        return "rp"

    def open(self, machine: Machine, file: FileDescription) -> int:
        """Begin to listen; the first listener has the device opened."""
        queue = machine.heap.allocate(_QUEUE_SIZE)
        for link in (LIST_HEAD.next, LIST_HEAD.previous):
            machine.memory.put(queue + WAIT_QUEUE.entries + link, queue + WAIT_QUEUE.entries)
        reader = EventReader(queue)
        reader.listener = lambda events: _take(machine, reader, events)
        code = self.listen(machine, reader.listener)
        if code < 0:
            machine.heap.free(queue)
            return code
        machine.state(EventReaders).known[file.struct] = reader
        return 0

    def release(self, machine: Machine, file: FileDescription) -> None:
        """Listen no more."""
        reader = machine.state(EventReaders).known.pop(file.struct, None)
        if reader is not None:
            self.stop(machine, reader.listener)
            machine.heap.free(reader.queue)

    def read(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Give as many whole events as there is room for, and wait for the first."""
        if size < _EVENT.size:
            return -EINVAL
        events = machine.state(EventReaders).known[file.struct].events
        if not events and file.flags & os.O_NONBLOCK:
            return -EAGAIN

        def ready() -> int | None:
            if events or file.gone:
                return 0
            return INTERRUPTED if signal_pending(machine, file.task) else None

        code = machine.tasks.wait(ready)
        if code or file.gone:
            return code or -ENODEV
        count = min(len(events), size // _EVENT.size)
        data = b"".join(events.popleft() for _ in range(count))
        return len(data) if machine.users.write(buffer, data) == len(data) else -EFAULT

    def poll(self, machine: Machine, file: FileDescription, table: int) -> int:
        """Tell whether there are events."""
        reader = machine.state(EventReaders).known[file.struct]
        if machine.memory.number(table + POLL_TABLE.enqueue):
            pollwait(machine, file.struct, reader.queue, table)
        return (_READABLE if reader.events else 0) | (_GONE if file.gone else 0)


def _take(machine: Machine, reader: EventReader, events: list[Event]) -> None:
    """Put a report into a reader's queue, and wake him."""
    if len(reader.events) + len(events) > QUEUE_MAX:
        reader.events.clear()
        events = [_LOST, events[-1]]
    seconds, rest = divmod(machine.clock.nanoseconds, 1_000_000_000)
    for kind, code, value in events:
        reader.events.append(_EVENT.pack(seconds, rest // 1000, kind, code, value))
    wake_up(machine, reader.queue, 3, 1, 0)
