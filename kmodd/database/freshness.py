# SPDX-License-Identifier: Apache-2.0
"""Whether a tree still holds the files that a database was built from, told by its directories."""

import os
from collections.abc import Iterable

from kmodd.database.inventory import Inventory, Looks
from kmodd.database.walk import full_path


def is_fresh(inventory: Inventory) -> bool:
    """Tell whether nothing has come, gone or been renamed in the tree since it was scanned.

    Looks at the directories alone, whose times change with their entries: a millisecond or two
    for a thousand. A file that was written in place is not noticed. Where the scan could not be
    sure of a directory, the answer is False.
    """
    if not inventory.memory.complete:
        return False
    listed = ((path, listing.identity) for path, listing in inventory.listings.items())
    return _all_are(inventory.directory, listed)


def has_fresh_directories(directory: str, looks: Looks) -> bool:
    """Tell the same of what the tree at ``directory`` showed at its last scan."""
    return _all_are(directory, looks.directories)


def has_lost_none(inventory: Inventory) -> bool:
    """Tell whether every module that a scan found is still there, whatever has come since.

    Each is looked at but for those in a directory that has not changed.
    """
    directory = inventory.directory
    unchanged = {
        path
        for path, listing in inventory.listings.items()
        if path and _all_are(directory, ((path, listing.identity),))
    }
    return all(
        os.path.exists(full_path(directory, record.path))
        for record in inventory.records.values()
        if record.path.rpartition("/")[0] not in unchanged
    )


def _all_are(directory: str, identities: Iterable[tuple[str, tuple[int, int, int, int]]]) -> bool:
    """Tell whether the directories with these paths still have these identities."""
    for path, identity in identities:
        try:
            status = os.stat(full_path(directory, path))
        except OSError:
            return False
        if (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns) != identity:
            return False
    return True
