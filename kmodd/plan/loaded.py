# SPDX-License-Identifier: Apache-2.0
"""Loaded modules by what plans call them: the normal form of the name of the module's file."""

from __future__ import annotations

from kmodd.names import module_name
from kmodd.records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kmodd.kernel.loaded import LoadedModule


def odd_names(modules: Sequence[LoadedModule]) -> dict[str, str]:
    """Return by the normal form the names that are loaded and are not in it.

    Of several it is the newest's; ``modules`` are the newest first.
    """
    # Most names are identifiers, which are in normal form, and that is quickly seen.
    names = [each.name for each in reversed(modules)]
    if all(map(str.isidentifier, names)):
        return {}
    unusual = (name for name in names if not name.isidentifier())
    return {module_name(name): name for name in unusual if name != module_name(name)}


def by_name(modules: Sequence[LoadedModule], odd: Mapping[str, str]) -> dict[str, LoadedModule]:
    """Return ``modules`` by what plans call them; ``odd`` is what ``odd_names`` says of them."""
    listed = {module.name: module for module in modules}
    called = {own: name for name, own in odd.items() if name not in listed}
    if not called:
        return listed
    return {
        called.get(module.name, module.name): replace(
            module,
            name=called.get(module.name, module.name),
            holders=tuple(called.get(holder, holder) for holder in module.holders),
        )
        for module in modules
    }
