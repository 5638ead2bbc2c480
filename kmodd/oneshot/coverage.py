# SPDX-License-Identifier: Apache-2.0
"""The roads by which modules get into this machine's kernel, and whether kmodd is on each.

It is looked up in files: what the kernel calls, what udev and systemd are told, what the initial
RAM disk was made from.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from kmodd.config.files import resolve_in_root
from kmodd.config.modprobe import DENIALS_FILE
from kmodd.host.udev import installed_rules, other_rules, stock_rule
from kmodd.records import record

YES, NO, PARTLY, CLOSED = "yes", "no", "partly", "closed"
"""Whether kmodd is on a road; one that is closed nobody is on."""

GATE = "run/kmodd/hotplug/gate"
"""What is there while the system's kmodd does udev's work."""

_TEXT_MAX = 64 << 10
_UNITS = "etc/systemd/system"


@record
class Road:
    """A road: its name, whether kmodd is on it, and why, in words."""

    name: str
    covered: str
    why: str


def roads(root: str = "/") -> tuple[Road, ...]:
    """Return the roads of the system below ``root``."""
    if _text(root, "proc/sys/kernel/modules_disabled").strip() == "1":
        why = "the kernel loads no module until the next boot (kernel.modules_disabled)"
        return (Road("all", CLOSED, why),)
    return tuple(_roads(root))


def _roads(root: str) -> Iterator[Road]:
    named = _text(root, "proc/sys/kernel/modprobe").strip()
    if named:
        yield _by_program(root, "the kernel's own requests (kernel.modprobe)", named)
    else:
        yield Road("the kernel's own requests (kernel.modprobe)", CLOSED, "it asks nobody")
    modprobe = _by_program(root, "programs that call modprobe", "/sbin/modprobe")
    yield modprobe
    yield from _devices(root)
    yield from _other_rules(root)
    yield from _modules_load(root)
    if os.path.exists(os.path.join(root, "usr/sbin/dkms")):
        yield Road("modules that DKMS has built", modprobe.covered, "it calls modprobe")
    yield from _initial_ram_disk(root)
    why = "kmodd only tells of it: 'kmodctl events', and the origin 'others'"
    yield Road("root, by insmod or the system calls", NO, why)


def _by_program(root: str, name: str, path: str) -> Road:
    """Return the road that leads through a program, which kmodctl may be called instead of."""
    try:
        real = resolve_in_root(root, path)
    except OSError as error:
        return Road(name, NO, f"{path}: {error.strerror}")
    if not os.path.exists(real):
        return Road(name, NO, f"there is no {path}")
    if os.path.basename(real).startswith("kmodctl"):
        return Road(name, YES, f"{path} is kmodctl")
    shown = f"/{os.path.relpath(real, root)}"
    return Road(name, NO, path if shown == path else f"{path} is {shown}")


def _devices(root: str) -> Iterator[Road]:
    """Yield the road of devices, where there is udev."""
    name = "devices (udev's rule for drivers)"
    rules, stock = installed_rules(Path(root)), stock_rule(Path(root))
    if not rules:
        return
    rule = rules[0]
    shown = f"/{rule.path.relative_to(root)}"
    if not rule.is_made:
        yield Road(name, NO, f"{shown} has udev load them; 'kmodd setup' makes another")
    elif not os.path.exists(os.path.join(root, GATE)):
        yield Road(name, NO, "kmodd does not load for devices at this moment, so udev does")
    elif stock is None or _digest(stock.text) not in rule.text:
        yield Road(name, YES, f"{shown} is of another systemd: 'kmodd setup' makes it anew")
    else:
        yield Road(name, YES, f"{shown} has udev wait for kmodd")


def _other_rules(root: str) -> Iterator[Road]:
    """Yield the road of udev's other rules, where one of them loads modules."""
    rules = other_rules(Path(root))
    if not rules:
        return
    name = "other rules of udev's"
    in_force = [installed_rules(Path(root), each.path.name)[0] for each in rules]
    theirs = [f"/{each.path.relative_to(root)}" for each in in_force if not each.is_made]
    if theirs:
        yield Road(name, NO, f"{' '.join(theirs)}: 'kmodd setup' makes them anew, but in /etc")
    elif not os.path.exists(os.path.join(root, GATE)):
        yield Road(name, NO, "kmodd does not load for devices at this moment, so udev does")
    else:
        yield Road(name, YES, f"{' '.join(each.path.name for each in in_force)}: kmodd is asked")


def _modules_load(root: str) -> Iterator[Road]:
    """Yield the road of modules-load.d, where systemd goes it."""
    unit = "systemd-modules-load.service"
    name = f"modules-load.d ({unit})"
    if os.path.realpath(os.path.join(root, _UNITS, unit)) == "/dev/null":
        yield Road(name, CLOSED, f"{unit} is masked")
    elif not os.path.exists(os.path.join(root, f"{_UNITS}/{unit}.d/kmodd.conf")):
        yield Road(name, NO, f"{unit} loads them; 'kmodd setup' tells it to leave that to kmodd")
    elif not os.path.exists(os.path.join(root, GATE)):
        yield Road(name, NO, f"{unit} loads them where kmodd is not there")
    else:
        yield Road(name, YES, f"{unit} leaves them to kmodd")


def _initial_ram_disk(root: str) -> Iterator[Road]:
    """Yield the road of the initial RAM disk, before kmodd is there."""
    release = os.uname().release
    name = "the initial RAM disk, before kmodd is there"
    for path in (f"boot/initrd.img-{release}", f"boot/initramfs-{release}.img"):
        try:
            made = os.stat(os.path.join(root, path)).st_mtime
        except OSError:
            continue
        try:
            published = os.stat(os.path.join(root, "etc/modprobe.d", DENIALS_FILE)).st_mtime
        except OSError:
            yield Road(name, NO, "what is denied is not published (publish_deny in kmodd.toml)")
            return
        if published > made:
            yield Road(name, NO, f"/{path} is older than what is denied by now")
        else:
            yield Road(name, PARTLY, f"/{path} was made since what is denied was published")
        return


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _text(root: str, path: str) -> str:
    try:
        with open(os.path.join(root, path), "rb") as file:
            return file.read(_TEXT_MAX).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
