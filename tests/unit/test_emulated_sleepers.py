# SPDX-License-Identifier: Apache-2.0
"""Users' calls that wait: the machine is others' meanwhile, and one of them lets it go on."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from errno import EIO, ENODEV

import pytest

from tests.support.daemon import wait_until
from tests.support.machine import Machine, new_machine
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.functions.open_files import (  # noqa: E402
    Content,
    FileDescription,
    close_file,
    in_call,
    lose_module,
    make_file,
    open_file,
    read_file,
    signal_file,
    take_away,
)
from kmodd.kernel.emulated.functions.sync import INTERRUPTED, signal_pending  # noqa: E402


class Waiting(Content):
    """A file whose read waits for a number, or for a signal."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.waits = threading.Event()
        self.releases = 0

    def open(self, _machine: Machine, _file: FileDescription) -> int:
        return 0

    def release(self, _machine: Machine, _file: FileDescription) -> None:
        self.releases += 1

    def read(self, machine: Machine, file: FileDescription, _buffer: int, _size: int) -> int:
        self.waits.set()
        return machine.tasks.wait(
            lambda: INTERRUPTED if signal_pending(machine, file.task) else self.number
        )


@pytest.fixture
def machine() -> Machine:
    return new_machine()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def opened(machine: Machine, content: Content) -> FileDescription:
    with machine.running("sample"):
        file = make_file(machine, "/proc/waiting", "sample", content, 0)
        assert open_file(machine, file) == 0
    return file


def reading(
    machine: Machine, file: FileDescription, threads: ThreadPoolExecutor
) -> "Future[tuple[int, bytes]]":
    """Begin to read, and return once that waits and the machine is free."""

    def read() -> tuple[int, bytes]:
        with machine.running("sample", file.task), in_call(file):
            return read_file(machine, file, 8)

    found = threads.submit(read)
    assert isinstance(file.content, Waiting)
    assert file.content.waits.wait(60)
    with machine.running("sample"):
        return found


def test_who_waits_goes_on_once_another_call_lets_him(
    machine: Machine, threads: ThreadPoolExecutor
) -> None:
    content = Waiting()
    reads = [reading(machine, opened(machine, content), threads) for _ in range(3)]
    with machine.running("sample"):
        assert not any(each.done() for each in reads)
        content.number = 5
    assert [each.result(60) for each in reads] == [(5, bytes(5))] * 3


def test_a_signal_is_for_one_alone(machine: Machine, threads: ThreadPoolExecutor) -> None:
    contents = Waiting(), Waiting()
    files = [opened(machine, each) for each in contents]
    first, second = (reading(machine, each, threads) for each in files)
    with machine.running("sample"):
        signal_file(machine, files[0])
    assert first.result(60) == (INTERRUPTED, b"")
    assert not second.done()
    with machine.running("sample"):
        contents[1].number = 1
    assert second.result(60) == (1, b"\0")


def test_a_name_goes_once_nobody_is_in_its_functions(
    machine: Machine, threads: ThreadPoolExecutor
) -> None:
    content = Waiting()
    file = opened(machine, content)
    read = reading(machine, file, threads)

    def take() -> None:
        with machine.running("sample"):
            take_away(machine, content, EIO, ends=True)

    taking = threads.submit(take)
    wait_until(lambda: file.gone == EIO)
    assert not taking.done()
    with machine.running("sample"):
        signal_file(machine, file)
    assert read.result(60) == (INTERRUPTED, b"")
    taking.result(60)
    assert content.releases == 1
    with machine.running("sample", file.task):
        assert read_file(machine, file, 8) == (-EIO, b"")
        close_file(machine, file)
    assert content.releases == 1


def test_the_files_of_a_module_that_is_gone_are_not_released_by_it(machine: Machine) -> None:
    content = Waiting()
    file = opened(machine, content)
    with machine.running("sample"):
        lose_module(machine, "another")
        assert not file.gone
        lose_module(machine, "sample")
        assert read_file(machine, file, 8) == (-ENODEV, b"")
        close_file(machine, file)
    assert content.releases == 0
