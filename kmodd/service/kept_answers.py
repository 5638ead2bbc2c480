# SPDX-License-Identifier: Apache-2.0
"""Answers as the bytes that they are sent as, for as long as what they come from is the same."""

import operator
from collections.abc import Callable, Hashable

from google.protobuf.message import Message

MOST = 64
"""Answers that are kept at a time."""

LONGEST = 1 << 20
"""Bytes of one that is kept."""


class AnswerBasis:
    """What answers come from: ``objects`` that are replaced as a whole when they change, so that
    the same ones are the same state, and ``values`` that are compared.
    """

    __slots__ = ("objects", "values")

    def __init__(self, objects: tuple[object, ...], values: tuple[object, ...] = ()) -> None:
        self.objects = objects
        self.values = values

    def is_same(self, other: "AnswerBasis") -> bool:
        """Tell whether nothing has changed between the two."""
        return (
            len(self.objects) == len(other.objects)
            and all(map(operator.is_, self.objects, other.objects))
            and self.values == other.values
        )


class KeptAnswers:
    """The answers of one method by what was asked, all from the same basis.

    May be used by any thread: what is kept is replaced as a whole when the basis is.
    """

    def __init__(self) -> None:
        self._known: tuple[AnswerBasis, dict[Hashable, bytes]] = (AnswerBasis(()), {})

    def answer(self, asked: Hashable, basis: AnswerBasis, make: Callable[[], Message]) -> bytes:
        """Return the answer to what is ``asked``, which ``make`` makes where it is not known.

        It must depend on nothing but what is asked and the ``basis``, which was found before.
        """
        known, answers = self._known
        is_same = known.is_same(basis)
        found = answers.get(asked) if is_same else None
        if found is None:
            found = make().SerializeToString()
            if not is_same or len(answers) >= MOST:
                answers = {}
                self._known = basis, answers
            if len(found) <= LONGEST:
                answers[asked] = found
        return found
