# SPDX-License-Identifier: Apache-2.0
"""What runs in a guest whose boot is measured, after udev has settled: ``boot_times.py OUTPUT``."""

import json
import sys
from pathlib import Path

from tests.realkernel.service_unit import PATIENCE, shown, systemctl
from tests.support.daemon import wait_until

UNITS = ("kmodd.service", "systemd-udev-trigger.service", "sysinit.target")


def main(output: Path) -> None:
    """Write when the units of the boot were there and when all devices were.

    In seconds since systemd began: what came before is the guest's own preparation.
    """
    # A unit of systemd's that is not there is inactive.
    wait_until(
        lambda: shown("ActiveState") != {"ActiveState": "activating"}, seconds=PATIENCE, pause=0.5
    )
    moments = {unit: _moment("ActiveEnterTimestampMonotonic", unit) for unit in UNITS}
    # udevadm settle has run before the unit's main process.
    moments["settled"] = _moment("ExecMainStartTimestampMonotonic", "kmodd-guest.service")
    moments["started"] = _moment("ExecMainStartTimestampMonotonic", "kmodd.service")
    begun = _seconds(systemctl("show", "--value", "--property=UserspaceTimestampMonotonic"))
    record = {name: max(0.0, moment - begun) for name, moment in moments.items()}
    record["modules"] = len(Path("/proc/modules").read_text().splitlines())
    (output / "results").write_text(json.dumps({"scenario": "times", "record": record}) + "\n")


def _moment(name: str, unit: str) -> float:
    """A moment since the kernel's start; 0 for a unit that was not there."""
    return _seconds(shown(name, unit=unit)[name])


def _seconds(microseconds: str) -> float:
    return int(microseconds) / 1e6


if __name__ == "__main__":
    main(Path(sys.argv[1]))
