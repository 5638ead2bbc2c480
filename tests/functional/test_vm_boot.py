# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel boots in QEMU until its agent answers, and is saved for the next time."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from kmodd.kernel.vm.qemu import Guest
from kmodd.kernel.vm.wire import await_agent
from tests.support.debian import DebianTree
from tests.support.guests import PATIENCE, booter


def end(guest: Guest) -> None:
    guest.kill()
    guest.socket.close()


def test_a_state_is_gone_on_from_and_a_damaged_one_is_not(
    debian_tree: DebianTree, guests: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    end(booter(debian_tree, guests).boot())
    kept = max(guests.glob("*.guest"), key=lambda path: path.stat().st_mtime)
    states = tmp_path / "guests"
    states.mkdir()
    saved = states / kept.name
    shutil.copy(kept, saved)
    one = booter(debian_tree, states)
    os.utime(saved, (0, 0))
    guest = one.boot()
    assert saved.stat().st_mtime > 0  # it was used
    await_agent(guest.socket, PATIENCE)
    end(guest)
    with saved.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    end(one.boot())
    assert "it is damaged" in caplog.text
    (anew,) = states.glob("*.guest")
    assert anew != saved


def test_a_guest_is_without_files_network_and_rights_and_tells_its_end(
    debian_tree: DebianTree, guests: Path
) -> None:
    guest = booter(debian_tree, guests).boot()
    await_agent(guest.socket, PATIENCE)
    words = Path(f"/proc/{guest.pid}/cmdline").read_bytes().split(b"\0")
    assert b"-nodefaults" in words
    assert words[words.index(b"-nic") + 1] == b"none"
    status = Path(f"/proc/{guest.pid}/status").read_text()
    assert "Seccomp:\t2" in status  # a filter
    os.kill(guest.pid, signal.SIGKILL)
    assert guest.wait(PATIENCE)
    with pytest.raises(OSError, match=r"reset|gone|Broken"):
        await_agent(guest.socket, PATIENCE)
    end(guest)
    assert guest.last_words() == "QEMU was ended by SIGKILL"
