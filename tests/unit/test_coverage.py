# SPDX-License-Identifier: Apache-2.0
"""Which roads kmodd is on, by the files of a system."""

import json
import os
from pathlib import Path

import pytest

from kmodd.__main__ import make_parser
from kmodd.oneshot.coverage import roads
from kmodd.setup.command import set_up
from tests.support.daemon import kmodctl

RULE = 'ENV{MODALIAS}=="?*", RUN{builtin}+="kmod load"\n'
GATE = "run/kmodd/hotplug/gate"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Debian as it is installed, with kmodd in /opt."""
    for path, text in {
        "proc/sys/kernel/modprobe": "/sbin/modprobe\n",
        "proc/sys/kernel/modules_disabled": "0\n",
        "usr/bin/kmod": "",
        "usr/lib/udev/rules.d/80-drivers.rules": RULE,
        "opt/kmodd/bin/kmodctl": "",
        f"boot/initrd.img-{os.uname().release}": "",
        "usr/sbin/dkms": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "usr/sbin/modprobe").symlink_to("../bin/kmod")
    (tmp_path / "sbin").symlink_to("usr/sbin")
    return tmp_path


def found(root: Path) -> dict[str, tuple[str, str]]:
    """The roads by the first word or two of their names."""
    return {" ".join(road.name.split()[:2]): (road.covered, road.why) for road in roads(str(root))}


def set_up_in(root: Path) -> None:
    arguments = ["setup", "--root", str(root), "--programs", "/opt/kmodd/bin"]
    set_up(make_parser().parse_args(arguments))


def test_a_system_without_kmodd_goes_all_roads_without_it(root: Path) -> None:
    assert found(root) == {
        "the kernel's": ("no", "/sbin/modprobe is /usr/bin/kmod"),
        "programs that": ("no", "/sbin/modprobe is /usr/bin/kmod"),
        "devices (udev's": (
            "no",
            "/usr/lib/udev/rules.d/80-drivers.rules has udev load them; 'kmodd setup' makes "
            "another",
        ),
        "modules-load.d (systemd-modules-load.service)": (
            "no",
            "systemd-modules-load.service loads them; 'kmodd setup' tells it to leave that to "
            "kmodd",
        ),
        "modules that": ("no", "it calls modprobe"),
        "the initial": ("no", "what is denied is not published (publish_deny in kmodd.toml)"),
        "root, by": ("no", "kmodd only tells of it: 'kmodctl events', and the origin 'others'"),
    }


def test_what_setup_has_made_counts_while_kmodd_is_there(root: Path) -> None:
    set_up_in(root)
    (root / "proc/sys/kernel/modprobe").write_text("/opt/kmodd/bin/modprobe\n")
    told = found(root)
    assert told["the kernel's"] == ("yes", "/opt/kmodd/bin/modprobe is kmodctl")
    assert told["devices (udev's"][0] == "no"
    assert told["modules-load.d (systemd-modules-load.service)"][0] == "no"
    (root / GATE).parent.mkdir(parents=True)
    (root / GATE).touch()
    told = found(root)
    assert told["devices (udev's"] == (
        "yes",
        "/etc/udev/rules.d/80-drivers.rules has udev wait for kmodd",
    )
    assert told["modules-load.d (systemd-modules-load.service)"][0] == "yes"
    (root / "usr/lib/udev/rules.d/80-drivers.rules").write_text(RULE + "# newer\n")
    assert found(root)["devices (udev's"] == (
        "yes",
        "/etc/udev/rules.d/80-drivers.rules is of another systemd: 'kmodd setup' makes it anew",
    )


def test_a_rule_that_loads_by_name_is_a_road_of_its_own(root: Path) -> None:
    rule = root / "usr/lib/udev/rules.d/80-other.rules"
    rule.write_text('SUBSYSTEM=="scsi", RUN{builtin}+="kmod load sg"\n')
    told = found(root)["other rules"]
    assert told[0] == "no"
    assert told[1].startswith("/usr/lib/udev/rules.d/80-other.rules: ")
    set_up_in(root)
    assert found(root)["other rules"][0] == "no"
    (root / GATE).parent.mkdir(parents=True)
    (root / GATE).touch()
    assert found(root)["other rules"] == ("yes", "80-other.rules: kmodd is asked")


def test_what_calls_modprobe_is_on_its_road(root: Path) -> None:
    (root / "usr/sbin/modprobe").unlink()
    (root / "usr/sbin/modprobe").symlink_to("/opt/kmodd/bin/kmodctl")
    told = found(root)
    assert told["programs that"] == ("yes", "/sbin/modprobe is kmodctl")
    assert told["modules that"] == ("yes", "it calls modprobe")
    (root / "usr/sbin/modprobe").unlink()
    assert found(root)["programs that"] == ("no", "there is no /sbin/modprobe")
    (root / "usr/sbin/modprobe").symlink_to("modprobe")
    assert found(root)["programs that"][0] == "no"


def test_the_initial_ram_disk_has_what_was_denied_when_it_was_made(root: Path) -> None:
    denials = root / "etc/modprobe.d/kmodd-deny.conf"
    denials.parent.mkdir(parents=True)
    denials.touch()
    image = root / f"boot/initrd.img-{os.uname().release}"
    os.utime(denials, (100, 100))
    os.utime(image, (200, 200))
    assert found(root)["the initial"][0] == "partly"
    os.utime(denials, (300, 300))
    assert found(root)["the initial"][0] == "no"
    image.unlink()
    assert "the initial" not in found(root)


def test_a_road_that_nobody_goes_is_closed(root: Path) -> None:
    (root / "proc/sys/kernel/modprobe").write_text("\n")
    unit = root / "etc/systemd/system/systemd-modules-load.service"
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    told = found(root)
    assert told["the kernel's"] == ("closed", "it asks nobody")
    assert told["modules-load.d (systemd-modules-load.service)"][0] == "closed"
    (root / "usr/lib/udev/rules.d/80-drivers.rules").unlink()
    assert "devices (udev's" not in found(root)
    (root / "proc/sys/kernel/modules_disabled").write_text("1\n")
    assert [(road.name, road.covered) for road in roads(str(root))] == [("all", "closed")]


def test_the_command_tells_of_this_machine() -> None:
    plain = kmodctl("coverage")
    assert plain.returncode == 0
    told = json.loads(kmodctl("--json", "coverage").stdout)
    lines = [f"{each['covered'] + ':':<7} {each['name']}: {each['why']}" for each in told]
    assert plain.stdout.splitlines() == lines
    assert lines
