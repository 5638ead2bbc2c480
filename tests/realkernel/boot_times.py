# SPDX-License-Identifier: Apache-2.0
"""What runs in a guest whose boot is measured, after udev has settled: ``boot_times.py OUTPUT``."""

import json
import sys
from pathlib import Path

from tests.realkernel.service_unit import PATIENCE, shown
from tests.support.daemon import wait_until

UNITS = ("kmodd.service", "systemd-udev-trigger.service", "sysinit.target")


def main(output: Path) -> None:
    """Write when the units of the boot were there and when all devices were, in seconds."""
    # A unit of systemd's that is not there is inactive.
    wait_until(
        lambda: shown("ActiveState") != {"ActiveState": "activating"}, seconds=PATIENCE, pause=0.5
    )
    record = {unit: _seconds("ActiveEnterTimestampMonotonic", unit) for unit in UNITS}
    # udevadm settle has run before the unit's main process.
    record["settled"] = _seconds("ExecMainStartTimestampMonotonic", "kmodd-guest.service")
    record["started"] = _seconds("ExecMainStartTimestampMonotonic", "kmodd.service")
    record["modules"] = len(Path("/proc/modules").read_text().splitlines())
    (output / "results").write_text(json.dumps({"scenario": "times", "record": record}) + "\n")


def _seconds(name: str, unit: str) -> float:
    """A moment since the kernel's start; 0 for a unit that was not there."""
    return int(shown(name, unit=unit)[name]) / 1e6


if __name__ == "__main__":
    main(Path(sys.argv[1]))
