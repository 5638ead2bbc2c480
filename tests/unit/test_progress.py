# SPDX-License-Identifier: Apache-2.0
"""The bar that a terminal shows while something takes long."""

import io
from unittest.mock import patch

import pytest

from kmodctl.progress import WIDTH, Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_how_far_it_is_and_how_many_a_second() -> None:
    with (
        patch("sys.stderr", Terminal()) as screen,
        patch("kmodctl.progress.monotonic", side_effect=[5.0, 7.0, 7.0]),
    ):
        bar = Bar("modules")
        bar.draw(10, 40)
        bar.draw(30, 40)
        bar.draw(50, 40)
        bar.wipe()
        bar.wipe()
    lines = screen.getvalue().removesuffix("\r\033[K").split("\r")
    quarter = WIDTH // 4
    assert lines == [
        "",
        f"[{'=' * quarter}{' ' * 3 * quarter}] 10/40 modules\033[K",
        f"[{'=' * 3 * quarter}{' ' * quarter}] 30/40 modules, 10/s\033[K",
        f"[{'=' * WIDTH}] 50/40 modules, 20/s\033[K",
    ]


def test_where_nobody_looks_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar("runs")
    bar.draw(0, 0)
    bar.wipe()
    assert capsys.readouterr().err == ""
