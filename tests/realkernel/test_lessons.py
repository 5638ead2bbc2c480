# SPDX-License-Identifier: Apache-2.0
"""The twelve lessons do on the emulated kernel what they do on Debian's, to the line."""

import errno
from pathlib import Path

import pytest

from tests.realkernel.boots import Outcomes
from tests.realkernel.lessons import LESSONS, EmulatedFiles, lessons
from tests.realkernel.scenarios import Record, Session
from tests.support.daemon import running_daemon


@pytest.fixture(scope="module")
def here(lessons_root: Path) -> dict[str, Record]:
    """What came of each lesson on the emulated kernel."""
    with running_daemon(lessons_root) as daemon, daemon.client() as client:
        return lessons(Session(client, lessons_root), EmulatedFiles(client))


def test_there_are_twelve() -> None:
    assert len({each.module for each in LESSONS}) == 12


@pytest.mark.parametrize("module", [each.module for each in LESSONS])
def test_a_lesson_is_the_same_on_both_kernels(
    module: str, real: Outcomes, here: dict[str, Record]
) -> None:
    record = real.of("lessons")[module]
    assert "broken" not in record, record["broken"]
    assert record["load"] == record["unload"] == {}
    assert here[module] == record


@pytest.mark.parametrize(
    ("module", "symbol"),
    [("refused_table", "sys_call_table"), ("refused_lookup", "kallsyms_lookup_name")],
)
def test_nobody_may_replace_a_system_call(
    module: str, symbol: str, real: Outcomes, here: dict[str, Record]
) -> None:
    unknown = {"reason": "UNKNOWN_SYMBOL", "errno": errno.ENOENT, "symbol": symbol}
    assert real.of("lessons")[module] == here[module] == {"load": unknown}
