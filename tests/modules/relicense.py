#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write another licence into a built module, or none: ``relicense.py MODULE.ko LICENCE``.

The kernel's modpost refuses to link a module that has no MODULE_LICENSE, or one that is not free
and uses a GPL-only symbol. The kernel itself meets such modules all the same, and what it does with
them is what the tests ask. So they are built under a free licence, which is then overwritten in
place: its text in .modinfo, padded with the NULs that every reader of .modinfo skips.
"""

import re
import sys
from pathlib import Path


def relicense(image: bytes, licence: str) -> bytes:
    """Return the module with ``licence`` for its licence, or with none where that is empty.

    Raises SystemExit where the module has not exactly one licence, or the new one is longer.
    """
    found = re.findall(rb"(?<=\0)license=[^\0]+", image)
    if len(found) != 1:
        raise SystemExit(f"{len(found)} licences in the module instead of one")
    wanted = f"license={licence}".encode() if licence else b""
    if len(wanted) > len(found[0]):
        raise SystemExit(f"{licence!r} does not fit into {found[0].decode()!r}")
    return image.replace(b"\0" + found[0], b"\0" + wanted.ljust(len(found[0]), b"\0"))


if __name__ == "__main__":
    module = Path(sys.argv[1])
    module.write_bytes(relicense(module.read_bytes(), sys.argv[2]))
