# SPDX-License-Identifier: Apache-2.0
"""Lists by the page. A page token names a position in one version of a list."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from kmodd.errors import Reason, RequestError
from kmodd.records import record

Item = TypeVar("Item")


@record
class Page(Generic[Item]):
    """Some items of a list, and the token for those after them; empty at the end."""

    items: Sequence[Item]
    next_token: str


def page_of(items: Sequence[Item], size: int, token: str, *, version: str) -> Page[Item]:
    """Return ``size`` items (0: all) from where ``token`` points.

    Raises RequestError for a token of another version of the list, or of no list at all.
    """
    start = 0
    if token:
        seen, _, position = token.rpartition(":")
        if seen != version or not (position.isascii() and position.isdecimal()):
            raise RequestError(
                Reason.INVALID_REQUEST, "the list has changed since this page token was given"
            )
        start = int(position)
    if size < 0:
        raise RequestError(Reason.INVALID_REQUEST, "a page has no negative size")
    end = start + size if size else len(items)
    return Page(items[start:end], f"{version}:{end}" if end < len(items) else "")
