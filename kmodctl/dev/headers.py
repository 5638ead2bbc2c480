# SPDX-License-Identifier: Apache-2.0
"""A kernel's headers: the directory that its modules are built in, and the package that has it."""

import os
import platform
import re
from glob import glob

from kmodctl.errors import KmodctlError
from kmodd.database.releases import version_key

RELEASE_FILE = "include/generated/utsrelease.h"
"""What has the release that modules are built for; include/config/kernel.release may have another,
as Debian's does."""

_DEFINED = re.compile(r'^#define UTS_RELEASE "([^"/\s]{1,64})"$', re.MULTILINE)

_PLACES = (
    "/lib/modules/*/build",
    "/usr/lib/modules/*/build",
    "/usr/src/linux-headers-*",
    "/usr/src/kernels/*",
)
"""Where distributions have build directories; the star stands for the release."""

_DEBIANS_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64el"}
"""What Debian calls machines, where it is not what uname(1) does."""


class HeadersError(KmodctlError):
    """There are no headers to build a module with; the message names the package that has them."""

    reason = "NO_HEADERS"


class Headers:
    """A build ``directory`` and the ``release`` that modules which are built there are for."""

    __slots__ = ("directory", "release")

    def __init__(self, directory: str) -> None:
        """Raises HeadersError where modules cannot be built in ``directory``."""
        try:
            with open(os.path.join(directory, RELEASE_FILE), encoding="utf-8") as file:
                defined = _DEFINED.search(file.read(4096))
        except (OSError, UnicodeDecodeError):
            defined = None
        self.release = defined[1] if defined else ""
        if not self.release or not os.path.isfile(os.path.join(directory, "Makefile")):
            raise HeadersError(
                f"{directory} is no directory to build modules in: it has no Makefile or no"
                f" {RELEASE_FILE}"
            )
        self.directory = os.path.abspath(directory)


def headers_for(release: str, root: str = "/") -> Headers:
    """Return the headers of a kernel's release, of ``root`` or else of this machine.

    Raises HeadersError.
    """
    places = [place.replace("*", release) for place in _PLACES]
    for place in (*(_within(root, each) for each in places), *places):
        if found := _usable(place):
            return found
    raise HeadersError(f"there are no headers of {release}: {_advice(release)}")


def any_headers() -> Headers:
    """Return the headers of the running kernel, or else of the newest that has some.

    Raises HeadersError.
    """
    places = [each for place in _PLACES for each in sorted(glob(place))]
    found = [headers for headers in map(_usable, places) if headers is not None]
    running = os.uname().release
    for headers in found:
        if headers.release == running:
            return headers
    if not found:
        raise HeadersError(f"there are no headers of any kernel: {_advice('')}")
    return max(found, key=lambda each: version_key(each.release))


def package_of(release: str, system: dict[str, str], machine: str) -> str:
    """Return the name of the package that has a release's headers, "" where it is not known.

    ``release`` is "" for those of the kernel that the distribution has now. ``system`` is what
    os-release(5) says, ``machine`` what uname(1) does.
    """
    kinds = [system.get("ID", ""), *system.get("ID_LIKE", "").split()]
    known = {
        "ubuntu": f"linux-headers-{release or 'generic'}",
        "debian": f"linux-headers-{release or _DEBIANS_NAMES.get(machine, machine)}",
        "fedora": f"kernel-devel-{release}" if release else "kernel-devel",
        "rhel": f"kernel-devel-{release}" if release else "kernel-devel",
        "arch": "linux-headers",
        "suse": "kernel-default-devel",
        "alpine": "linux-lts-dev",
    }
    return next((known[kind] for kind in kinds if kind in known), "")


def _advice(release: str) -> str:
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    package = package_of(release, system, platform.machine())
    if not package:
        return "install the package that has them, or give their directory with --build"
    return f"the package {package} has them; or give their directory with --build"


def _within(root: str, place: str) -> str:
    """Return a place below ``root``; an absolute link there is one within the root."""
    inside = f"{root.rstrip('/')}{place}"
    try:
        target = os.readlink(inside)
    except OSError:
        return inside
    return f"{root.rstrip('/')}{target}" if target.startswith("/") else inside


def _usable(directory: str) -> Headers | None:
    try:
        return Headers(directory)
    except HeadersError:
        return None
