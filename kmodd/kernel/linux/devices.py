# SPDX-License-Identifier: Apache-2.0
"""The devices of the machine: as the kernel's events tell of them, and as /sys lists them.

An event has a header "ACTION@DEVPATH" and properties "KEY=VALUE", a NUL behind each
(lib/kobject_uevent.c). A device's file ``uevent`` has the properties that its next event will have,
a line each, but for those that every event has: that makes an event of every device there is.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from kmodd.kernel.base import PluggedDevice
from kmodd.kernel.linux.system import System

MAX_PROPERTIES = 64
"""Properties of an event, as many as the kernel has room for (UEVENT_NUM_ENVP)."""

PROPERTIES_MAX = 8192
"""Bytes that are read of a device's file; the kernel writes up to a page, 2 KiB of properties."""


def device_of_event(event: bytes) -> PluggedDevice | None:
    """Return the device that an event tells of; None for one that says nothing of a device."""
    header, _, rest = event.partition(b"\0")
    action, at, path = header.partition(b"@")
    if not at or not path.startswith(b"/"):
        return None
    properties = _properties(rest.split(b"\0"))
    properties |= {"ACTION": _text(action), "DEVPATH": _text(path)}
    return PluggedDevice(_text(path), properties)


def plugged_devices(system: System, sysfs: Path) -> Iterator[PluggedDevice]:
    """Yield what ``udevadm trigger`` has the kernel tell of: the devices of every bus and class.

    The kernel's own parts and modules (/sys/module) come last. One that goes meanwhile is left out.
    """
    seen: set[str] = set()
    top = system.real_path(sysfs)
    for subsystem, directory in _places(system, top):
        place = _led_to(system, directory)
        if place in seen or not place.startswith(f"{top}/"):
            continue
        seen.add(place)
        properties = _file_properties(system, place)
        if properties is not None:
            path = place.removeprefix(top)
            own = {"ACTION": "add", "DEVPATH": path, "SUBSYSTEM": subsystem}
            yield PluggedDevice(path, {**properties, **own})


def _places(system: System, top: str) -> Iterator[tuple[str, str]]:
    """Yield the subsystem and the directory of each device; many come by two ways."""
    for bus in _entries(system, f"{top}/bus"):
        for device in _entries(system, f"{top}/bus/{bus}/devices"):
            yield bus, f"{top}/bus/{bus}/devices/{device}"
    for name in _entries(system, f"{top}/class"):
        for device in _entries(system, f"{top}/class/{name}"):
            yield name, f"{top}/class/{name}/{device}"
    for name in _entries(system, f"{top}/module"):
        yield "module", f"{top}/module/{name}"


def _led_to(system: System, directory: str) -> str:
    """Return where a link of sysfs leads: to the device's own directory, in one step
    (fs/sysfs/symlink.c). What is no link is that directory.
    """
    try:
        target = system.read_link(directory)
    except OSError:
        return directory
    return os.path.normpath(os.path.join(os.path.dirname(directory), target))


def _entries(system: System, directory: str) -> list[str]:
    try:
        return system.list_directory(directory)
    except OSError:
        return []


def _file_properties(system: System, directory: str) -> dict[str, str] | None:
    """Return the properties that a device's file tells; None where there is no such file.

    That of a module can only be written, and has none to tell.
    """
    path = Path(directory, "uevent")
    try:
        return _properties(system.read(path, PROPERTIES_MAX).split(b"\n"))
    except PermissionError:
        return {}
    except OSError:  # it has gone, or its driver does not tell
        return {} if system.exists(path) else None


def _properties(lines: list[bytes]) -> dict[str, str]:
    pairs = (line.partition(b"=") for line in lines[:MAX_PROPERTIES])
    return {_text(key): _text(value) for key, equals, value in pairs if key and equals}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
