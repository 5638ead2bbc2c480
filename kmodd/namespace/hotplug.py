# SPDX-License-Identifier: Apache-2.0
"""What is plugged in has its driver loaded: by the kernel's events, and by a walk of what is there.

It is udev's work, done in udev's place: what udev's rule for drivers would load is loaded as every
caller's request is, by the same road. A device that nothing answers to, or whose modules are all
there, makes no operation.

    an event  -> rule -> names that wait, each once -> one of a few workers -> Namespace.load
    the walk  ---^
"""

import logging
import threading
from collections.abc import Callable, Iterable

from kmodd.config.udev_rules import DriverRule
from kmodd.errors import NotFoundError, RequestError
from kmodd.host.udev_gate import UdevGate
from kmodd.kernel.base import ModuleState, PluggedDevice
from kmodd.namespace.context import RequestContext
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.namespace.outcome import Outcome
from kmodd.plan import DenyList, LoadRequest
from kmodd.plan.load import NOTHING_DENIED
from kmodd.plan.lookup import resolve
from kmodd.records import record
from kmodd.trees import Generation

WORKERS = 4
"""Threads that load; a fifth walks where events were lost."""

MOST_WAITING = 16384
"""Names that wait to be loaded; where more are heard of, the walk finds the rest again."""

HOTPLUG = "hotplug"
"""The origin of what is loaded for a device."""

log = logging.getLogger(__name__)


@record
class _Wanted:
    """A name that a device wants; ``number`` tells before what it was heard of."""

    number: int
    name: str
    device: str


