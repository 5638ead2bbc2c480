# SPDX-License-Identifier: Apache-2.0
"""The files that put kmodd on the roads by which modules get in."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kmodd.config.udev_rules import DriverRule, read_driver_rule
from kmodd.errors import Reason, RequestError
from kmodd.host.udev import LOADS, MADE, RULE, InstalledRule, other_rules, stock_rule

GATE = "/run/kmodd/hotplug/gate"
"""What udev reads, and what is there while the system's kmodd does udev's work."""

SETTINGS = """\
# What devices want is loaded as they are plugged in, modules-load.d is honoured, and what is denied
# is denied to those, too, who load modules before kmodd is up.
hotplug = true
load_at_start = true
publish_deny = true
"""

UNIT = f"""\
[Service]
ReadWritePaths=-/etc/modprobe.d
# Who waits for a killed kmodd does so no longer.
ExecStopPost=-/bin/rm -f {GATE}
"""

MODULES_LOAD = f"""\
# kmodd honours modules-load.d while it is there.
[Unit]
ConditionPathExists=!{GATE}
"""

RENEWAL_PATH = """\
[Unit]
Description=Another udev rule for drivers

[Path]
{stock}

[Install]
WantedBy=paths.target
"""

RENEWAL = """\
[Unit]
Description=Make kmodd's udev rule anew from the installed one

[Service]
Type=oneshot
ExecStart={programs}/kmodd setup --only-rule
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file that is made, by its path below the root; ``why`` says for which road."""

    path: str
    text: str
    why: str


def pieces(root: Path, programs: Path, *, only_rule: bool = False) -> tuple[Piece, ...]:
    """Return the files that are made in the system below ``root``.

    ``programs`` is the directory of kmodd and kmodctl there. With ``only_rule`` it is udev's rule
    alone. Raises RequestError (INVALID_REQUEST) for a rule of udev's that is not understood.
    """
    stock = stock_rule(root)
    rule: list[Piece] = []
    made = 0
    if stock is not None:
        shown = _below(stock.path, root)
        text = made_rule(stock, shown, programs)
        rule.append(_piece(f"etc/udev/rules.d/{RULE}", text, "what devices want, by udev's rule"))
        others = [each for each in other_rules(root) if root / "etc" not in each.path.parents]
        for each in others:
            text = made_other_rule(each, programs)
            rule.append(
                _piece(f"etc/udev/rules.d/{each.path.name}", text, f"what {each.path.name} loads")
            )
        made = len(rule)
        watched = (shown, *(_below(each.path, root) for each in others))
        path = RENEWAL_PATH.format(stock="\n".join(f"PathChanged={each}" for each in watched))
        unit = RENEWAL.format(programs=programs)
        why = "udev's rule is made anew when systemd brings another"
        rule += [
            _piece("etc/systemd/system/kmodd-udev-rule.path", path, why),
            _piece("etc/systemd/system/kmodd-udev-rule.service", unit, why),
        ]
    if only_rule:
        return tuple(rule[:made])
    modprobe = f"kernel.modprobe = {programs}/modprobe\n"
    units = "etc/systemd/system"
    return (
        _piece("etc/sysctl.d/kmodd-setup.conf", modprobe, "what the kernel asks for"),
        _piece("etc/kmodd/kmodd.toml.d/setup.toml", SETTINGS, "what kmodd is to do"),
        _piece(f"{units}/kmodd.service.d/setup.conf", UNIT, "kmodd as the owner of the loads"),
        _piece(
            f"{units}/systemd-modules-load.service.d/kmodd.conf",
            MODULES_LOAD,
            "what modules-load.d names",
        ),
        *rule,
    )


def made_rule(stock: InstalledRule, shown: str, programs: Path) -> str:
    """Return what takes the place of udev's rule ``stock``, which people know as ``shown``.

    Where kmodd is there, udev waits for it in place of loading, and where not, the rule is what it
    was. What only udev finds out of a device is told to kmodd by kmodctl.
    """
    try:
        rule = read_driver_rule(stock.text)
    except RequestError as error:
        raise RequestError(Reason.INVALID_REQUEST, f"{shown}: {error.message}") from error
    digest = hashlib.sha256(stock.text.encode("utf-8", "surrogateescape")).hexdigest()
    lines = [
        f"# sha256 of {shown}: {digest}",
        f"# 'kmodd setup --undo' leaves that file alone in force; without {GATE}",
        "# this one does what it does.",
        "",
        *_waits(rule),
        'ENV{.KMODD}!="wait", GOTO="kmodd_away"',
        f'IMPORT{{file}}="{GATE}"',
        f'TEST!="{GATE}", GOTO="kmodd_away"',
        *_asks(rule, programs),
        'GOTO="kmodd_end"',
        "",
        'LABEL="kmodd_away"',
        "",
        stock.text.rstrip("\n"),
        "",
        'LABEL="kmodd_end"',
    ]
    return "\n".join(lines) + "\n"


def made_other_rule(stock: InstalledRule, programs: Path) -> str:
    """Return what takes the place of another rule: where kmodd is there, it is asked to load.

    A line that loads and goes on in the next one is left as it is.
    """
    lines = []
    for line in stock.text.rstrip("\n").split("\n"):
        found = LOADS.search(line)
        if found is None or line.lstrip().startswith("#") or line.endswith("\\"):
            lines.append(line)
            continue
        asks = f'RUN+="{programs}/kmodctl modprobe -bq -a {found[1].strip()}"'
        lines.append(f'TEST!="{GATE}", {line}')
        lines.append(f'TEST=="{GATE}", {line[: found.start()]}{asks}{line[found.end() :]}')
    return "\n".join(lines) + "\n"


def _waits(rule: DriverRule) -> list[str]:
    """Return the lines that have udev wait for what the rule loads, with its jumps."""
    lines = []
    for line in rule.lines:
        if line.label:
            lines.append(f'LABEL="kmodd_{line.label}"')
        conditions = f"{line.conditions}, " if line.conditions else ""
        if line.names:
            lines.append(f'{conditions}ENV{{.KMODD}}="wait"')
        if line.goto:
            lines.append(f'{conditions}GOTO="kmodd_{line.goto}"')
    return lines


def _asks(rule: DriverRule, programs: Path) -> list[str]:
    """Return the lines that have kmodd asked for what only udev finds out."""
    return [
        f'{line.conditions}, RUN+="{programs}/kmodctl modprobe -bq -a {" ".join(line.names)}"'
        for line in rule.lines
        if line.asks_udev and line.names and all(line.names)
    ]


def _piece(path: str, text: str, why: str) -> Piece:
    return Piece(path, f"{MADE}: {why}.\n{text}", why)


def _below(path: Path, root: Path) -> str:
    return f"/{path.relative_to(root)}"
