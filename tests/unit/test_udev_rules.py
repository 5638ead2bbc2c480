# SPDX-License-Identifier: Apache-2.0
"""udev's rule for drivers, as kmodd carries it out in udev's place."""

from pathlib import Path

import pytest

from kmodd.config.udev_rules import PLAIN_RULE, read_driver_rule
from kmodd.errors import Reason, RequestError
from kmodd.host.udev import driver_rule, stock_rule

RULE = """\
# a comment, and what a line may be continued by \\

ACTION!="add", GOTO="drivers_end"

ENV{MODALIAS}=="?*", RUN{builtin}+="kmod load"
SUBSYSTEM=="tifm", ENV{TIFM_CARD_TYPE}=="SD", RUN{builtin}+="kmod load tifm_sd"
SUBSYSTEM=="memstick", \\
  RUN{builtin}+="kmod load ms_block mspro_block"
SUBSYSTEM=="module", KERNEL=="parport_pc|lp", RUN{builtin}+="kmod load ppdev"
KERNEL=="mtd*ro", ENV{MTD_FTL}=="smartmedia", RUN{builtin}+="kmod load sm_ftl"

LABEL="drivers_end"
"""


def event(path: str, subsystem: str, action: str = "add", **properties: str) -> dict[str, str]:
    return {"ACTION": action, "DEVPATH": path, "SUBSYSTEM": subsystem, **properties}


@pytest.mark.parametrize(
    ("properties", "names"),
    [
        (event("/devices/pci0/x", "pci", MODALIAS="pci:v1"), ("pci:v1",)),
        (event("/devices/pci0/x", "pci", MODALIAS=""), ()),
        (event("/devices/pci0/x", "pci"), ()),
        (event("/devices/pci0/x", "pci", "change", MODALIAS="pci:v1"), ()),
        (event("/devices/t/1", "tifm", TIFM_CARD_TYPE="SD"), ("tifm_sd",)),
        (event("/devices/t/1", "tifm", TIFM_CARD_TYPE="MS"), ()),
        (event("/devices/m/1", "memstick", MODALIAS="m:1"), ("m:1", "ms_block", "mspro_block")),
        (event("/module/parport_pc", "module"), ("ppdev",)),
        (event("/module/lp", "module"), ("ppdev",)),
        (event("/module/parport", "module"), ()),
        # Only udev finds out what is on such a device.
        (event("/devices/mtd0ro", "mtd", MTD_FTL="smartmedia"), ()),
    ],
)
def test_what_an_event_has_loaded(properties: dict[str, str], names: tuple[str, ...]) -> None:
    assert read_driver_rule(RULE).wanted(properties) == names


@pytest.mark.parametrize("argument", ["", " '$env{MODALIAS}'", " $env{MODALIAS}", " %E{MODALIAS}"])
def test_the_modalias_may_be_spelled_or_left_out(argument: str) -> None:
    rule = f'ENV{{MODALIAS}}=="?*", RUN{{builtin}}+="kmod load{argument}"'
    found = read_driver_rule(rule).wanted(event("/devices/x", "usb", MODALIAS="usb:v1"))
    assert found == ("usb:v1",)


def test_where_there_is_no_udev_the_modalias_counts() -> None:
    rule = read_driver_rule(PLAIN_RULE)
    assert rule.wanted(event("/devices/x", "usb", MODALIAS="usb:v1")) == ("usb:v1",)
    assert rule.wanted(event("/devices/x", "usb", "bind", MODALIAS="usb:v1")) == ()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('RUN+="/bin/true"', 'RUN+="/bin/true"'),
        ('RUN{builtin}+="blkid"', "'blkid'"),
        ('RUN{builtin}+="kmod load a;b"', "'a;b'"),
        ('RUN{builtin}+="kmod unload a"', "'kmod unload a'"),
        ('IMPORT{file}="/etc/x"', 'IMPORT{file}="/etc/x"'),
        ('ATTR{size}=="1", RUN{builtin}+="kmod load a"', "a condition on ATTR"),
        ('SUBSYSTEM{x}=="1"', "a condition on SUBSYSTEM"),
        ('KERNEL=="[a"', "[a"),
        ('ENV{A}="1"', 'ENV{A}="1"'),
        ("nonsense", "'nonsense'"),
        ('GOTO="nowhere"', "no label 'nowhere'"),
    ],
)
def test_what_is_not_understood_is_named(line: str, what: str) -> None:
    with pytest.raises(RequestError) as raised:
        read_driver_rule(f"# one\n{line}\n")
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert what in raised.value.message
    assert "line 2" in raised.value.message or "GOTO" in line


@pytest.mark.parametrize("text", ["# long\n" * 20000, 'LABEL="a"\n' * 300])
def test_a_rule_has_a_bound(text: str) -> None:
    with pytest.raises(RequestError, match="it has more than"):
        read_driver_rule(text)


def rules(root: Path, directory: str) -> Path:
    place = root / directory / "udev/rules.d"
    place.mkdir(parents=True, exist_ok=True)
    return place / "80-drivers.rules"


def test_the_rule_that_counts_is_the_one_that_is_not_ours(tmp_path: Path) -> None:
    assert stock_rule(tmp_path) is None
    rules(tmp_path, "usr/lib").write_text("# systemd's\n")
    rules(tmp_path, "etc").write_text("# Made by kmodd setup from elsewhere\n")
    found = stock_rule(tmp_path)
    assert found is not None
    assert found.path == rules(tmp_path, "usr/lib")
    rules(tmp_path, "etc").unlink()
    rules(tmp_path, "etc").symlink_to("/dev/null")
    found = stock_rule(tmp_path)
    assert found is not None
    assert found.text == ""
    assert driver_rule(tmp_path, trusted_only=False).lines == ()


def test_a_rule_that_does_not_count_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules(tmp_path, "usr/lib").write_text('RUN+="/bin/true"\n')
    rule = driver_rule(tmp_path, trusted_only=False)
    assert rule.wanted(event("/devices/x", "usb", MODALIAS="usb:v1")) == ("usb:v1",)
    assert f"{rules(tmp_path, 'usr/lib')}: udev's rule for drivers is not understood" in caplog.text
    caplog.clear()
    rules(tmp_path, "usr/lib").write_text(RULE)
    rules(tmp_path, "usr/lib").chmod(0o666)
    rule = driver_rule(tmp_path, trusted_only=True)
    assert rule.wanted(event("/module/lp", "module")) == ()
    assert "devices have loaded what their modalias says and no more" in caplog.text
