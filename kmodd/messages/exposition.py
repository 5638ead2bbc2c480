# SPDX-License-Identifier: Apache-2.0
"""Metrics as text, in the two forms in which Prometheus and others read them.

OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec) and, for those who read
files, the older text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats), in
which a counter goes by its samples' name, and units and the end are only comments.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kmodd.messages.daemon_service import MetricFamily, MetricSample

_KINDS = {1: "counter", 2: "gauge", 3: "histogram"}
"""By the numbers of MetricKind; of one that is newer the type is not told."""


def open_metrics(families: "Iterable[MetricFamily]") -> str:
    """Return ``families`` in OpenMetrics."""
    return "".join(f"{line}\n" for family in families for line in _family(family)) + "# EOF\n"


def plain_text(families: "Iterable[MetricFamily]") -> str:
    """Return ``families`` in the text format of files."""
    return "".join(f"{line}\n" for family in families for line in _plain_family(family))


def _family(family: "MetricFamily") -> "Iterator[str]":
    yield f"# TYPE {family.name} {_KINDS.get(family.kind, 'unknown')}"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {_quoted(family.help)}"
    yield from map(_sample, family.samples)


def _plain_family(family: "MetricFamily") -> "Iterator[str]":
    kind = _KINDS.get(family.kind, "untyped")
    name = f"{family.name}_total" if kind == "counter" else family.name
    text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    yield from map(_sample, family.samples)


def _sample(sample: "MetricSample") -> str:
    labels = ",".join(f'{each.name}="{_quoted(each.value)}"' for each in sample.labels)
    return f"{sample.name}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}"


def _number(value: float) -> str:
    """Return a number, whole where it is that: counts are, and sizes."""
    return str(int(value)) if value % 1 == 0 else repr(value)


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
