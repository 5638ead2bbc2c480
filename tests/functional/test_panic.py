# SPDX-License-Identifier: Apache-2.0
"""The death of the emulated kernel, as clients of the daemon see it."""

import os
import signal
from pathlib import Path

from kmodctl.client import Client
from tests.support.daemon import Daemon, may_give_up_all, status_of, wait_until


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


def reboot(daemon: Daemon, client: Client) -> None:
    """Have the kernel die, and wait for its next boot."""
    epoch = client.status().epoch
    os.kill(daemon.kernel_pid(), signal.SIGKILL)
    wait_until(lambda: client.status().epoch != epoch)


def test_a_kernel_is_without_privileges_at_every_boot(daemon: Daemon) -> None:
    is_root = may_give_up_all()
    with daemon.client() as client:
        for _ in range(2):
            client.load("world")
            pid = daemon.kernel_pid()
            status = status_of(pid)
            assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])
            for name in ("CapEff", "CapPrm", "CapBnd")[: 3 if is_root else 2]:
                assert int(status[name][0], 16) == 0
            assert (status["Uid"] == [str(0x70000000 + pid)] * 4) == is_root
            reboot(daemon, client)
    assert ("process was refused" in daemon.log.read_text()) == (not is_root)


def test_a_stopped_daemon_leaves_no_kernel(daemon: Daemon) -> None:
    child = daemon.kernel_pid()
    assert daemon.stop() == 0
    wait_until(lambda: not Path(f"/proc/{child}").exists())
