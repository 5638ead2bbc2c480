# SPDX-License-Identifier: Apache-2.0
"""What is written into the log, and how much of it."""

import subprocess
import sys

import pytest

from kmodd.host.log import LIBRARY_MAX

SAY = """
import logging, warnings
from kmodd.host.log import begin_logging
begin_logging()
logging.getLogger().setLevel({level!r})
{say}
"""

MEGABYTE = "'x' * 1_000_000"


def logged(say: str, level: str = "DEBUG") -> str:
    """Return what a process logs in which ``say`` is executed."""
    command = [sys.executable, "-c", SAY.format(say=say, level=level)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize(
    "say",
    [
        f"warnings.warn({MEGABYTE}, RuntimeWarning)",
        f"logging.getLogger('watchdog').error({MEGABYTE})",
        f"logging.getLogger('grpc._server').warning('%s', {MEGABYTE})",
    ],
)
def test_a_librarys_message_is_cut(say: str) -> None:
    assert "x" * 100 in logged(say)
    assert len(logged(say)) < LIBRARY_MAX + 100


def test_a_message_of_the_daemons_own_is_not_cut() -> None:
    assert len(logged(f"logging.getLogger('kmodd.trees').error({MEGABYTE})")) > 1_000_000


def test_a_librarys_warning_is_left_out_where_only_errors_are_logged() -> None:
    assert logged("warnings.warn('deprecated', RuntimeWarning)", level="ERROR") == ""
