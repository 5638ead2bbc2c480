# SPDX-License-Identifier: Apache-2.0
"""What is plugged in has its driver loaded; tests/realkernel shows it with devices."""

import json
import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kmodctl.commands.events import event_lines
from kmodd.access.caller import DAEMON
from kmodd.config.udev_rules import PLAIN_RULE, read_driver_rule
from kmodd.daemon import running
from kmodd.errors import RequestError
from kmodd.host.udev_gate import UdevGate
from kmodd.kernel.base import DAEMONS_OWN, PluggedDevice
from kmodd.kernel.linux.uevents import following
from kmodd.messages.module_service import WatchModulesResponse
from kmodd.namespace import AuditTrail, Hotplug, Namespace, Origin, Outcome, RequestContext
from kmodd.namespace.hotplug import WORKERS
from kmodd.plan import DenyList, LoadRequest
from kmodd.service.view import View
from kmodd.service.watches import _event
from kmodd.settings import Settings, SocketSettings
from tests.support.modules import module_tree
from tests.support.namespaces import namespace_on

RULE = read_driver_rule(PLAIN_RULE)
PATIENCE = 60.0


def device(name: str, modalias: str) -> PluggedDevice:
    path = f"/devices/{name}"
    return PluggedDevice(path, {"ACTION": "add", "DEVPATH": path, "MODALIAS": modalias})


def event(name: str, modalias: str) -> bytes:
    text = f"add@/devices/{name}\0ACTION=add\0DEVPATH=/devices/{name}\0MODALIAS={modalias}\0"
    return text.encode()


@contextmanager
def started(hotplug: Hotplug) -> Iterator[Hotplug]:
    hotplug.start()
    try:
        yield hotplug
    finally:
        hotplug.stop(PATIENCE)


def carried_out(
    load: Callable[[str, str], None],
) -> Callable[[LoadRequest, RequestContext], Outcome]:
    def carry_out(request: LoadRequest, call: RequestContext) -> Outcome:
        load(request.name, call.device)
        return Outcome(request.name, (), (), None)

    return carry_out


def played(
    load: Callable[[str, str], None],
    there: Callable[[], Iterable[PluggedDevice]] = tuple,
    most: int = 1000,
) -> Hotplug:
    """One that calls ``load`` with each name and its device."""
    return Hotplug(RULE, carried_out(load), lambda _: True, there, most=most)


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return tmp_path / "audit.json"


def loading(tmp_path: Path, trail: Path, *there: PluggedDevice, **settings: Any) -> Namespace:
    """A namespace in which these devices, and what is plugged in, have their drivers loaded."""
    tree = module_tree(tmp_path / "root")
    namespace = namespace_on(tree, audit=AuditTrail(trail), **settings)[0]
    namespace.hotplug = Hotplug(RULE, namespace.load, namespace.has_news, lambda: there)
    return namespace


def names(namespace: Namespace) -> set[str]:
    return {module.name for module in namespace.listing().modules}


def test_a_driver_is_loaded_for_a_device_that_comes_and_for_one_that_is_there(
    tmp_path: Path, trail: Path
) -> None:
    namespace = loading(tmp_path, trail, device("there", "kmodd-letter:a"))
    assert namespace.hotplug
    with started(namespace.hotplug) as hotplug:
        assert hotplug.wait(PATIENCE)
        assert names(namespace) == {"facade", "greet"}
        hotplug.plugged(device("new", "gplsym"))
        assert hotplug.wait(PATIENCE)
    assert "gplsym" in names(namespace)
    assert namespace.origin_of("facade") is Origin.HOTPLUG
    assert namespace.origin_of("greet") is Origin.DEPENDENCY
    facts = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [(each["origin"], each["device"], each["what"]) for each in facts] == [
        ("hotplug", "/devices/there", "kmodd-letter:a"),
        ("hotplug", "/devices/new", "gplsym"),
    ]


def test_no_word_is_lost_on_a_device_that_nothing_answers_to_or_whose_driver_is_there(
    tmp_path: Path, trail: Path
) -> None:
    (tmp_path / "root/etc/modprobe.d").mkdir(parents=True)
    (tmp_path / "root/etc/modprobe.d/a.conf").write_text("blacklist gplsym\n")
    namespace = loading(tmp_path, trail)
    namespace.load(LoadRequest(name="facade"))
    assert namespace.hotplug
    with started(namespace.hotplug) as hotplug:
        for modalias in ("nothing:here", "kmodd-test:a", "gplsym", "bad\nname[", "x" * 5000):
            hotplug.plugged(device("new", modalias))
        assert hotplug.wait(PATIENCE)
    assert names(namespace) == {"facade", "greet"}
    assert len(trail.read_text().splitlines()) == 1


