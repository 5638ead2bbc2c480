# SPDX-License-Identifier: Apache-2.0
"""kmodd setup in a root of its own; what becomes of it in a machine, tests/realkernel shows."""

import re
import subprocess
from pathlib import Path

import pytest

from kmodd.__main__ import main, make_parser
from kmodd.errors import Reason, RequestError
from kmodd.host.udev import stock_rule
from kmodd.settings import Settings
from kmodd.settings.toml import read_settings
from kmodd.setup.command import set_up
from tests.support.modules import module_tree
from tests.support.require import require

STOCK = """\
# systemd's

ACTION!="add", GOTO="drivers_end"
ENV{MODALIAS}=="?*", RUN{builtin}+="kmod load"
KERNEL=="mtd*ro", ENV{MTD_FTL}=="smartmedia", RUN{builtin}+="kmod load sm_ftl"
LABEL="drivers_end"
"""
RULE = "etc/udev/rules.d/80-drivers.rules"
GATE = "/run/kmodd/hotplug/gate"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for directory in ("usr/lib/udev/rules.d", "opt/kmodd/bin", "sbin"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "usr/lib/udev/rules.d/80-drivers.rules").write_text(STOCK)
    return tmp_path


def run(root: Path, *options: str) -> int:
    arguments = ["setup", "--root", str(root), "--programs", "/opt/kmodd/bin", *options]
    return set_up(make_parser().parse_args(arguments))


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text(errors="replace")
        for path in root.rglob("*")
        if path.is_file()
    }


def test_all_that_is_made_is_taken_away_again(root: Path) -> None:
    before = files(root)
    assert run(root) == 0
    made = files(root).keys() - before.keys()
    assert {RULE, "etc/sysctl.d/kmodd-setup.conf", "etc/kmodd/kmodd.toml.d/setup.toml"} <= made
    assert (root / RULE).stat().st_mode & 0o777 == 0o644
    assert (root / "opt/kmodd/bin/modprobe").readlink() == Path("kmodctl")
    assert run(root, "--undo") == 0
    assert files(root) == before


