# SPDX-License-Identifier: Apache-2.0
"""The gate that udev waits at; that udev does so, tests/realkernel shows."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kmodd.host.openings import Openings
from kmodd.host.udev_gate import UdevGate
from tests.support.daemon import wait_until

PATIENCE = 60.0


class Reader(threading.Thread):
    """Does what udev's rule does: reads the gate, and looks whether it is still there."""

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self._gate = directory / "gate"
        self.passed: bool | None = None
        self.start()

    def run(self) -> None:
        try:
            content = self._gate.read_bytes()
        except FileNotFoundError:
            content = b""
        assert content == b""
        self.passed = self._gate.exists()


class Work:
    """What is done when it is told to be."""

    def __init__(self) -> None:
        self.answers: list[Callable[[], None]] = []

    def finish(self) -> None:
        answers, self.answers = self.answers, []
        for answer in answers:
            answer()


@contextmanager
def opened(directory: Path) -> Iterator[UdevGate]:
    gate = UdevGate(directory)
    gate.open()
    try:
        yield gate
    finally:
        gate.close()
        gate.end()


def pipe_in(directory: Path) -> Path:
    """The pipe that the gate leads to."""
    (pipe,) = (path for path in directory.iterdir() if path.name.isdecimal())
    return pipe


def take(gate: UdevGate, work: Work, count: int) -> None:
    """Take in that ``count`` have come."""

    def all_came() -> bool:
        gate.all_heard(work.answers.append)
        return len(work.answers) >= count

    wait_until(all_came, seconds=PATIENCE, pause=0.01)


def test_who_comes_waits_for_what_was_heard_of_and_no_longer(tmp_path: Path) -> None:
    first, second = Work(), Work()
    with opened(tmp_path / "hotplug") as gate:
        early = Reader(tmp_path / "hotplug")
        take(gate, first, 1)
        late = Reader(tmp_path / "hotplug")
        take(gate, second, 1)
        first.finish()
        early.join(PATIENCE)
        assert early.passed is True
        late.join(0.05)
        assert late.is_alive()
        second.finish()
        late.join(PATIENCE)
        assert late.passed is True


def test_many_come_and_all_go_on(tmp_path: Path) -> None:
    work = Work()
    with opened(tmp_path) as gate:
        readers = [Reader(tmp_path) for _ in range(20)]
        while any(reader.is_alive() for reader in readers):
            gate.all_heard(work.answers.append)
            work.finish()
    assert all(reader.passed for reader in readers)


def test_one_who_comes_to_a_pipe_that_another_waits_at_is_waited_for(tmp_path: Path) -> None:
    """He had found it in the moment before another took its place."""
    work = Work()
    with opened(tmp_path) as gate:
        pipe = pipe_in(tmp_path)
        first = Reader(tmp_path)
        take(gate, work, 1)
        second = threading.Thread(target=pipe.read_bytes, daemon=True)
        second.start()
        take(gate, work, 2)
        work.answers.pop(0)()
        first.join(0.05)
        assert first.is_alive()
        work.finish()
        first.join(PATIENCE)
        second.join(PATIENCE)
        assert not second.is_alive()


def test_a_gate_that_is_closed_asks_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that hears the kernel looks at its question for a while longer."""
    work = Work()
    gate = UdevGate(tmp_path)
    gate.open()
    reader = Reader(tmp_path)
    take(gate, work, 1)
    gate.close()
    gate.close()
    reader.join(PATIENCE)
    gate.all_heard(work.answers.append)
    assert not select.select([gate.question], [], [], 0)[0]
    work.finish()
    gate.end()
    assert caplog.text == ""


def test_a_gate_that_is_closed_leaves_nobody_waiting_and_nothing_behind(tmp_path: Path) -> None:
    work = Work()
    with opened(tmp_path) as gate:
        readers = [Reader(tmp_path)]
        take(gate, work, 1)
        readers.append(Reader(tmp_path))
        take(gate, work, 2)
    for reader in readers:
        reader.join(PATIENCE)
        assert reader.passed is False
    work.finish()
    assert list(tmp_path.iterdir()) == []
    without = Reader(tmp_path)
    without.join(PATIENCE)
    assert without.passed is False


def test_one_who_opens_a_pipe_that_was_just_closed_goes_on(tmp_path: Path) -> None:
    """He had found it before, and nobody would ever open it for writing."""
    work = Work()
    with opened(tmp_path) as gate:
        pipe = pipe_in(tmp_path)
        first = Reader(tmp_path)
        take(gate, work, 1)
        work.finish()
        first.join(PATIENCE)
        for _ in range(2):
            late = threading.Thread(target=pipe.read_bytes, daemon=True)
            late.start()
            late.join(PATIENCE)
            assert not late.is_alive()


HOLDER = """
import sys, time
from pathlib import Path
from kmodd.host.udev_gate import UdevGate
gate = UdevGate(Path(sys.argv[1]))
gate.open()
print("open", flush=True)
time.sleep(600)
"""


def test_whose_keeper_is_killed_goes_on_without_him(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "open\n"
    openings = Openings()
    openings.watch(str(pipe_in(tmp_path)))
    waiting = Reader(tmp_path)
    wait_until(lambda: bool(openings.take()), seconds=PATIENCE)
    openings.close()
    holder.send_signal(signal.SIGKILL)
    holder.wait(PATIENCE)
    waiting.join(PATIENCE)
    assert waiting.passed is False
    assert not (tmp_path / "gate").exists()
    assert (tmp_path / "gate").is_symlink()


def test_what_another_life_has_left_is_taken_away_with_those_who_wait_there(tmp_path: Path) -> None:
    left = tmp_path / "7"

    def wait_there() -> None:
        while True:
            with suppress(FileExistsError):
                os.mkfifo(left)
            with suppress(FileNotFoundError):  # it was taken away before it was found
                left.read_bytes()
                return

    (tmp_path / "gate").symlink_to("/proc/1/fd/9999")
    waiting = threading.Thread(target=wait_there, daemon=True)
    waiting.start()

    def goes_on() -> bool:
        with opened(tmp_path):
            waiting.join(0.01)
        return not waiting.is_alive()

    wait_until(goes_on, seconds=PATIENCE)
    with opened(tmp_path):
        assert not left.exists()


def test_a_gate_that_cannot_be_kept_is_taken_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work()
    with opened(tmp_path) as gate:
        pipe_in(tmp_path).with_name("2").touch()  # where the next one is to be
        reader = Reader(tmp_path)

        def is_over() -> bool:
            gate.all_heard(work.answers.append)
            return not reader.is_alive()

        wait_until(is_over, seconds=PATIENCE)
        assert reader.passed is False
    assert "udev loads drivers itself" in caplog.text


def test_a_directory_that_cannot_be_made_leaves_it_to_udev(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with opened(tmp_path / "file/hotplug"):
        pass
    assert "cannot be kept: Not a directory" in caplog.text
