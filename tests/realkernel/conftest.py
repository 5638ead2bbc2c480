# SPDX-License-Identifier: Apache-2.0
"""One boot of Debian's kernel, and what came of it; the same asked of the emulated kernel."""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.realkernel.layout import Layout, lay_out
from tests.realkernel.machine import Guest, Machine, power_off
from tests.realkernel.scenarios import SCENARIOS, Record, Session, load_each, run
from tests.realkernel.service_setup import SYSTEMD, service_setup
from tests.support.daemon import running_daemon
from tests.support.debian import DebianTree, headers
from tests.support.modules import build
from tests.support.require import require

PROJECT = Path(__file__).parents[2]
SEED = 1
"""Which of Debian's modules are drawn."""

PATIENCE = 480.0
"""Seconds for the guest; it takes 150 on two cores."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of each scenario, by its name."""

    records: dict[str, Record]

    def of(self, scenario: str) -> Record:
        """The record of one scenario, which must have come to its end."""
        record = self.records[scenario]
        assert "broken" not in record, record["broken"]
        return record


@pytest.fixture(scope="session")
def layout(debian_tree: DebianTree, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The module tree, with our modules built for the kernel that is booted."""
    place = tmp_path_factory.mktemp("realkernel")
    build(place / "built", headers())
    return lay_out(debian_tree, place / "built", place, SEED)


@pytest.fixture(scope="session")
def real(
    debian_tree: DebianTree, layout: Layout, tmp_path_factory: pytest.TempPathFactory
) -> Outcomes:
    """What Debian's kernel did."""
    machine = Machine(debian_tree.kernel_image, layout.tree, tmp_path_factory.mktemp("machine"))
    command = shlex.join(
        [
            *("env", f"PYTHONPATH={PROJECT}", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            *(sys.executable, "-m", "tests.realkernel.guest"),
            *(str(layout.uploads), "/run/out/results", *layout.drawn),
        ]
    )
    script = f"cd {shlex.quote(str(PROJECT))}; {command} >/run/out/log 2>&1; {power_off()}"
    guest = machine.boot(
        debian_tree,
        ["/bin/sh", "-c", script],
        seconds=PATIENCE,
        arguments="greet.numbers=7,8",
    )
    return _outcomes(guest)


@pytest.fixture(scope="session")
def emulated(layout: Layout) -> Outcomes:
    """What the emulated kernel does when it is asked the same."""
    with running_daemon(layout.tree.root) as daemon, daemon.client() as client:
        session = Session(client, layout.uploads)

        def listing() -> list[str]:
            return [
                f"{module.name} {module.size_bytes} {module.reference_count} "
                + ("".join(f"{holder}," for holder in module.holders) or "-")
                for module in client.list_modules()
            ]

        records = {scenario.__name__: run(session, scenario) for scenario in SCENARIOS}
        records["load_each"] = run(session, load_each, layout.drawn, listing)
    return Outcomes(records)


@pytest.fixture(scope="session")
def service(
    debian_tree: DebianTree, layout: Layout, tmp_path_factory: pytest.TempPathFactory
) -> Outcomes:
    """What came of kmodd.service in a guest whose first process is systemd."""
    require(str(SYSTEMD), "the guest's first process is systemd")
    work = tmp_path_factory.mktemp("service")
    machine = Machine(debian_tree.kernel_image, layout.tree, work)
    guest = machine.boot(
        debian_tree,
        [str(SYSTEMD)],
        seconds=PATIENCE,
        prepare=service_setup(PROJECT, layout.uploads),
    )
    return _outcomes(guest)


def _outcomes(guest: Guest) -> Outcomes:
    """Read what the guest wrote; pytest shows its console and log with a failure."""
    log, results = guest.output / "log", guest.output / "results"
    sys.stderr.write(guest.console)
    sys.stderr.write(log.read_text("utf-8", "replace") if log.exists() else "")
    assert results.exists(), "the guest did not come to its first result"
    found = [json.loads(line) for line in results.read_text().splitlines()]
    return Outcomes({each["scenario"]: each["record"] for each in found})
