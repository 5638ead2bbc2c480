# SPDX-License-Identifier: Apache-2.0
"""Loads of what is loaded already: answered from memory, and never wrongly."""

import json
from pathlib import Path

import pytest

from kmodctl import CallError, Client
from kmodd.v1.module_service_pb2 import LoadModulesRequest, Module, Origin
from tests.support.daemon import Daemon, running_daemon, wait_until
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


def test_a_listing_tells_of_holds_and_origins_at_once(daemon: Daemon) -> None:
    def told(client: Client) -> list[tuple[str, str, int]]:
        return [(each.name, Origin.Name(each.origin), each.hold_count) for each in listed(client)]

    def listed(client: Client) -> list[Module]:
        found = client.list_modules()
        assert client.list_modules() == found
        return list(found)

    with daemon.client() as client, daemon.client() as holder:
        client.load("world")
        assert told(client) == [("world", "ORIGIN_ASKED", 0), ("greet", "ORIGIN_DEPENDENCY", 0)]
        with holder.hold("greet"):
            assert [count for _, _, count in told(client)] == [0, 1]
        client.load("greet")
        wait_until(lambda: [count for _, _, count in told(client)] == [0, 0])
        assert told(client) == [("world", "ORIGIN_ASKED", 0), ("greet", "ORIGIN_ASKED", 0)]
        client.remove("world")
        assert told(client) == [("greet", "ORIGIN_ASKED", 0)]


def test_a_plan_for_what_is_loaded_is_told_alike_and_does_nothing(daemon: Daemon) -> None:
    plan = LoadModulesRequest(names=["world"], dry_run=True)
    with daemon.client() as client:
        client.load("world")
        client.load("greet")  # asked for, too
        before = client.list_modules()
        first = client.load_modules(plan)
        assert [client.load_modules(plan) for _ in range(3)] == [first] * 3
        assert client.list_modules() == before
        client.remove("world")
        (result,) = client.load_modules(plan).results
        assert [step.module for step in result.steps if not step.needless] == ["world"]
        assert [module.name for module in client.list_modules()] == ["greet"]
        client.load("world")
        assert client.load_modules(plan) == first


def test_a_plan_asks_for_nothing(daemon: Daemon) -> None:
    plan = LoadModulesRequest(names=["greet"], dry_run=True)
    with daemon.client() as client:
        client.load("world")
        for _ in range(3):
            client.load_modules(plan)
        origins = {each.name: each.origin for each in client.list_modules()}
        assert origins["greet"] == Origin.ORIGIN_DEPENDENCY
