# SPDX-License-Identifier: Apache-2.0
"""What the events of an epoch come to."""

from collections.abc import Iterable, Sequence

from kmodd.kernel.base import LoadedModule
from kmodd.namespace import Change, ChangeKind


def replay(
    listing: Sequence[LoadedModule], events: Iterable[Iterable[Change]]
) -> tuple[LoadedModule, ...]:
    """Return the listing that the changes of ``events`` lead to from an earlier one."""
    modules = {module.name: module for module in reversed(listing)}
    for changes in events:
        for change in changes:
            name = change.module.name
            match change.kind:
                case ChangeKind.LOADED:
                    assert name not in modules
                    modules[name] = change.module
                case ChangeKind.CHANGED:
                    assert name in modules
                    modules[name] = change.module
                case ChangeKind.UNLOADED:
                    del modules[name]
    return tuple(reversed(modules.values()))
