# SPDX-License-Identifier: Apache-2.0
"""What is asked of a kernel's types at once: the answers are kept, and the types need not be."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kmodd.kernelimage.btf import Layouts


VALUE_MAX = 1 << 20
"""Bytes of an offset or a size at most; a task has 9,792."""

ENUMERATOR_MAX = (1 << 32) - 1
"""The largest value of an enum's name."""


class LayoutQuestion(NamedTuple):
    """Where a field is, or how large it or its structure is, in bytes; or what an enum's name is.

    ``structures`` and ``fields`` are names, of which the first counts that a kernel has: things are
    renamed. A field's has those that it is in before it, with dots between. Without ``fields`` it
    is the structure that is asked for. Where ``structures`` are enums, ``fields`` are names of
    theirs.
    """

    structures: tuple[str, ...]
    fields: tuple[str, ...]
    is_size: bool


Answers = Mapping[LayoutQuestion, int]
"""The answers that there are: what a kernel does not have has none."""


def answer(layouts: "Layouts", questions: Iterable[LayoutQuestion]) -> dict[LayoutQuestion, int]:
    """Return the answers; raises KernelImageError where the types are not in order.

    A field that does not begin with a byte is not there: nothing could be looked at alone.
    """
    found = {}
    for question in questions:
        value = _answer(layouts, question)
        if value is not None:
            found[question] = value
    return found


def digest_of(questions: Iterable[LayoutQuestion]) -> str:
    """Return what tells these questions from others."""
    return hashlib.sha256(json.dumps([*questions]).encode()).hexdigest()


def _answer(layouts: "Layouts", question: LayoutQuestion) -> int | None:
    for structure in question.structures:
        if not question.fields:
            size = layouts.structure_size(structure)
            if size is not None:
                return size if size <= VALUE_MAX else None
        for path in question.fields:
            field = layouts.field(structure, path)
            if field is not None and not field.bit_offset % 8:
                value = field.size if question.is_size else field.offset
                return value if value <= VALUE_MAX else None
    return _value(layouts, question) if question.fields else None


def _value(layouts: "Layouts", question: LayoutQuestion) -> int | None:
    """Return what a name of an enum is, where these are no structures."""
    for enum in question.structures:
        for name in question.fields:
            value = layouts.value(enum, name)
            if value is not None:
                return value if 0 <= value <= ENUMERATOR_MAX else None
    return None
