# SPDX-License-Identifier: Apache-2.0
"""The file that the metrics are written to."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from kmodd.messages.daemon_service import METRIC_KIND_GAUGE, MetricFamily, MetricSample
from kmodd.metrics_file import LONGEST, MetricsFile, metrics_written
from kmodd.service.metrics import Metrics
from tests.support.daemon import wait_until


class Numbers:
    """A number that a test sets, and one that is never the same."""

    def __init__(self) -> None:
        self.number = 1.0
        self.asked = 0.0

    def families(self) -> Iterator[MetricFamily]:
        if self.number < 0:
            raise ValueError("no such number")
        yield self._family("kmodd_number", self.number)

    def of_process(self) -> Iterator[MetricFamily]:
        self.asked += 1
        yield self._family("kmodd_asked", self.asked)

    def _family(self, name: str, number: float) -> MetricFamily:
        sample = MetricSample(name=name, value=number)
        return MetricFamily(name=name, kind=METRIC_KIND_GAUGE, help="It.", samples=[sample])

    def as_metrics(self) -> Metrics:
        return cast("Metrics", self)


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kmodd.prom"


def samples(path: Path) -> dict[str, float]:
    lines = (line for line in path.read_text().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in map(str.split, lines)}


def test_it_is_written_when_something_has_changed_and_once_in_a_while(
    numbers: Numbers, path: Path
) -> None:
    file = MetricsFile(path, numbers.as_metrics())
    file.write(100.0)
    assert samples(path) == {"kmodd_number": 1, "kmodd_asked": 1}
    file.write(100.0 + LONGEST / 2)
    assert samples(path)["kmodd_asked"] == 1
    numbers.number = 2
    file.write(100.0 + LONGEST / 2)
    assert samples(path) == {"kmodd_number": 2, "kmodd_asked": 2}
    file.write(100.0 + LONGEST * 2)
    assert samples(path)["kmodd_asked"] == 3


def test_who_has_it_open_reads_one_state_of_it(numbers: Numbers, path: Path) -> None:
    file = MetricsFile(path, numbers.as_metrics())
    file.write(100.0)
    with path.open() as reading:
        numbers.number = 2
        file.write(101.0)
        assert "kmodd_number 1\n" in reading.read()
    assert os.listdir(path.parent) == [path.name]


def test_everybody_may_read_it_and_nothing_is_written_through_a_link(
    numbers: Numbers, path: Path
) -> None:
    other = path.with_name("other")
    other.write_text("mine")
    path.with_name(f".{path.name}.new").symlink_to(other)
    path.symlink_to(other)
    before = os.umask(0o077)
    try:
        MetricsFile(path, numbers.as_metrics()).write(100.0)
    finally:
        os.umask(before)
    assert (other.read_text(), path.is_symlink()) == ("mine", False)
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_cannot_be_written_is_said_once_and_tried_again(
    numbers: Numbers, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = path.with_name("directory") / path.name
    file = MetricsFile(place, numbers.as_metrics())
    file.write(100.0)
    file.write(101.0)
    place.parent.mkdir()
    file.write(102.0)
    assert samples(place)["kmodd_number"] == 1
    numbers.number = -1
    file.write(103.0)
    file.write(104.0)
    numbers.number = 3
    file.write(105.0)
    assert samples(place)["kmodd_number"] == 3
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert f"{place} cannot be written: No such file or directory" in caplog.text


def test_it_is_kept_for_as_long_as_the_daemon_runs(numbers: Numbers, path: Path) -> None:
    with metrics_written(path, numbers.as_metrics(), period=0.01):
        wait_until(path.exists)
        numbers.number = 7
        wait_until(lambda: samples(path)["kmodd_number"] == 7)
    assert os.listdir(path.parent) == []
