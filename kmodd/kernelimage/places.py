# SPDX-License-Identifier: Apache-2.0
"""Where a system root has the image of a release's kernel."""

from pathlib import Path

IMAGE_PLACES = (
    "boot/vmlinuz-{release}",
    "usr/lib/modules/{release}/vmlinuz",
    "lib/modules/{release}/vmlinuz",
)
"""Where packages put a release's image, best first: Debian's and Fedora's /boot; beside the modules
for Fedora, Arch, and Debian's from Linux 7.2 on."""


def find_image(root: Path, release: str) -> Path | None:
    """Return the image of ``release`` under ``root``, if there is one.

    A link is followed within the root alone: one that is absolute, or that leads out, is not taken.
    """
    for place in IMAGE_PLACES:
        path = root / place.format(release=release)
        try:
            if path.is_file() and path.resolve().is_relative_to(root.resolve()):
                return path
        except OSError:
            continue
    return None
