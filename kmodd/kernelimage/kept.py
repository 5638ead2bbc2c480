# SPDX-License-Identifier: Apache-2.0
"""What an image says, read once and kept: to unpack one takes up to a second."""

import logging
from collections.abc import Sequence
from typing import Protocol

from kmodd.errors import KernelImageError
from kmodd.kernelimage.facts import ImageFacts, dump_facts, load_facts, stamp_of
from kmodd.kernelimage.questions import LayoutQuestion

log = logging.getLogger(__name__)


class ImageKeeper(Protocol):
    """Keeps bytes for an image; what others could have written it does not give back."""

    def load(self, image: str) -> bytes | None:
        """Return what was kept for the image at that path, if there is anything to trust."""

    def save(self, image: str, data: bytes) -> None:
        """Keep ``data`` for it, if that can be."""


def facts_of(
    path: str,
    keeper: ImageKeeper | None,
    questions: Sequence[LayoutQuestion] = (),
    *,
    types_of: str = "",
) -> ImageFacts:
    """Return what the image at ``path`` says, from what is kept of the very same file or anew.

    ``questions`` are what is asked of its types. Where ``types_of`` names a release, the file is
    one of types alone, of the kernel of that release.
    Raises KernelImageError.
    """
    try:
        stamp = stamp_of(path)
    except OSError as error:
        raise KernelImageError(path, f"it cannot be read: {error.strerror}") from error
    data = keeper.load(path) if keeper else None
    if data is not None:
        try:
            kept = load_facts(data, stamp, questions)
        except ValueError as error:
            log.warning("what was kept of %s is dropped: %s", path, error)
        else:
            if kept is not None:
                return kept
    from kmodd.kernelimage.reading import read_facts, read_types

    facts = read_types(path, types_of, questions) if types_of else read_facts(path, questions)
    # What was read while somebody put another file there is not kept as that one's.
    if keeper is not None and _is_still(path, stamp):
        keeper.save(path, dump_facts(facts, stamp, questions))
    return facts


def _is_still(path: str, stamp: object) -> bool:
    try:
        return stamp_of(path) == stamp
    except OSError:
        return False
