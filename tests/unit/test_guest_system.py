# SPDX-License-Identifier: Apache-2.0
"""A guest's agent as an ordinary process: what is asked of it is answered as by the machine."""

import errno
import os
import platform
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.linux import LinuxKernel
from kmodd.kernel.linux.devices import plugged_devices
from kmodd.kernel.linux.system import WHOLE, System
from kmodd.kernel.linux.this_machine import THIS_MACHINE
from kmodd.kernel.vm import wire as wire_module
from tests.support.daemon import wait_until
from tests.support.played_guest import PATIENCE, PlayedGuest, own_agent, played_guest


@pytest.fixture(scope="module")
def guest() -> Iterator[PlayedGuest]:
    with played_guest() as played:
        yield played


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that takes more than one system call to list."""
    directory = tmp_path_factory.mktemp("many")
    for number in range(400):
        (directory / f"{number:0100}").touch()
    return directory


@pytest.fixture
def place(tmp_path: Path, many: Path) -> Path:
    """Directories as /proc and /sys have them."""
    for path, text in {
        "proc/modules": "greet 16384 0 - Live 0xffffffffc0b39000 (OE)\n" * 4000,
        "proc/sys/kernel/tainted": "4096\n",
        "sys/module/greet/parameters/times": "3\n",
        "sys/module/greet/parameters/empty": "",
        "sys/module/greet/sections/.text": "0xffffffffc0b39000\n",
        "sys/module/greet/coresize": "16384\n",
        "sys/devices/pci0/0001/uevent": "MODALIAS=pci:v1\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "sys/module/greet/parameters/below").mkdir(mode=0o705)
    (tmp_path / "sys/module/greet/parameters/times").chmod(0o644)
    (tmp_path / "sys/module/greet/parameters/link").symlink_to("times")
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    (tmp_path / "sys/bus/pci/devices/0001").symlink_to("../../../devices/pci0/0001")
    (tmp_path / "blob").write_bytes(os.urandom(300_000))
    (tmp_path / "many").symlink_to(many)
    return tmp_path


def outcome(of: Callable[[System], object], system: System) -> object:
    """What a call gives, or with which errno it fails."""
    try:
        return of(system)
    except OSError as error:
        return type(error), error.errno


CALLS: dict[str, Callable[[System, Path], object]] = {
    "a file": lambda system, place: system.read(place / "proc/modules"),
    "a long file": lambda system, place: system.read(place / "blob"),
    "the start of one": lambda system, place: system.read(place / "blob", 70_000),
    "an empty file": lambda system, place: system.read(place / "sys/module/greet/parameters/empty"),
    "no file": lambda system, place: system.read(place / "nosuch"),
    "a directory, read": lambda system, place: system.read(place),
    "a file that does not read": lambda system, _: system.read(Path("/proc/self/mem")),
    "a name that is too long": lambda system, place: system.read(place / ("x" * 300)),
    "the listing": lambda system, place: system.read_modules(place / "proc/modules"),
    "a directory": lambda system, place: system.list_directory(str(place / "many")),
    "no directory": lambda system, place: system.list_directory(str(place / "blob")),
    "files": lambda system, place: system.read_directory(place / "sys/module/greet/parameters"),
    "files of nothing": lambda system, place: system.read_directory(place / "nosuch"),
    "starts of files": lambda system, place: system.read_directory(place / "proc", 10),
    "a link": lambda system, place: system.read_link(
        str(place / "sys/module/greet/parameters/link")
    ),
    "no link": lambda system, place: system.read_link(str(place / "blob")),
    "what is there": lambda system, place: system.exists(place / "proc"),
    "what is not": lambda system, place: system.exists(place / "nosuch"),
    "no module": lambda system, _: system.delete_module("nosuch", os.O_NONBLOCK),
    "no image": lambda system, _: system.init_module(b"x" * 200_000, "a=b"),
    "an empty image": lambda system, _: system.init_module(b"", ""),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_guest_answers_as_the_machine_does(
    guest: PlayedGuest, place: Path, call: Callable[[System, Path], object]
) -> None:
    def asked(system: System) -> object:
        return call(system, place)

    assert outcome(asked, guest.system) == outcome(asked, THIS_MACHINE)


def test_a_file_that_is_no_module_is_refused_as_the_machine_refuses_it(
    guest: PlayedGuest, place: Path
) -> None:
    with (place / "blob").open("rb") as file:

        def asked(system: System) -> None:
            system.finit_module(file.fileno(), "", 0)

        refused = outcome(asked, guest.system)
        assert refused == outcome(asked, THIS_MACHINE)
    assert refused is not None


@pytest.mark.parametrize(
    "parts",
    [("greet", "parameters", "times"), ("greet", "parameters", "nosuch"), ("nosuch", "a")]
    + [("greet", "parameters", name) for name in ("link", "below", "..", "", "a/b", "x" * 300)],
)
def test_a_file_is_written_to_as_on_the_machine(
    guest: PlayedGuest, place: Path, parts: tuple[str, ...]
) -> None:
    found = []
    times = place / "sys/module/greet/parameters/times"
    for system in (guest.system, THIS_MACHINE):

        def asked(system: System) -> None:
            system.write_below(place / "sys/module", parts, b"42")

        found.append((outcome(asked, system), times.read_text()))
        times.write_text("3\n")
    assert found[0] == found[1]


def test_what_a_kernel_tells_of_a_module_is_the_same_through_a_guest(
    guest: PlayedGuest, place: Path
) -> None:
    (place / "proc/modules").write_text("greet 16384 0 - Live 0xffffffffc0b39000 (OE)\n")
    through, direct = (
        LinuxKernel(
            proc=place / "proc", sysfs=place / "sys", log_device=place / "kmsg", system=system
        )
        for system in (guest.system, THIS_MACHINE)
    )
    assert through.modules() == direct.modules()
    assert through.details("greet") == direct.details("greet")
    assert through.identity() == direct.identity()
    assert list(plugged_devices(guest.system, place / "sys")) == list(
        plugged_devices(THIS_MACHINE, place / "sys")
    )
    with pytest.raises(KernelError) as refused:
        through.set_parameter("greet", "nosuch", "1")
    assert refused.value.reason is Reason.PARAMETER_NOT_FOUND
    through.set_parameter("greet", "times", "7")
    assert (place / "sys/module/greet/parameters/times").read_text() == "7\n"


def test_the_greeting_names_the_kernel_and_the_machine(guest: PlayedGuest) -> None:
    assert (guest.greeting.release, guest.greeting.machine) == (
        os.uname().release,
        platform.machine(),
    )


def test_many_calls_at_once_get_an_answer_each(guest: PlayedGuest, many: Path) -> None:
    def read(number: int) -> bool:
        file = many / f"{number:0100}"
        file.write_text(file.name)
        return guest.system.read(file) == file.name.encode()

    with ThreadPoolExecutor(60) as pool:
        assert all(pool.map(read, range(200)))


class StoppedCall:
    """A long call whose process is stopped, unless that was over before."""

    def __init__(self, guest: PlayedGuest) -> None:
        self.ended: list[object] = []
        self._guest = guest
        self._asking = threading.Thread(target=self._ask)
        self._asking.start()
        wait_until(lambda: bool(guest.children() or self.ended), seconds=PATIENCE, pause=0.0005)
        self.stopped = guest.children()[:1]
        for pid in self.stopped:
            os.kill(pid, signal.SIGSTOP)

    def ends_as(self) -> object:
        """Wait for the call, and return what has come of it."""
        self._asking.join(PATIENCE)
        return self.ended[0]

    def _ask(self) -> None:
        try:
            read = self._guest.system.read(Path("/dev/zero"))
        except OSError as error:
            self.ended.append(error.errno)
        except KernelError as error:
            self.ended.append(error.message)
        else:
            self.ended.append(len(read))


def stopped_call(guest: PlayedGuest) -> StoppedCall:
    """Begin the first call, a long one, and stop its process in the midst of it."""
    while True:
        call = StoppedCall(guest)
        if call.stopped and not call.ended:
            return call
        call.ends_as()
        for pid in call.stopped:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not guest.children(), seconds=PATIENCE, pause=0.0005)


def test_a_call_that_hangs_stops_no_other() -> None:
    with played_guest() as guest:
        call = stopped_call(guest)
        for _ in range(3):
            assert guest.system.exists(Path("/"))
        assert not call.ended
        os.kill(call.stopped[0], signal.SIGCONT)
        assert call.ends_as() == WHOLE


def test_a_call_whose_process_the_kernel_ends_says_so() -> None:
    with played_guest() as guest:
        call = stopped_call(guest)
        os.kill(call.stopped[0], signal.SIGKILL)
        assert call.ends_as() == errno.EOWNERDEAD
        assert guest.system.exists(Path("/"))


def test_what_the_kernel_calls_as_modprobe_asks_and_ends_as_it_is_told(guest: PlayedGuest) -> None:
    command = [str(own_agent()), "--at", guest.asked_at, "-q", "--", "net-pf-10"]
    for status in (0, 1, 7):
        process = subprocess.Popen(command)
        number, name = guest.asked.get(timeout=PATIENCE)
        assert name == b"net-pf-10"
        guest.wire.reply(number + 1000, 3)
        guest.wire.reply(number, status)
        assert process.wait(PATIENCE) == status
    nobody = [str(own_agent()), "--at", "kmodd-nobody", "-q", "--", "x"]
    assert subprocess.run(nobody, timeout=PATIENCE).returncode == 1


def test_a_text_with_a_nul_is_not_sent(guest: PlayedGuest) -> None:
    with pytest.raises(ValueError, match="NUL"):
        guest.system.delete_module("a\0b", 0)


def test_a_guest_that_dies_ends_every_call() -> None:
    with played_guest() as guest:
        call = stopped_call(guest)
        guest.process.kill()
        # It may have been stopped before it closed what it has of the port.
        os.kill(call.stopped[0], signal.SIGKILL)
        assert call.ends_as() == "the guest is gone"
        with pytest.raises(KernelError, match="the guest is gone") as gone:
            guest.system.exists(Path("/"))
        assert gone.value.reason is Reason.KERNEL_PANIC


def test_a_process_that_has_died_with_nothing_to_do_is_followed_by_another() -> None:
    with played_guest() as guest:
        for _ in range(3):
            assert guest.system.exists(Path("/"))
            (worker,) = guest.children()
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: not guest.children(), seconds=PATIENCE, pause=0.0005)


def test_a_guest_that_is_stopped_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(wire_module, "SIGN_SECONDS", 0.1)
    with played_guest() as guest:
        guest.process.send_signal(signal.SIGSTOP)
        with pytest.raises(KernelError, match="no sign of life"):
            guest.system.exists(Path("/"))


def test_a_call_that_takes_too_long_is_a_panic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "QUIET_SECONDS", 0.02)
    with played_guest(call_seconds=0.1) as guest:
        guest.process.send_signal(signal.SIGSTOP)
        with pytest.raises(KernelError, match="took more than 0") as hung:
            guest.system.exists(Path("/"))
        assert hung.value.reason is Reason.KERNEL_PANIC
