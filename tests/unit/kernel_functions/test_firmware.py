# SPDX-License-Identifier: Apache-2.0
"""Firmware (drivers/base/firmware_loader): there is none, as on a machine without the files."""

import errno

import pytest

from tests.support.kernel_calls import Crash, held, put_code, put_text, run
from tests.support.machine import ROOM, new_machine

RESULT, NAME, BUFFER, CONTEXT = (ROOM + at for at in (0, 256, 512, 768))

REQUESTS = (
    "request_firmware",
    "firmware_request_nowarn",
    "firmware_request_platform",
    "request_firmware_direct",
    "request_firmware_into_buf",
    "request_partial_firmware_into_buf",
)

NOTE_FIRMWARE = "48893e48ff4608c3"
"""x86 code: mov %rdi, (%rsi); incq 8(%rsi); ret"""


@pytest.mark.parametrize("name", REQUESTS)
def test_firmware_that_is_asked_for_is_not_there(name: str) -> None:
    machine = new_machine()
    machine.memory.put(RESULT, 7)
    put_text(machine, b"sample/fw.bin", NAME)
    assert run(machine, name, RESULT, NAME, 0, BUFFER, 64, 0) == -errno.ENOENT
    assert machine.memory.number(RESULT) == 0
    assert machine.memory.read(BUFFER, 64) == bytes(64)
    run(machine, "release_firmware", 0)
    assert held(machine) == []


@pytest.mark.parametrize("name", REQUESTS)
def test_firmware_needs_a_name_and_a_place(name: str) -> None:
    machine = new_machine()
    for text in (0, put_text(machine, b"", NAME)):
        machine.memory.put(RESULT, 7)
        assert run(machine, name, RESULT, text, 0, BUFFER, 64, 0) == -errno.EINVAL
        assert machine.memory.number(RESULT) == 0
    assert run(machine, name, 0, NAME, 0, BUFFER, 64, 0) == -errno.EINVAL
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(machine, name, 8, NAME, 0, BUFFER, 64, 0)


def test_who_does_not_wait_is_told_once_and_only_after_the_request() -> None:
    machine = new_machine()
    answer = put_code(machine, NOTE_FIRMWARE)
    machine.memory.put(CONTEXT, 7)
    put_text(machine, b"sample/fw.bin", NAME)
    arguments = (0, 1, NAME, 0, 0, CONTEXT, answer)
    with machine.running("sample"):
        machine.memory.put(machine.calls.now.stack & ~15, answer)
        function = machine.kernel_symbols.address("request_firmware_nowait")
        assert machine.call(function, *arguments[:6]) == 0
        assert machine.memory.number(CONTEXT + 8) == 0
        machine.deferred.run()
    assert [machine.memory.number(CONTEXT + at) for at in (0, 8)] == [0, 1]
    assert run(machine, "request_firmware_nowait", *arguments) == 0
    assert machine.memory.number(CONTEXT + 8) == 2
