# SPDX-License-Identifier: Apache-2.0
"""Whether a tree still holds the files that a database was built from, told by its directories."""

import os

from kmodd.database.inventory import Inventory


def is_fresh(inventory: Inventory) -> bool:
    """Tell whether nothing has come, gone or been renamed in the tree since it was scanned.

    Looks at the directories alone, whose times change with their entries: a millisecond or two
    for a thousand. A file that was written in place is not noticed. Where the scan could not be
    sure of a directory, the answer is False.
    """
    if not inventory.memory.complete:
        return False
    for path, listing in inventory.listings.items():
        try:
            status = os.stat(os.path.join(inventory.directory, path))
        except OSError:
            return False
        identity = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
        if identity != listing.identity:
            return False
    return True
