# SPDX-License-Identifier: Apache-2.0
"""Admins' calls come first, and the others' are served all the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kmodd.access.caller import DAEMON, Caller, Role
from kmodd.service.precedence import QUIET, ROUND, WAITED, Precedence
from kmodd.service.socket_calls import SocketCalls
from tests.support.played_front import PlayedFront, ServedCore
from tests.support.small_tree import empty_tree

LIST = "/kmodd.v1.ModuleService/ListModules"


class Clock:
    """A clock that goes on where somebody sleeps, and what is done at each look at it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept = 0.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_nobody_waits_where_no_admin_calls(clock: Clock) -> None:
    precedence = Precedence(clock.read, clock.sleep)
    precedence.give_way()
    precedence.note()
    clock.now += QUIET
    precedence.give_way()
    assert clock.slept == 0


def test_who_comes_after_an_admins_call_waits_until_the_next_is_unlikely(
    clock: Clock,
) -> None:
    precedence = Precedence(clock.read, clock.sleep)
    precedence.note()
    clock.now += QUIET / 4
    precedence.give_way()
    assert clock.slept == pytest.approx(3 * QUIET / 4)


@pytest.mark.parametrize("between", [QUIET / 10, QUIET / 2, QUIET])
def test_whatever_admins_do_a_quarter_of_the_time_is_the_others(
    clock: Clock, between: float
) -> None:
    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        precedence.note()  # a storm of admins' calls

    precedence = Precedence(clock.read, sleep)
    began = clock.now
    served = 0
    while clock.now - began < 10 * ROUND:
        precedence.note()
        precedence.give_way()
        served += 1
        clock.now += between
    assert clock.slept <= (WAITED / ROUND) * (clock.now - began) + WAITED
    assert served * between >= (1 - WAITED / ROUND) * (clock.now - began) - WAITED


@pytest.fixture
def core(tmp_path: Path) -> Iterator[ServedCore]:
    core = ServedCore(empty_tree(tmp_path))
    yield core
    core.close()


def test_a_call_of_anybody_else_gives_way_before_it_is_served(
    core: ServedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    begin = SocketCalls.begin

    def begun(*given: Any) -> Any:
        done.append("begun")
        return begin(*given)

    monkeypatch.setattr(SocketCalls, "begin", begun)
    monkeypatch.setattr(Precedence, "give_way", lambda _: done.append("gave way"))
    monkeypatch.setattr(Precedence, "note", lambda _: done.append("an admin's"))
    front = PlayedFront(core, Caller("/s", Role.OBSERVER))
    try:
        front.ask(1, LIST)
        assert front.status_of(1).code == 0
    finally:
        front.close()
    assert done == ["gave way", "begun"]


def test_an_admins_connection_and_the_begin_and_end_of_his_call_are_noted(
    core: ServedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[None] = []
    monkeypatch.setattr(Precedence, "note", lambda _: noted.append(None))
    front = PlayedFront(core, DAEMON)
    try:
        assert len(noted) == 1
        front.ask(1, LIST)
        assert front.status_of(1).code == 0
        assert len(noted) == 3
    finally:
        front.close()
