# SPDX-License-Identifier: Apache-2.0
"""``kmodd setup``: files are shown as a diff and put in place, and who reads them is told."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from kmodd.errors import KmoddError, Reason, RequestError
from kmodd.setup.changes import FileChange, changes
from kmodd.setup.denials import denials_change
from kmodd.setup.options import MODPROBE
from kmodd.setup.pieces import pieces

KEPT = ".kmod"
"""What the distribution's own has after its name where kmodctl has that."""

PLACES = (MODPROBE, f"/usr{MODPROBE}")
"""By which of its two paths a dpkg knows modprobe: by the first in Debian 12, by the other later.

One that is diverted by the wrong path is put back in its place with the next version of kmod.
"""


def set_up(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit status.

    Raises RequestError where somebody else has made one of the files, before anything is changed;
    and for one that cannot be written, which ends it there: the next run does what is left.
    """
    wanted = pieces(options.root, options.programs, only_rule=options.only_rule)
    found = changes(options.root, wanted, undo=options.undo)
    if options.only_rule and not options.undo:
        found = tuple(each for each in found if each.before is not None)
    if not options.only_rule:
        found += _denials(options)
    steps = [] if options.only_rule else list(_steps(options))
    for each in found:
        print(each.diff())
    for step in steps:
        print(f"+ {' '.join(step)}")
    if not found and not steps:
        print("nothing is to be changed")
    if options.dry_run or not (found or steps):
        return 0
    _make(found)
    for step in steps:
        _run(step)
    if options.root == Path("/"):
        _tell(options)
    return 0


def _denials(options: argparse.Namespace) -> tuple[FileChange, ...]:
    """Return what is to change of what is denied: settings that are wrong are told and passed over,
    since kmodd will not start by them either.
    """
    try:
        change = denials_change(options.root, undo=options.undo)
    except KmoddError as error:
        print(f"kmodd: what is denied is not published: {error.message}", file=sys.stderr)
        return ()
    return (change,) if change is not None else ()


def _make(found: Sequence[FileChange]) -> None:
    for each in found:
        try:
            each.make()
        except OSError as error:
            why = f"{each.path}: {error.strerror}"
            raise RequestError(Reason.INVALID_REQUEST, why) from error


def _steps(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Yield the programs that put links in place, where these are not so already."""
    root, programs = options.root, options.programs
    own = root / str(programs).lstrip("/") / "modprobe"
    if not options.undo and not own.is_symlink():
        yield "ln", "-s", "kmodctl", str(own)
    if options.undo:
        for place in filter(lambda each: _is_diverted(root, each), PLACES):
            linked = root / place.lstrip("/")
            is_ours = linked.is_symlink() and str(linked.readlink()) == f"{programs}/kmodctl"
            if is_ours:
                yield "rm", "-f", str(linked)
            # What somebody else has put there by now stays.
            yield (
                *_divert(root, place, "--rename" if is_ours else "--no-rename"),
                "--remove",
                place,
            )
    elif options.divert and not any(_is_diverted(root, place) for place in PLACES):
        place = PLACES[_succeeds("dpkg-query", *_admin(root), "-S", PLACES[1])]
        yield (*_divert(root, place, "--rename"), "--add", place)
        yield "ln", "-s", f"{programs}/kmodctl", str(root / place.lstrip("/"))


def _divert(root: Path, place: str, *words: str) -> tuple[str, ...]:
    return ("dpkg-divert", *_admin(root), "--local", *words, "--divert", f"{place}{KEPT}")


def _admin(root: Path) -> tuple[str, ...]:
    """Return the words by which dpkg's programs know another root."""
    return (f"--root={root}",) if root != Path("/") else ()


def _is_diverted(root: Path, place: str) -> bool:
    """Tell whether dpkg has modprobe away from ``place`` for setup."""
    return _said("dpkg-divert", *_admin(root), "--truename", place) == f"{place}{KEPT}"


def _succeeds(*command: str) -> bool:
    return _said(*command) is not None


def _said(*command: str) -> str | None:
    """Return what a program says, or None where it fails or is not there."""
    if shutil.which(command[0]) is None:
        return None
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if ended.returncode else ended.stdout.strip()


def _run(step: tuple[str, ...]) -> None:
    if shutil.which(step[0]) is None:
        raise RequestError(Reason.INVALID_REQUEST, f"there is no {step[0]} here")
    ended = subprocess.run(step, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip() or f"exit status {ended.returncode}"
        raise RequestError(Reason.INVALID_REQUEST, f"{' '.join(step)}: {said}")


def _tell(options: argparse.Namespace) -> None:
    """Have the kernel, systemd and udev take in what has changed, as far as they are there.

    What fails is told and passed over: it is done at the next boot.
    """
    modprobe = MODPROBE if options.undo else f"{options.programs}/modprobe"
    if not options.only_rule:
        try:
            Path("/proc/sys/kernel/modprobe").write_text(f"{modprobe}\n")
        except OSError as error:
            print(f"kmodd: kernel.modprobe stays as it is: {error.strerror}", file=sys.stderr)
    told: list[tuple[str, ...]] = [("udevadm", "control", "--reload")]
    if not options.only_rule:
        enable = "disable" if options.undo else "enable"
        told += [
            ("systemctl", "daemon-reload"),
            ("systemctl", enable, "--now", "kmodd-udev-rule.path"),
        ]
    for step in told:
        if not os.path.isdir("/run/systemd/system") or shutil.which(step[0]) is None:
            continue
        try:
            _run(step)
        except KmoddError as error:
            print(f"kmodd: {error.message}", file=sys.stderr)
    if options.only_rule:
        return
    print("'systemctl restart kmodd' has it in force. The initial RAM disk has what is denied once")
    print("it is made anew ('update-initramfs -u', or 'dracut --force').")