def test_a_second_time_there_is_nothing_to_do(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(root)
    made = files(root)
    capsys.readouterr()
    assert run(root) == 0
    assert capsys.readouterr().out == "nothing is to be changed\n"
    assert files(root) == made


def test_a_dry_run_shows_the_difference_and_makes_none(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(root)
    assert run(root, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert f"--- /dev/null\n+++ {root}/{RULE}\n" in shown
    assert "+kernel.modprobe = /opt/kmodd/bin/modprobe\n" in shown
    assert files(root) == before
    assert not (root / "opt/kmodd/bin/modprobe").is_symlink()


def test_what_setup_has_not_made_is_left_alone_and_nothing_is_done(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = root / "etc/sysctl.d/kmodd-setup.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("kernel.modprobe = /bin/mine\n")
    before = files(root)
    arguments = ["setup", "--root", str(root), "--programs", "/opt/kmodd/bin"]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert f"not made by kmodd setup, and left alone: {theirs}" in said.err
    assert files(root) == before
    assert run(root, "--undo") == 0
    assert files(root) == before


def test_the_rule_has_the_installed_one_in_it_word_for_word(root: Path) -> None:
    run(root)
    rule = (root / RULE).read_text()
    assert STOCK in rule
    lines = rule[: rule.index('LABEL="kmodd_away"')].splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [
        'ACTION!="add", GOTO="kmodd_drivers_end"',
        'ENV{MODALIAS}=="?*", ENV{.KMODD}="wait"',
        'KERNEL=="mtd*ro", ENV{MTD_FTL}=="smartmedia", ENV{.KMODD}="wait"',
        'LABEL="kmodd_drivers_end"',
        'ENV{.KMODD}!="wait", GOTO="kmodd_away"',
        f'IMPORT{{file}}="{GATE}"',
        f'TEST!="{GATE}", GOTO="kmodd_away"',
        'KERNEL=="mtd*ro", ENV{MTD_FTL}=="smartmedia", '
        'RUN+="/opt/kmodd/bin/kmodctl modprobe -bq -a sm_ftl"',
        'GOTO="kmodd_end"',
    ]
    found = stock_rule(root)
    assert found is not None
    assert found.text == STOCK


def test_another_rule_of_systemds_is_taken_over(root: Path) -> None:
    run(root)
    newer = STOCK.replace("sm_ftl", "sm_ftl2")
    (root / "usr/lib/udev/rules.d/80-drivers.rules").write_text(newer)
    assert run(root, "--only-rule") == 0
    assert newer in (root / RULE).read_text()


OTHER = """\
# RUN{builtin}+="kmod load commented"
SUBSYSTEM=="scsi", TEST!="[module/sg]", RUN{builtin}+="kmod load sg", MODE="0660"
KERNEL=="x", RUN{builtin}+="kmod load \\
  continued"
KERNEL=="y", RUN+="/bin/other"
"""


def test_other_rules_that_load_have_kmodd_asked_where_it_is_there(root: Path) -> None:
    (root / "usr/lib/udev/rules.d/80-other.rules").write_text(OTHER)
    (root / "usr/lib/udev/rules.d/81-none.rules").write_text('KERNEL=="y", RUN+="/bin/other"\n')
    (root / "etc/udev/rules.d").mkdir(parents=True)
    (root / "etc/udev/rules.d/90-mine.rules").write_text(OTHER)
    before = files(root)
    run(root)
    made = (root / "etc/udev/rules.d/80-other.rules").read_text().splitlines()
    comment, sg, *rest = OTHER.splitlines()
    asks = sg.replace(
        'RUN{builtin}+="kmod load sg"', 'RUN+="/opt/kmodd/bin/kmodctl modprobe -bq -a sg"'
    )
    assert made[1:] == [comment, f'TEST!="{GATE}", {sg}', f'TEST=="{GATE}", {asks}', *rest]
    assert not (root / "etc/udev/rules.d/81-none.rules").exists()
    assert (root / "etc/udev/rules.d/90-mine.rules").read_text() == OTHER
    watched = (root / "etc/systemd/system/kmodd-udev-rule.path").read_text()
    assert "PathChanged=/usr/lib/udev/rules.d/80-other.rules\n" in watched
    (root / "usr/lib/udev/rules.d/80-other.rules").write_text(OTHER.replace("sg", "ch"))
    assert run(root, "--only-rule") == 0
    assert "-a ch" in (root / "etc/udev/rules.d/80-other.rules").read_text()
    assert run(root, "--undo") == 0
    before["usr/lib/udev/rules.d/80-other.rules"] = OTHER.replace("sg", "ch")
    assert files(root) == before


def test_a_rule_goes_with_the_one_that_it_was_made_of(root: Path) -> None:
    other = root / "usr/lib/udev/rules.d/80-other.rules"
    other.write_text(OTHER)
    run(root)
    other.unlink()
    (root / "usr/lib/udev/rules.d/80-drivers.rules").unlink()
    assert run(root, "--only-rule") == 0
    assert not [path for path in files(root) if path.startswith("etc/udev/rules.d/")]


def test_where_setup_was_not_done_the_rule_is_not_made(root: Path) -> None:
    assert run(root, "--only-rule") == 0
    assert not (root / RULE).exists()


def test_a_rule_that_is_not_understood_stays_udevs(root: Path) -> None:
    stock = root / "usr/lib/udev/rules.d/80-drivers.rules"
    stock.write_text(STOCK + 'RUN+="/bin/other"\n')
    with pytest.raises(RequestError) as raised:
        run(root)
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert "/usr/lib/udev/rules.d/80-drivers.rules: udev's rule" in raised.value.message
    assert not (root / RULE).exists()


def test_a_machine_without_udev_has_the_other_roads(root: Path) -> None:
    (root / "usr/lib/udev/rules.d/80-drivers.rules").unlink()
    assert run(root) == 0
    assert not (root / RULE).exists()
    assert (root / "etc/sysctl.d/kmodd-setup.conf").exists()


def test_the_settings_are_such_that_kmodd_takes_them(root: Path) -> None:
    run(root)
    settings = read_settings(root / "etc/kmodd/kmodd.toml.d/setup.toml", Settings())
    assert (settings.hotplug, settings.publish_deny, settings.load_at_start) == (True, True, True)


def test_no_unit_that_a_boot_waits_for_waits_for_kmodd(root: Path) -> None:
    run(root)
    units = root / "etc/systemd/system"
    made = [path.read_text() for path in units.rglob("*.*") if path.is_file()]
    assert any("ReadWritePaths=-/etc/modprobe.d" in text for text in made)
    unit = (Path(__file__).parents[2] / "systemd/kmodd.service").read_text()
    waits = re.compile(r"^(Before=(?!shutdown\.target$)|.*=kmodd\.service$)", re.MULTILINE)
    assert [text for text in (unit, *made) if waits.search(text)] == []


DENIALS = "etc/modprobe.d/kmodd-deny.conf"
DENY = """
[[deny]]
modules = ["gree?", "slhc"]
reason = "closed here"
"""


def test_what_is_denied_is_kept_out_of_the_first_boot_too(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module_tree(root)
    settings = root / "etc/kmodd/kmodd.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(DENY)
    before = files(root)
    assert run(root, "--dry-run") == 0
    assert "+install greet /bin/false\n" in capsys.readouterr().out
    assert files(root) == before
    run(root)
    lines = (root / DENIALS).read_text().splitlines()
    assert [line for line in lines if line.startswith("blacklist")] == [
        "blacklist greet",
        "blacklist slhc",
    ]
    capsys.readouterr()
    run(root)
    assert capsys.readouterr().out == "nothing is to be changed\n"
    (root / "etc/kmodd/kmodd.toml.d/zz.toml").write_text("publish_deny = false\n")
    run(root)
    assert not (root / DENIALS).exists()
    (root / "etc/kmodd/kmodd.toml.d/zz.toml").unlink()
    run(root)
    assert (root / DENIALS).exists()
    run(root, "--undo")
    assert files(root) == before


@pytest.mark.parametrize("text", ["[[deny]]\nmodules = 7\n", "modules =\n"])
def test_settings_that_are_wrong_keep_setup_from_no_other_road(
    root: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = root / "etc/kmodd/kmodd.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(text)
    assert run(root) == 0
    assert f"what is denied is not published: {settings}:" in capsys.readouterr().err
    assert (root / RULE).exists()
    assert not (root / DENIALS).exists()


def test_a_file_of_denials_that_somebody_else_has_made_stays(root: Path) -> None:
    (root / DENIALS).parent.mkdir(parents=True)
    (root / DENIALS).write_text("# mine\n")
    run(root)
    run(root, "--undo")
    assert (root / DENIALS).read_text() == "# mine\n"


STATUS = """\
Package: kmod
Status: install ok installed
Maintainer: nobody
Architecture: all
Version: 34
Description: modprobe
"""


@pytest.fixture(params=["/sbin/modprobe", "/usr/sbin/modprobe"])
def modprobe(root: Path, request: pytest.FixtureRequest) -> str:
    """The path by which dpkg knows modprobe: that of Debian 12, and that of later ones."""
    require("dpkg-divert", "Debian's way to keep a package's file")
    (root / "usr/sbin").mkdir(parents=True, exist_ok=True)
    (root / "sbin").rmdir()
    (root / "sbin").symlink_to("usr/sbin")
    (root / "usr/sbin/modprobe").symlink_to("../bin/kmod")
    admin = root / "var/lib/dpkg"
    (admin / "info").mkdir(parents=True)
    (admin / "status").write_text(STATUS)
    (admin / "info/kmod.list").write_text(f"/.\n{request.param}\n")
    return str(request.param)


def diverted(root: Path, place: str) -> bool:
    command = ["dpkg-divert", f"--root={root}", "--truename", place]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return answer.stdout == f"{place}.kmod\n"


def test_modprobe_is_diverted_where_that_is_asked_for(
    root: Path, modprobe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place, kept = root / "usr/sbin/modprobe", root / "usr/sbin/modprobe.kmod"
    assert run(root, "--dry-run", "--divert") == 0
    assert "+ dpkg-divert" in capsys.readouterr().out
    assert place.readlink() == Path("../bin/kmod")
    for _ in range(2):
        assert run(root, "--divert") == 0
        assert place.readlink() == Path("/opt/kmodd/bin/kmodctl")
        assert kept.readlink() == Path("../bin/kmod")
        assert diverted(root, modprobe)
    assert run(root, "--undo") == 0
    assert place.readlink() == Path("../bin/kmod")
    assert not kept.is_symlink()
    assert not diverted(root, modprobe)


def test_a_modprobe_that_kmod_has_brought_meanwhile_stays(root: Path, modprobe: str) -> None:
    place, kept = root / "usr/sbin/modprobe", root / "usr/sbin/modprobe.kmod"
    assert run(root, "--divert") == 0
    place.unlink()
    kept.rename(place)  # as an upgrade does where kmod comes to have its other path
    assert run(root, "--undo") == 0
    assert place.readlink() == Path("../bin/kmod")
    assert not diverted(root, modprobe)


def test_a_file_that_cannot_be_put_in_place_is_named(root: Path) -> None:
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/sysctl.d").write_text("in the way")
    with pytest.raises(RequestError, match=r"etc/sysctl\.d"):
        run(root)