def test_the_deny_list_stands_above_all_and_the_audit_says_why(tmp_path: Path, trail: Path) -> None:
    deny = DenyList([("greet", "no greetings"), ("facade", "nothing behind it")])
    namespace = loading(tmp_path, trail, deny=deny)
    assert namespace.hotplug
    with started(namespace.hotplug) as hotplug:
        hotplug.plugged(device("denied", "kmodd-test:a"))
        assert hotplug.wait(PATIENCE)
        hotplug.plugged(device("needs", "greet"))
        assert hotplug.wait(PATIENCE)
    assert names(namespace) == set()
    facts = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [(each["result"], each["device"]) for each in facts] == [
        ("MODULE_DENIED", "/devices/denied"),
        ("MODULE_DENIED", "/devices/needs"),
    ]
    assert facts[0]["message"] == "facade is denied: nothing behind it"


def test_a_client_is_told_for_which_device_it_was(tmp_path: Path, trail: Path) -> None:
    namespace = loading(tmp_path, trail)
    assert namespace.hotplug
    with started(namespace.hotplug) as hotplug:
        hotplug.plugged(device("new", "greet"))
        assert hotplug.wait(PATIENCE)
    with namespace.watch(namespace.listing().epoch, 1) as watch:
        finished = next(each for each in watch.take(0) if each.finished)
    message = _event("epoch", finished, View(DAEMON, DAEMONS_OWN))
    assert (message.operation.origin, message.operation.device) == ("hotplug", "/devices/new")
    (pieces,) = event_lines(WatchModulesResponse.decode(message.SerializeToString()))
    assert ": load greet, for hotplug /devices/new, loaded greet, " in str(pieces[1])


def test_a_module_that_somebody_asked_for_stays_that(tmp_path: Path, trail: Path) -> None:
    namespace = loading(tmp_path, trail)
    assert namespace.hotplug
    with started(namespace.hotplug) as hotplug:
        hotplug.plugged(device("new", "greet"))
        assert hotplug.wait(PATIENCE)
        assert namespace.origin_of("greet") is Origin.HOTPLUG
        namespace.load(LoadRequest(name="greet"))
        assert namespace.origin_of("greet") is Origin.ASKED


def test_a_thousand_events_of_few_names_are_few_loads_by_few_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads: Counter[str] = Counter()
    threads: set[int] = set()
    lock = threading.Lock()
    begun, heard, go_on = threading.Event(), threading.Event(), threading.Event()

    def load(name: str, _device: str) -> None:
        begun.set()
        go_on.wait(PATIENCE)
        with lock:
            loads[name] += 1
            threads.add(threading.get_ident())

    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    hotplug = played(load)
    plugged = hotplug.plugged

    def note(device: PluggedDevice) -> None:
        plugged(device)
        if device.path == "/devices/last":
            heard.set()

    monkeypatch.setattr(hotplug, "plugged", note)
    with (
        started(hotplug),
        kernels,
        following(lambda: None, lambda: False, lambda: ours, devices=hotplug),
    ):
        for number in range(1000):
            kernels.send(event(str(number), f"alias:{number % 20}"))
            if number == 0:
                assert begun.wait(PATIENCE)
        kernels.send(event("last", "alias:last"))
        assert heard.wait(PATIENCE)
        go_on.set()
        assert hotplug.wait(PATIENCE)
    assert loads.keys() == {*(f"alias:{number}" for number in range(20)), "alias:last"}
    # One that comes while the load of its name is under way is looked at once more.
    assert loads.total() <= 21 + WORKERS
    assert len(threads) <= WORKERS


def test_what_was_lost_is_found_again_by_a_walk() -> None:
    loads: list[tuple[str, str]] = []
    there = [device("one", "alias:1")]
    hotplug = played(lambda name, path: loads.append((name, path)), lambda: there)
    with started(hotplug):
        assert hotplug.wait(PATIENCE)
        there.append(device("two", "alias:2"))
        hotplug.lost()
        assert hotplug.wait(PATIENCE)
    assert sorted(loads) == [
        ("alias:1", "/devices/one"),
        ("alias:1", "/devices/one"),
        ("alias:2", "/devices/two"),
    ]


