# SPDX-License-Identifier: Apache-2.0
"""Loads of what is loaded already: answered from memory, and never wrongly."""

import json
from pathlib import Path

import pytest

from kmodctl import CallError
from tests.support.daemon import Daemon, running_daemon
from tests.support.tree import ModuleTree


def test_what_is_loaded_is_answered_alike_until_it_is_gone(daemon: Daemon) -> None:
    with daemon.client() as client, daemon.client() as other:
        assert [step.done for result in client.load("world") for step in result.steps] == [True] * 2
        first = client.load("world")
        assert not first[0].steps
        assert [client.load("world") for _ in range(3)] == [first] * 3
        other.unload("world")
        assert [step.done for result in client.load("world") for step in result.steps] == [True] * 2


def test_each_load_has_its_line_in_the_audit_trail(
    tmp_path: Path, modules_root: ModuleTree
) -> None:
    trail, settings = tmp_path / "audit", tmp_path / "kmodd.toml"
    settings.write_text(f'audit_file = "{trail}"\n')
    with (
        running_daemon(modules_root.root, "--config", str(settings)) as daemon,
        daemon.client() as client,
    ):
        for _ in range(4):
            client.load("greet")
    lines = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [line["result"] for line in lines] == ["done", *["unchanged"] * 3]
    assert {line["what"] for line in lines} == {"greet"}


def test_what_a_request_says_beside_the_name_still_counts(daemon: Daemon) -> None:
    with daemon.client() as client:
        for _ in range(3):
            client.load("greet")
        with pytest.raises(CallError) as refused:
            client.load("greet", first_time=True)
        assert refused.value.reason == "MODULE_ALREADY_LOADED"
        (result,) = client.load("greet", parameters="count=7")
        assert [each.given for each in result.ignored_parameters] == ["count=7"]
