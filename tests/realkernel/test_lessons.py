# SPDX-License-Identifier: Apache-2.0
"""The twelve lessons do on the emulated kernel what they do on Debian's, to the line."""

from pathlib import Path

import pytest

from tests.realkernel.boots import Outcomes
from tests.realkernel.lessons import LESSONS, Lesson, taught
from tests.realkernel.scenarios import Record, Session
from tests.support.daemon import running_daemon

TELL_BY_THEMSELVES = [each for each in LESSONS if not each.steps]
"""Those in which nothing is done with any file."""


@pytest.fixture(scope="module")
def here(lessons_root: Path) -> dict[str, Record]:
    """What came of each lesson on the emulated kernel."""
    with running_daemon(lessons_root) as daemon, daemon.client() as client:
        session = Session(client, lessons_root)
        return {each.module: taught(session, None, each) for each in TELL_BY_THEMSELVES}


def test_there_are_twelve() -> None:
    assert len({each.module for each in LESSONS}) == 12


@pytest.mark.parametrize(
    "lesson", TELL_BY_THEMSELVES, ids=[each.module for each in TELL_BY_THEMSELVES]
)
def test_a_lesson_is_the_same_on_both_kernels(
    lesson: Lesson, real: Outcomes, here: dict[str, Record]
) -> None:
    record = real.of("lessons")[lesson.module]
    assert "broken" not in record, record["broken"]
    assert record["load"] == record["unload"] == {}
    assert here[lesson.module] == record
