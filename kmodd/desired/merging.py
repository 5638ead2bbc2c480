# SPDX-License-Identifier: Apache-2.0
"""The wishes of all sources: one for each module."""

from collections.abc import Iterable

from kmodd.desired.condition import MachineFacts
from kmodd.desired.document import WishDocument
from kmodd.desired.wish import Wish
from kmodd.records import record


@record
class MergedWishes:
    """What is wished of one machine: ``wishes`` has one for each module.

    Of the ``contradicted``, each with what speaks against it, none counts.
    """

    wishes: tuple[Wish, ...] = ()
    contradicted: tuple[tuple[Wish, str], ...] = ()


def merge(documents: Iterable[WishDocument], machine: MachineFacts) -> MergedWishes:
    """Return the wishes of ``documents`` that are for ``machine``, by the order of their modules.

    A later document's wish replaces an earlier one's for the same module, whatever it says. Of two
    in one document that are both for this machine, and differ, none counts.
    """
    found: dict[str, tuple[Wish, str]] = {}
    for document in documents:
        own: dict[str, tuple[Wish, str]] = {}
        for wish in document.wishes:
            if not wish.when.holds(machine):
                continue
            first, _ = own.setdefault(wish.name, (wish, ""))
            if first.meaning != wish.meaning:
                own[wish.name] = first, f"{wish.place} wishes otherwise, for this machine, too"
        found |= own
    return MergedWishes(
        tuple(wish for wish, why in found.values() if not why),
        tuple((wish, why) for wish, why in found.values() if why),
    )
