# SPDX-License-Identifier: Apache-2.0
"""The dashboard and the rules for alerts, by what a daemon tells and by Prometheus itself."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from kmodd.desired.findings import Standing
from kmodd.errors import Reason
from kmodd.namespace import Origin
from tests.support.daemon import running_daemon
from tests.support.require import require
from tests.support.tree import ModuleTree

SYSTEMD = Path(__file__).parents[2] / "systemd"
DASHBOARD = SYSTEMD / "grafana-dashboard.json"
RULES = SYSTEMD / "kmodd-alerts.yml"

SUFFIXES = {1: ("_total",), 2: ("",), 3: ("_bucket", "_count", "_sum")}
"""Of the samples, by what a family is."""

OTHERS = {"instance", "le"}
"""Labels that Prometheus gives, and those of all histograms."""

VALUES = {
    "reason": {each.name for each in Reason},
    "standing": {each.value for each in Standing},
    "origin": {each.value for each in Origin},
    "result": {"done", "failed", "unchanged"},
}
"""What labels may say."""

CASES = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'node_textfile_mtime_seconds{{instance="a",file="/x/kmodd.prom"}}'
        values: '0x60'
      - series: 'kmodd_operations_under_way{{instance="a"}}'
        values: '1x60'
      - series: 'kmodd_operations_total{{instance="a",action="load",result="done"}}'
        values: '5x60'
      - series: 'kmodd_operations_under_way{{instance="b"}}'
        values: '1x60'
      - series: 'kmodd_operations_total{{instance="b",action="load",result="done"}}'
        values: '5+1x60'
      - series: 'kmodd_denials_total{{instance="b",role="observer",reason="ACCESS_DENIED"}}'
        values: '0+60x60'
      - series: 'kmodd_modules{{instance="b",origin="others"}}'
        values: '3x30 4x30'
      - series: 'kmodd_modules{{instance="a",origin="others"}}'
        values: '3x60'
    alert_rule_test:
{expected}
"""

EXPECTED = """\
      - alertname: {name}
        eval_time: 50m
        exp_alerts: [{alerts}]
"""

FIRING = {
    "KmoddSilent": "critical a file=/x/kmodd.prom",
    "KmoddOperationsStuck": "warning a",
    "KmoddDenials": "warning b role=observer",
    "KmoddModulesOfOthers": "info b origin=others",
    "KmoddMemory": "",
}
"""The alerts that are to fire for these series: the severity, the machine and further labels."""


def expressions() -> list[str]:
    """Return all that the dashboard and the rules ask Prometheus for."""
    board = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    texts = re.split(r"^ *- alert: ", RULES.read_text(), flags=re.M)[1:]
    return asked + [text.partition("labels:")[0] for text in texts]


def test_each_metric_that_they_name_is_there_with_its_labels(modules_root: ModuleTree) -> None:
    with running_daemon(modules_root.root) as daemon, daemon.client() as client:
        families = client.metrics().families
    names = {
        f"{family.name}{suffix}": {label.name for each in family.samples for label in each.labels}
        for family in families
        for suffix in SUFFIXES[family.kind]
    }
    given = set().union(*names.values()) | OTHERS | {"role", "reason", "action", "result"}
    found = set()
    for expression in expressions():
        used = set(re.findall(r"\bkmodd_\w+", expression))
        assert used <= names.keys() or "node_textfile" in expression, expression
        found |= used
        for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
            assert set(labels.split(", ")) <= given, expression
        for label, values in re.findall(r'(\w+)=~?"([^"$]*)"', expression):
            assert set(values.split("|")) <= VALUES.get(label, set(values.split("|"))), expression
    assert len(found) > 25


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text())
    assert board["schemaVersion"] >= 36
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + across, place["y"] + down)
            for across in range(place["w"])
            for down in range(place["h"])
        }
        assert max(x for x, _ in cells) < 24, panel["title"]  # Grafana's columns
        assert not cells & taken, panel["title"]
        taken |= cells
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_prometheus_takes_the_rules_and_they_fire_when_they_should(tmp_path: Path) -> None:
    promtool = require("promtool", "Prometheus judges rules itself")
    judged = subprocess.run(
        [promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
    expected = "".join(
        EXPECTED.format(name=name, alerts=_alert(words) if words else "")
        for name, words in FIRING.items()
    )
    # promtool compares annotations, too; the rules are tried without theirs.
    bare = re.sub(r"^ +annotations:\n(?: {10}.*\n)+", "", RULES.read_text(), flags=re.M)
    (tmp_path / "rules.yml").write_text(bare)
    cases = tmp_path / "cases.yml"
    cases.write_text(CASES.format(rules="rules.yml", expected=expected))
    tried = subprocess.run(
        [promtool, "test", "rules", str(cases)], capture_output=True, text=True, check=False
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr


def _alert(words: str) -> str:
    severity, machine, *others = words.split()
    labels = [f"severity: {severity}", f"instance: {machine}"]
    labels += [": ".join(each.split("=")) for each in others]
    return f"{{exp_labels: {{{', '.join(labels)}}}}}"
