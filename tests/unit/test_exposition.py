# SPDX-License-Identifier: Apache-2.0
"""Metrics as text, whatever is in them; and what is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from kmodd.messages.daemon_service import (
    METRIC_KIND_COUNTER,
    METRIC_KIND_GAUGE,
    MetricFamily,
    MetricLabel,
    MetricSample,
)
from kmodd.messages.exposition import open_metrics, plain_text
from kmodd.tallies import BOUNDS, Durations, Tally

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(help_=TEXTS, value=TEXTS, number=st.floats(allow_nan=False, allow_infinity=False))
def test_no_text_makes_a_sample(help_: str, value: str, number: float) -> None:
    sample = MetricSample(
        name="kmodd_x", labels=[MetricLabel(name="release", value=value)], value=number
    )
    family = MetricFamily(
        name="kmodd_x", kind=METRIC_KIND_GAUGE, help=f"x{help_}x", samples=[sample]
    )
    for read, text in (
        (text_string_to_metric_families, open_metrics([family])),
        (plain_families, plain_text([family])),
    ):
        (found,) = read(text)
        assert found.documentation == f"x{help_}x"
        assert [(each.labels, each.value) for each in found.samples] == [
            ({"release": value}, number)
        ]


def test_a_counter_goes_by_its_samples_name_in_files() -> None:
    sample = MetricSample(name="kmodd_x_seconds_total", value=0.25)
    family = MetricFamily(
        name="kmodd_x_seconds",
        kind=METRIC_KIND_COUNTER,
        unit="seconds",
        help="All of it.",
        samples=[sample],
    )
    assert open_metrics([family]) == (
        "# TYPE kmodd_x_seconds counter\n"
        "# UNIT kmodd_x_seconds seconds\n"
        "# HELP kmodd_x_seconds All of it.\n"
        "kmodd_x_seconds_total 0.25\n"
        "# EOF\n"
    )
    assert plain_text([family]) == (
        "# HELP kmodd_x_seconds_total All of it.\n"
        "# TYPE kmodd_x_seconds_total counter\n"
        "kmodd_x_seconds_total 0.25\n"
    )


def test_a_kind_that_is_newer_is_told_as_one_that_is_not_known() -> None:
    family = MetricFamily(name="kmodd_x", kind=77, help="x")
    assert open_metrics([family]).startswith("# TYPE kmodd_x unknown\n")
    assert "# TYPE kmodd_x untyped\n" in plain_text([family])


def test_lengths_of_time_are_counted_up_to_each_bound() -> None:
    durations = Durations()
    for seconds in (0.0, BOUNDS[0], 0.002, 0.3, 1000.0):
        durations.add(seconds, "load")
    spread = durations.read()["load",]
    assert spread.within == (2, 3, 3, 3, 4, 4, 4, 4)
    assert spread.count == 5
    assert spread.seconds == pytest.approx(1000.303)


def test_counts_are_told_apart_by_their_labels() -> None:
    tally = Tally()
    tally.add("b")
    tally.add("a", "x", count=3)
    tally.add("b")
    assert list(tally.read().items()) == [(("a", "x"), 3), (("b",), 2)]
