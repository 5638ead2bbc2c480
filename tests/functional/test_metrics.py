# SPDX-License-Identifier: Apache-2.0
"""What a daemon has counted and measured, as Prometheus's own readers take it."""

import subprocess
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from kmodd.access.caller import Role
from kmodd.messages.daemon_service import GetMetricsResponse
from kmodd.messages.exposition import plain_text
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.require import require
from tests.support.tree import ModuleTree

Numbers = dict[tuple[str, ...], float]

SETTINGS = """
metrics_file = "@/kmodd.prom"

[[socket]]
path = "@/admin/kmodd.sock"

[[socket]]
path = "@/observer/kmodd.sock"
role = "observer"

[[deny]]
modules = ["hello"]
reason = "not here"
"""


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    # At level debug what has nothing to do is written down, and not answered from memory.
    words = ("--log-level", "info")
    place = "admin/kmodd.sock"
    with running_daemon(modules_root.root, *words, place=place, settings=SETTINGS) as found:
        yield found


def numbers(daemon: Daemon) -> Numbers:
    """Return the samples by their name and the values of their labels."""
    printed = daemon.kmodctl("metrics")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.endswith("# EOF\n")
    found: Numbers = {}
    for family in text_string_to_metric_families(printed.stdout):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            assert key not in found
            found[key] = sample.value
    return found


def test_what_happens_is_counted_by_what_became_of_it(daemon: Daemon) -> None:
    before = numbers(daemon)
    assert ("kmodd_operations_total", "load", "done") not in before
    with daemon.client() as client:
        client.load("world")
        for _ in range(5):
            client.load("world")
        held = client.hold("world")
        client.set_parameter("greet", "times", "2")
    daemon.kmodctl("modprobe", "nosuch")
    daemon.kmodctl("modprobe", "hello")
    observer = str(daemon.socket.parent.parent / "observer/kmodd.sock")
    assert daemon.kmodctl("--socket", observer, "rmmod", "world").returncode == 1
    daemon.kmodctl("depmod")
    after = numbers(daemon)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert grown("kmodd_operations_total", "load", "done") == 1
    assert grown("kmodd_operations_total", "load", "unchanged") == 5
    assert grown("kmodd_operations_total", "load", "failed") == 2
    assert grown("kmodd_operations_total", "set-parameter", "done") == 1
    assert grown("kmodd_operation_failures_total", "load", "MODULE_NOT_FOUND") == 1
    assert grown("kmodd_operation_failures_total", "load", "MODULE_DENIED") == 1
    assert grown("kmodd_operation_duration_seconds_bucket", "load", "+Inf") == 3
    assert grown("kmodd_operation_duration_seconds_count", "load") == 3
    assert after["kmodd_operation_duration_seconds_sum", "load"] > 0
    assert grown("kmodd_modules_loaded_total") == 2
    assert grown("kmodd_denials_total", Role.ADMIN, "MODULE_DENIED") == 1
    assert grown("kmodd_denials_total", Role.OBSERVER, "ACCESS_DENIED") == 1
    assert grown("kmodd_connections_accepted_total", Role.OBSERVER) == 1
    assert grown("kmodd_rebuild_duration_seconds_count", "done") >= 1
    assert (after["kmodd_modules", "asked"], after["kmodd_modules", "dependency"]) == (1, 1)
    assert after["kmodd_kernel_taint", "O"] == 1
    assert after["kmodd_kernel_taint_mask",] >= 1 << 12
    assert after["kmodd_database_healthy",] == 1
    assert after["kmodd_process_resident_memory_bytes",] > 1 << 20
    assert before["kmodd_start_time_seconds",] == after["kmodd_start_time_seconds",] > 1e9
    held.close()


def test_the_observer_sees_them_and_no_name_is_a_label(daemon: Daemon) -> None:
    observer = str(daemon.socket.parent.parent / "observer/kmodd.sock")
    for name in ("nosuch1", "nosuch2", 'x"y\\nz'):
        daemon.kmodctl("modprobe", name)
    printed = daemon.kmodctl("--socket", observer, "metrics")
    assert printed.returncode == 0, printed.stderr
    assert "nosuch" not in printed.stdout
    assert "z" not in {line.partition('"')[2][:1] for line in printed.stdout.splitlines()}


def test_prometheus_finds_nothing_wrong_with_them(daemon: Daemon) -> None:
    promtool = require("promtool", "Prometheus judges metrics itself")
    daemon.kmodctl("modprobe", "world")
    with daemon.client() as client:
        answer = GetMetricsResponse.decode(client.metrics().SerializeToString())
    text = plain_text(answer.families)
    written = daemon.socket.parent.parent / "kmodd.prom"
    wait_until(written.exists)
    for each in (text, written.read_text()):
        assert "# TYPE kmodd_operations_total counter\n" in each
        judged = subprocess.run(
            [promtool, "check", "metrics"], input=each, capture_output=True, text=True, check=False
        )
        assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")
    assert daemon.stop() == 0
    assert not written.exists()
