# SPDX-License-Identifier: Apache-2.0
"""udev's rules that load modules, as they are installed: where they are, and what they say.

That is the rule for drivers, and here and there a line in another (udev(7)).
"""

import contextlib
import logging
import os
import re
import stat
from pathlib import Path

from kmodd.access.trusted_files import first_untrusted
from kmodd.config.udev_rules import MAX_RULES, PLAIN_RULE, DriverRule, read_driver_rule
from kmodd.errors import RequestError
from kmodd.records import record

RULE = "80-drivers.rules"
"""The name of the rule's file."""

RULES = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
"""Where directories udev/rules.d are; of files with one name the first counts."""

MADE = "# Made by kmodd setup"
"""What a rule begins with that kmodd has made from the one that counts without it."""

LOADS = re.compile(r'RUN\{builtin\}\s*\+?=\s*"kmod load ([A-Za-z0-9_][A-Za-z0-9_ -]*)"')
"""What has udev load modules by name, in a line that is not a comment."""

log = logging.getLogger(__name__)


@record
class InstalledRule:
    """A rule's file, and what it says: nothing for one that is linked to /dev/null."""

    path: Path
    text: str

    @property
    def is_made(self) -> bool:
        """Whether kmodd has made it."""
        return self.text.startswith(MADE)


def installed_rules(root: Path, name: str = RULE) -> tuple[InstalledRule, ...]:
    """Return the rules of that name below ``root``, the one that counts first.

    One that cannot be read, or is longer than a rule, is left out.
    """
    paths = (root / directory / "udev/rules.d" / name for directory in RULES)
    found = ((path, _text_of(path)) for path in paths)
    return tuple(InstalledRule(path, text) for path, text in found if text is not None)


def stock_rule(root: Path, name: str = RULE) -> InstalledRule | None:
    """Return the rule of that name that counts where kmodd has made none; None for none."""
    return next((rule for rule in installed_rules(root, name) if not rule.is_made), None)


def other_rules(root: Path) -> tuple[InstalledRule, ...]:
    """Return the other rules that load modules by name, as they are where kmodd has made none."""
    names: set[str] = set()
    for directory in RULES:
        with contextlib.suppress(OSError):
            names.update(os.listdir(root / directory / "udev/rules.d"))
    found = (stock_rule(root, name) for name in sorted(names - {RULE}) if name.endswith(".rules"))
    return tuple(rule for rule in found if rule and LOADS.search(rule.text))


def driver_rule(root: Path, *, trusted_only: bool) -> DriverRule:
    """Return the rule by which drivers are loaded in udev's place.

    Where there is none, or it does not count, what answers to a device's MODALIAS is loaded.
    """
    stock = stock_rule(root)
    if stock is None:
        return read_driver_rule(PLAIN_RULE)
    complaint = first_untrusted(stock.path, root) if trusted_only else ""
    if not complaint:
        try:
            return read_driver_rule(stock.text)
        except RequestError as error:
            complaint = f"{stock.path}: {error.message}"
    log.warning("devices have loaded what their modalias says and no more: %s", complaint)
    return read_driver_rule(PLAIN_RULE)


def _text_of(path: Path) -> str | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        if stat.S_ISCHR(os.fstat(fd).st_mode):
            return ""
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        content = file.read(MAX_RULES + 1)
    return content.decode("utf-8", "surrogateescape") if len(content) <= MAX_RULES else None