def test_more_names_than_there_is_room_for_are_found_again_by_a_walk() -> None:
    loads: set[str] = set()
    go_on = threading.Event()
    there: list[PluggedDevice] = []

    def load(name: str, _device: str) -> None:
        go_on.wait(PATIENCE)
        loads.add(name)

    hotplug = played(load, lambda: there, most=8)
    with started(hotplug):
        assert hotplug.wait(PATIENCE)
        there += [device(str(number), f"alias:{number}") for number in range(100)]
        for each in there:
            hotplug.plugged(each)
        go_on.set()
        assert hotplug.wait(PATIENCE)
    assert loads == {f"alias:{number}" for number in range(100)}


def test_a_device_is_never_left_to_the_next_ones_event() -> None:
    """Whoever waits for something else may be the first to be woken."""
    loads = []
    hotplug = played(lambda name, _path: loads.append(name))
    with started(hotplug):
        for number in range(50):
            if number % 3 == 0:
                hotplug.lost()
                assert hotplug.wait(PATIENCE)
            hotplug.plugged(device(str(number), f"alias:{number}"))
            assert hotplug.wait(PATIENCE / 10)
    assert loads == [f"alias:{number}" for number in range(50)]


def test_a_load_that_breaks_is_told_of_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    loads = []

    def load(name: str, _device: str) -> None:
        loads.append(name)
        if name == "alias:bad":
            raise RuntimeError("it does not work")

    def unreadable() -> Iterable[PluggedDevice]:
        raise OSError("no /sys")

    hotplug = played(load, unreadable)
    with started(hotplug):
        for _ in range(WORKERS + 1):
            hotplug.plugged(device("bad", "alias:bad"))
            assert hotplug.wait(PATIENCE)
        hotplug.plugged(device("good", "alias:good"))
        assert hotplug.wait(PATIENCE)
    assert loads[-1] == "alias:good"
    assert "/devices/bad: alias:bad is passed over" in caplog.text
    assert "the devices of this machine cannot be looked at" in caplog.text


def test_who_asks_is_answered_once_all_of_before_is_done() -> None:
    go_on, answered = threading.Event(), threading.Event()

    def load(_name: str, _device: str) -> None:
        go_on.wait(PATIENCE)

    hotplug = played(load)
    with started(hotplug):
        assert hotplug.wait(PATIENCE)
        hotplug.plugged(device("slow", "alias:slow"))
        hotplug.when_done(answered.set)
        assert not hotplug.wait(0.05)
        assert not answered.is_set()
        go_on.set()
        assert answered.wait(PATIENCE)


def test_udev_waits_at_the_gate_until_the_driver_is_loaded(tmp_path: Path) -> None:
    """It has heard of the device by the same event, maybe before kmodd has."""
    begun, go_on, passed = threading.Event(), threading.Event(), threading.Event()

    def load(_name: str, _device: str) -> None:
        begun.set()
        go_on.wait(PATIENCE)

    def wait_as_udev() -> None:
        (tmp_path / "gate").read_bytes()
        passed.set()

    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    hotplug = Hotplug(
        RULE,
        carried_out(load),
        lambda _: True,
        tuple,
        gate=UdevGate(tmp_path),
    )
    with (
        started(hotplug),
        kernels,
        following(lambda: None, lambda: False, lambda: ours, devices=hotplug),
    ):
        hotplug.open_gate()
        kernels.send(event("new", "alias:new"))
        udev = threading.Thread(target=wait_as_udev, daemon=True)
        udev.start()
        assert begun.wait(PATIENCE)
        assert not passed.wait(0.05)
        go_on.set()
        assert passed.wait(PATIENCE)
    udev.join(PATIENCE)


def test_a_stop_answers_everybody_and_begins_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    loads: list[str] = []
    hotplug = played(lambda name, _device: loads.append(name))
    hotplug.plugged(device("early", "alias:early"))
    answered = threading.Event()
    hotplug.when_done(answered.set)
    assert not answered.is_set()
    hotplug.stop(PATIENCE)
    assert answered.is_set()
    hotplug.plugged(device("late", "alias:late"))
    assert loads == []


def test_an_emulated_kernel_has_no_devices_to_load_for(tmp_path: Path) -> None:
    tree = module_tree(tmp_path / "root")
    sockets = (SocketSettings(path=tmp_path / "socket/kmodd.sock"),)
    settings = Settings(root=tree.root, sockets=sockets, publish=False, hotplug=True)
    with pytest.raises(RequestError, match="hotplug is for the linux kernel"), running(settings):
        pass
