# SPDX-License-Identifier: Apache-2.0
"""The garbage collector rests while a database is made."""

import gc

import pytest

from kmodd.database.collector import collector_paused


def collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


def test_it_rests_until_the_last_pause_is_over() -> None:
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="why"), collector_paused():
        raise ValueError("why")
    assert gc.isenabled()


def test_what_came_in_a_pause_is_not_gone_through_when_it_ends() -> None:
    gc.collect()
    before = collections()
    with collector_paused():
        kept: list[list[int]] = [[] for _ in range(100_000)]
    kept += [[] for _ in range(10)]
    assert collections() == before


def test_what_came_in_a_pause_is_collected_in_the_end() -> None:
    with collector_paused():
        knots: list[list[object]] = [[] for _ in range(100_000)]
        for knot in knots:
            knot.append(knot)
        knot, knots = [], []
    assert gc.collect() >= 100_000
    assert gc.get_freeze_count() == 0
