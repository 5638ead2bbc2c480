# SPDX-License-Identifier: Apache-2.0
"""Whose word counts on what a module is loaded or unloaded with, although it does not need it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from kmodd.database.inventory import ModuleRecord

Believes: TypeAlias = "Callable[[ModuleRecord], bool]"
"""Tells whether what a module's own file says of other modules is to be followed."""


def softdeps_of(record: ModuleRecord | None, believes: Believes | None) -> tuple[str, ...]:
    """Return the soft dependencies that the file of a module has and that are to be followed."""
    if record is None or not record.softdeps or (believes and not believes(record)):
        return ()
    return record.softdeps
