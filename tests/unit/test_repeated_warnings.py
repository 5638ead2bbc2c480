# SPDX-License-Identifier: Apache-2.0
"""What the log says of calls that are refused again and again."""

import logging

import pytest

from kmodd.access import rules
from kmodd.access.caller import Caller, Role
from kmodd.access.peer import Peer
from kmodd.errors import AccessError
from kmodd.host.repeated_warnings import TOLD, RepeatedWarnings

LONG = 3600.0


@pytest.fixture
def logger() -> logging.Logger:
    return logging.Logger("test")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


@pytest.fixture
def repeated(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> RepeatedWarnings:
    found = RepeatedWarnings(logger, LONG)
    logger.addFilter(found)
    logger.addHandler(caplog.handler)
    return found


def warn(logger: logging.Logger, message: str, identity: str = "/s", **extra: str) -> None:
    logger.warning("%s", message, extra={"identity": identity, **extra})


def test_the_same_warning_is_told_once_and_then_counted(
    logger: logging.Logger, repeated: RepeatedWarnings, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        warn(logger, "refused")
    warn(logger, "refused", "/other")
    assert messages(caplog) == ["refused", "refused"]
    repeated.settle()
    assert messages(caplog) == ["the same or the like 999 more times within 3600 s: /s"]
    warn(logger, "refused")
    assert messages(caplog) == ["refused"]
    logger.warning("of no socket")
    logger.warning("of no socket")
    assert messages(caplog) == ["of no socket"] * 2


def test_a_socket_that_many_things_are_said_of_has_a_few_of_them_told(
    logger: logging.Logger, repeated: RepeatedWarnings, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        warn(logger, str(number))
    assert messages(caplog) == list(map(str, range(TOLD)))
    repeated.settle()
    assert messages(caplog) == [f"the same or the like {1000 - TOLD} more times within 3600 s: /s"]
    repeated.settle()
    assert messages(caplog) == []


def test_the_count_comes_by_itself(logger: logging.Logger) -> None:
    told = RepeatedWarnings(logger, 0.0)
    logger.addFilter(told)
    warn(logger, "refused")
    while told._told:
        pass


def test_what_a_socket_is_refused_is_such_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AccessError):
        rules.check_target(Caller("/s", Role.LOADER), "greet")
    (record,) = caplog.records
    assert record.identity == "/s"  # type: ignore[attr-defined]


def test_what_several_processes_of_one_user_are_refused_is_the_same(
    logger: logging.Logger, repeated: RepeatedWarnings, caplog: pytest.LogCaptureFixture
) -> None:
    logger.addFilter(repeated)
    for pid in (11, 12, 13):
        warn(logger, f"refused (uid 7, pid {pid} modprobe)", "/s (uid 7)", said="refused")
    assert messages(caplog) == ["refused (uid 7, pid 11 modprobe)"]
    warn(logger, "refused (uid 8, pid 14 modprobe)", "/s (uid 8)", said="refused")
    assert messages(caplog) == ["refused (uid 8, pid 14 modprobe)"]


def test_a_denial_names_who_was_denied(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(uid=7, gids=frozenset({7}), pid=11, command="modprobe")
    with pytest.raises(AccessError) as caught:
        rules.check_target(Caller("/s", Role.LOADER, peer=peer), "greet")
    (record,) = caplog.records
    assert record.getMessage() == f"{caught.value.message} (uid 7, pid 11 modprobe)"
    assert record.identity == "/s (uid 7)"  # type: ignore[attr-defined]