class Hotplug:
    """Loads for devices. ``_news`` guards every field and wakes the workers and who waits.

    It is told by the thread that hears the kernel's events, which it never keeps waiting.
    """

    def __init__(
        self,
        rule: DriverRule,
        load: Callable[[LoadRequest, RequestContext], Outcome],
        is_news: Callable[[str], bool],
        devices: Callable[[], Iterable[PluggedDevice]],
        *,
        gate: UdevGate | None = None,
        most: int = MOST_WAITING,
    ) -> None:
        """``is_news`` tells whether there is anything to load for a name, ``devices`` which devices
        there are. At the ``gate`` udev waits for what was heard of to be done.
        """
        self._gate = gate
        self._rule = rule
        self._load = load
        self._is_news = is_news
        self._devices = devices
        self._most = most
        self._news = threading.Condition()
        self._last = 0
        self._waiting: dict[str, _Wanted] = {}
        self._under_way: set[int] = set()
        self._asking: list[tuple[int, Callable[[], None]]] = []
        self._walk_wanted = 0
        self._walking = 0
        self._ended = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to load, and walk through what is there."""
        self.lost()
        self._threads = [
            threading.Thread(target=self._work, name=f"hotplug-{number}", daemon=True)
            for number in range(WORKERS)
        ]
        self._threads.append(threading.Thread(target=self._walk, name="hotplug-walk", daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float) -> None:
        """Begin nothing more, and wait up to ``patience`` seconds for what is under way.

        What was not begun is udev's to do.
        """
        if self._gate is not None:
            self._gate.close()
        with self._news:
            self._ended = True
            self._waiting.clear()
            self._news.notify_all()
        self._answer()
        for thread in self._threads:
            thread.join(patience)

    def end(self) -> None:
        """Give back what was open; the kernel tells of nothing any more."""
        if self._gate is not None:
            self._gate.end()

    def plugged(self, device: PluggedDevice) -> None:
        """Have loaded what the rule has for a device that was plugged in."""
        for name in self._rule.wanted(device.properties):
            with self._news:
                if name in self._waiting or self._ended:
                    continue
                if len(self._waiting) >= self._most:
                    self._want_walk()
                    return
                self._add(name, device)

    def lost(self) -> None:
        """Have the walk done, since something was not heard of."""
        with self._news:
            self._want_walk()

    @property
    def question(self) -> int:
        """What can be read while somebody is at the gate; -1 where there is none."""
        return -1 if self._gate is None else self._gate.question

    def all_heard(self) -> None:
        """Let those pass who are at the gate, once all that was heard of by now is done."""
        if self._gate is not None:
            self._gate.all_heard(self.when_done)

    def open_gate(self) -> None:
        """Have udev leave to the daemon what it does from now on."""
        if self._gate is not None:
            self._gate.open()

    def when_done(self, answer: Callable[[], None]) -> None:
        """Call ``answer``, which must not block, once all that was heard of by now is done."""
        with self._news:
            self._asking.append((self._last, answer))
        self._answer()

    def wait(self, patience: float) -> bool:
        """Wait until all that was heard of by now is done; False after ``patience`` seconds."""
        done = threading.Event()
        self.when_done(done.set)
        return done.wait(patience)

    def _want_walk(self) -> None:
        """Note that a walk is wanted, after the one that may be under way; with the lock held."""
        if not self._walk_wanted:
            self._last += 1
            self._walk_wanted = self._last
            self._news.notify_all()

    def _add(self, name: str, device: PluggedDevice) -> None:
        """Have a name wait for a worker; with the lock held."""
        self._last += 1
        self._waiting[name] = _Wanted(self._last, name, device.path)
        self._news.notify_all()

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                wanted = self._waiting.pop(next(iter(self._waiting)))
                self._under_way.add(wanted.number)
            try:
                if self._is_news(wanted.name):
                    call = RequestContext(origin=HOTPLUG, device=wanted.device)
                    self._load(LoadRequest(name=wanted.name, use_blacklist=True), call)
            except Exception:
                # The next device deserves its driver, whatever came of this one.
                log.exception("%s: %s is passed over", wanted.device, wanted.name)
            with self._news:
                self._under_way.discard(wanted.number)
                self._news.notify_all()
            self._answer()

    def _walk(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._walk_wanted or self._ended)
                if self._ended:
                    return
                self._walking, self._walk_wanted = self._walk_wanted, 0
            try:
                self._walk_once()
            except Exception:
                log.exception("the devices of this machine cannot be looked at")
            with self._news:
                self._walking = 0
            self._answer()

    def _walk_once(self) -> None:
        """Have loaded what every device wants, and wait until that is done."""
        found = 0
        wanted: dict[str, PluggedDevice] = {}
        for device in self._devices():
            found += 1
            for name in self._rule.wanted(device.properties):
                wanted.setdefault(name, device)
        log.info("%d devices are looked at, which want %d drivers", found, len(wanted))
        for name, device in wanted.items():
            with self._news:
                self._news.wait_for(lambda: len(self._waiting) < self._most or self._ended)
                if self._ended:
                    return
                if name not in self._waiting:
                    self._add(name, device)
        with self._news:
            last = self._last
            self._news.wait_for(lambda: self._ended or self._first_load() > last)

    def _first_load(self) -> int:
        """Return the number of the first load that is still to be done; with the lock held."""
        first = self._last + 1
        if self._waiting:
            first = min(first, next(iter(self._waiting.values())).number)
        return min(first, *self._under_way) if self._under_way else first

    def _first_open(self) -> int:
        """Return the number of the first thing that is still to be done; with the lock held."""
        walks = [number for number in (self._walking, self._walk_wanted) if number]
        return min(self._first_load(), *walks) if walks else self._first_load()

    def _answer(self) -> None:
        """Tell those who asked whether all that they mean is done."""
        with self._news:
            if not self._asking:
                return
            first = self._last + 1 if self._ended else self._first_open()
            answers = [answer for number, answer in self._asking if number < first]
            self._asking = [each for each in self._asking if each[0] >= first]
        for answer in answers:
            answer()


def has_news(
    name: str,
    generation: Generation | None,
    names: LoadedNames,
    deny: DenyList = NOTHING_DENIED,
) -> bool:
    """Tell whether anything is to be loaded for ``name`` (a modalias, or a module's name).

    Nothing is where no module of the tree answers to it, and where those that do are loaded, part
    of the kernel, blacklisted, or denied.
    """
    if generation is None:
        return False
    database, config = generation.database, generation.config
    try:
        targets = resolve(name, database, config).targets
    except (NotFoundError, RequestError):
        return False

    def is_settled(module: str) -> bool:
        found = names.find(module)
        if found is not None and found.state is ModuleState.LIVE:
            return True
        kept_out = config.is_blacklisted(module) or deny.denial(module) is not None
        return kept_out or database.is_builtin(module)

    return not all(is_settled(target.name) for target in targets)
