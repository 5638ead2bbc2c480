# SPDX-License-Identifier: Apache-2.0
"""The death of the emulated kernel, as clients of the daemon see it."""

import os
import signal
from pathlib import Path

from tests.support.daemon import Daemon, wait_until


def test_a_dead_kernel_is_a_panic_and_the_daemon_goes_on(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.load("world")
        before = client.status()
        assert (before.taints, before.taint_mask) == ("O", 1 << 12)
        assert f"boot id:   {before.boot_id}" in daemon.kmodctl("status").stdout
        os.kill(daemon.kernel_pid(), signal.SIGKILL)
        wait_until(lambda: client.status().epoch != before.epoch)
        assert client.list_modules() == []
        after = client.status()
        assert (after.taints, after.taint_mask) == ("", 0)
        assert after.boot_id not in ("", before.boot_id)
        lines = [record.text for record in client.read_log()]
        panic = "Kernel panic - not syncing: the kernel's process was ended by SIGKILL"
        assert lines[-3:-1] == [panic, f"---[ end {panic} ]---"]
        assert lines[-1] == lines[0]
        client.load("world")
        assert [module.name for module in client.list_modules()] == ["world", "greet"]
        assert client.status().pid == before.pid


def test_a_stopped_daemon_leaves_no_kernel(daemon: Daemon) -> None:
    child = daemon.kernel_pid()
    assert daemon.stop() == 0
    wait_until(lambda: not Path(f"/proc/{child}").exists())
