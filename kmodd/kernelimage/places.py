# SPDX-License-Identifier: Apache-2.0
"""Where a system root has what was built with a release's kernel: its image, and what tells of it.

A place may be below ``lib/modules`` or ``usr/lib/modules``, whichever the root has.
"""

from collections.abc import Iterable
from pathlib import Path

from kmodd.places import MODULES_PLACES

IMAGE_PLACES = ("boot/vmlinuz-{release}", "lib/modules/{release}/vmlinuz")
"""Where packages put a release's image, best first: Debian's and Fedora's /boot; beside the modules
for Fedora, Arch, and Debian's from Linux 7.2 on."""

TYPES_PLACES = (
    "lib/modules/{release}/build/vmlinux",
    "usr/src/linux-headers-{release}/vmlinux",
    "usr/lib/debug/boot/vmlinux-{release}",
    "usr/lib/debug/lib/modules/{release}/vmlinux",
)
"""Where there may be a ``vmlinux`` that has the kernel's types, and mostly no kernel: with headers
(Debian's from 13 on, Arch's), a build, and what debuggers want (Debian's -dbg, Fedora's
-debuginfo)."""

RUNNING_TYPES = "/sys/kernel/btf/vmlinux"
"""Where the running kernel tells its types (Documentation/ABI/testing/sysfs-kernel-btf)."""


def find_image(root: Path, release: str) -> Path | None:
    """Return the image of ``release`` under ``root``, if there is one.

    A link is followed within the root alone: one that is absolute, or that leads out, is not taken.
    """
    for path in _candidates(root, release, IMAGE_PLACES):
        try:
            if path.is_file() and path.resolve().is_relative_to(root.resolve()):
                return path
        except OSError:
            continue
    return None


def find_in_root(root: Path, release: str, places: Iterable[str]) -> Path | None:
    """Return the first of these files of a release's build that there is under ``root``.

    A link to the build that is absolute is one within the root. Where that has nothing, it is one
    of this machine: ``make modules_install`` leaves such in whatever root it installs into.
    """
    for path in _candidates(root, release, places):
        for place in (_as_root_has_it(path, root), path):
            try:
                if place is not None and place.is_file():
                    return place
            except OSError:
                continue
    return None


def _candidates(root: Path, release: str, places: Iterable[str]) -> Iterable[Path]:
    usual, merged = MODULES_PLACES
    for place in places:
        yield root / place.format(release=release)
        if usual in place:
            yield root / place.replace(usual, merged).format(release=release)


def _as_root_has_it(path: Path, root: Path) -> Path | None:
    """Return where a file is in a build that an absolute link within the root leads to."""
    above = (each for each in path.parents if each != root and each.is_relative_to(root))
    build = next((each for each in above if each.name == "build"), None)
    try:
        if build is None or not build.is_symlink():
            return None
        target = build.readlink()
    except OSError:
        return None
    if not target.is_absolute():
        return None
    return root / target.relative_to("/") / path.relative_to(build)
