# SPDX-License-Identifier: Apache-2.0
"""What a daemon does while nothing happens: its wake-ups are counted, whatever they take."""

import time
from pathlib import Path

from tests.support.daemon import Daemon, running_daemon, text_of, wait_until
from tests.support.tree import ModuleTree

WAKES = 2.0
"""Wake-ups a second that a daemon at rest is allowed, of all its threads and processes."""

SECONDS = 10.0

SETTINGS = """
metrics_file = "@/kmodd.prom"

[[socket]]
path = "@/run/kmodd.sock"
"""


def tasks(daemon: Daemon) -> list[Path]:
    """Return the threads of the daemon and of its children, some of which may have ended since."""
    processes = [daemon.process.pid, *daemon.children()]
    return [task for pid in processes for task in Path(f"/proc/{pid}/task").glob("*")]


def wakes(daemon: Daemon) -> int:
    """Return how often they have slept so far (proc_pid_status(5))."""
    counts = [
        text_of(each / "status").partition("\nvoluntary_ctxt_switches:")[2]
        for each in tasks(daemon)
    ]
    return sum(int(count.split()[0]) for count in counts if count)


def names(daemon: Daemon) -> set[str]:
    return {text_of(each / "comm").strip() for each in tasks(daemon)}


def test_a_daemon_at_rest_wakes_twice_a_second_at_most(modules_root: ModuleTree) -> None:
    """One, too, that writes down what it has counted."""
    with running_daemon(modules_root.root, settings=SETTINGS) as daemon:
        with daemon.client() as client:
            client.list_files()
        wait_until(lambda: "event_engine" not in names(daemon))
        time.sleep(6.0)  # what has begun or ended just now is still at it
        before, began = wakes(daemon), time.monotonic()
        time.sleep(SECONDS)
        assert wakes(daemon) - before <= WAKES * (time.monotonic() - began)


def test_a_daemon_that_rests_answers_who_calls(modules_root: ModuleTree) -> None:
    with running_daemon(modules_root.root) as daemon:
        for _ in range(2):
            wait_until(lambda: "event_engine" not in names(daemon))
            assert daemon.kmodctl("status").returncode == 0
