# SPDX-License-Identifier: Apache-2.0
"""Where a system root has its module trees."""

import os

MODULES_PLACES = ("lib/modules", "usr/lib/modules")
"""Directories of module trees below a root, best first. A system has one by both names; a package
that is unpacked without the system around it has the second alone, since ``/lib`` is no package's
any more (Debian from 13 on, Fedora, Arch)."""


def modules_directory(root: str) -> str:
    """Return the directory of module trees below the system root ``root``.

    The first of MODULES_PLACES that there is; the first of all where there is none yet.
    """
    places = [os.path.join(root, place) for place in MODULES_PLACES]
    return next(filter(os.path.isdir, places), places[0])
