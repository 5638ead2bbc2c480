# SPDX-License-Identifier: Apache-2.0
"""What matters to wishes of a namespace at one moment."""

from collections.abc import Collection, Mapping

from kmodd.kernel.base import LoadedModule
from kmodd.namespace.holds import Hold
from kmodd.plan import DenyList
from kmodd.records import record


@record(kw_only=True)
class WishFacts:
    """One moment of a namespace; modules go by what plans call them.

    Another ``epoch`` is another life of the kernel, which began with nothing loaded. ``brought``
    were loaded for a wish and for nobody else. ``deny`` is what the settings deny, without what is
    wished.
    """

    epoch: str
    loaded: Mapping[str, LoadedModule]
    brought: frozenset[str]
    holds: tuple[Hold, ...]
    deny: DenyList

    def held_by_others(self, own: Collection[int]) -> dict[str, str]:
        """Return the modules that are held, with words for who does; ``own`` holds do not count."""
        found: dict[str, list[str]] = {}
        for hold in self.holds:
            if hold.number not in own:
                for name in hold.pins:
                    found.setdefault(name, []).append(str(hold))
        return {name: ", ".join(holders) for name, holders in found.items()}
