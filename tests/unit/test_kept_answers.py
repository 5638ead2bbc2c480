# SPDX-License-Identifier: Apache-2.0
"""Answers that are kept in their bytes, and for how long."""

import pytest

from kmodd.service import kept_answers
from kmodd.service.kept_answers import MOST, AnswerBasis, KeptAnswers
from kmodd.v1.module_service_pb2 import GetParametersRequest


class Maker:
    """Makes an answer that tells how many it has made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> GetParametersRequest:
        self.made += 1
        return GetParametersRequest(module=str(self.made))


def test_an_answer_is_made_once_for_what_is_asked_on_one_basis() -> None:
    kept, make, listing = KeptAnswers(), Maker(), object()
    basis = AnswerBasis((listing,), (1,))
    first = kept.answer("a", basis, make)
    assert kept.answer("a", AnswerBasis((listing,), (1,)), make) == first
    assert make.made == 1
    assert kept.answer("b", basis, make) != first
    assert GetParametersRequest.FromString(first).module == "1"


@pytest.mark.parametrize(
    "other", [AnswerBasis(([],), (1,)), AnswerBasis((), (1,)), AnswerBasis(((),), (2,))]
)
def test_another_basis_takes_another_answer(other: AnswerBasis) -> None:
    kept, make = KeptAnswers(), Maker()
    basis = AnswerBasis(((),), (1,))
    first = kept.answer("a", basis, make)
    assert kept.answer("a", other, make) != first
    assert kept.answer("a", basis, make) != first


def test_neither_many_nor_long_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, make, basis = KeptAnswers(), Maker(), AnswerBasis(())
    for number in range(2 * MOST + 1):
        kept.answer(number, basis, make)
    assert len(kept._known[1]) == 1
    monkeypatch.setattr(kept_answers, "LONGEST", 0)
    kept.answer("long", basis, make)
    kept.answer("long", basis, make)
    assert make.made == 2 * MOST + 3
