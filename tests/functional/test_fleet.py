# SPDX-License-Identifier: Apache-2.0
"""What operators do with a fleet, with a real etcd and what agents have written there."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kmodctl.fleet.encoding import decode_desired, encode_rollout, encode_status
from kmodctl.fleet.etcd import Etcd
from kmodctl.fleet.model import (
    Desired,
    Keys,
    NodeFacts,
    NodeStatus,
    Rollout,
    Trouble,
    WishFate,
    WishStatus,
)
from kmodctl.fleet.store import Put
from tests.functional.test_json import validator
from tests.support.etcd import EtcdCluster, running_etcd
from tests.support.here import Ran, run_here

FILE = """\
[selector]
labels = { rack = "b*" }

[[module]]
name = "wireguard"

[[module]]
name = "kvm"
state = "held"
parameters = { nested = true }
"""


@pytest.fixture(scope="module", name="cluster")
def plain_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with running_etcd(tmp_path_factory.mktemp("etcd"), tls=False) as cluster:
        yield cluster


class Operator:
    """Runs ``kmodctl fleet`` with a prefix of its own, and writes what agents would."""

    def __init__(self, cluster: EtcdCluster, directory: Path, prefix: str) -> None:
        self.keys = Keys(prefix)
        self.directory = directory
        self._endpoints = cluster.endpoints
        self._settings = directory / "fleet.toml"
        self._settings.write_text(f"endpoints = {json.dumps(self._endpoints)}\n")

    def run(self, *words: str) -> Ran:
        """Run an action."""
        own = ("--config", str(self._settings), "--prefix", self.keys.prefix)
        return run_here(None, "fleet", *own, *words)

    def json(self, *words: str) -> Any:
        """Run an action with --json, and return what it prints, which fits the schema."""
        printed = json.loads(self.run("--json", *words).output)
        assert not list(validator("fleet").iter_errors(printed))
        return printed

    def file(self, text: str, name: str = "vpn.toml") -> str:
        """Write a file of wishes and return its path."""
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def write(self, *puts: Put) -> None:
        """Write keys as they are."""

        async def written() -> None:
            etcd = Etcd(self._endpoints)
            await etcd.transact([], puts)
            await etcd.close()

        asyncio.run(written())

    def node(
        self,
        name: str,
        *wishes: WishStatus,
        troubles: Sequence[Trouble] = (),
        problem: str = "",
        **labels: str,
    ) -> None:
        """Have an agent say how a node is."""
        status = NodeStatus(
            node=name,
            boot="boot",
            agent="agent",
            version="0.1.0",
            facts=NodeFacts(release="6.1.0-56-amd64", architecture="x86_64", labels=labels),
            wishes=wishes,
            troubles=tuple(troubles),
            trouble_count=len(troubles),
            problem=problem,
        )
        self.write(Put(self.keys.node(name), encode_status(status)))


@pytest.fixture(name="operator")
def an_operator(cluster: EtcdCluster, tmp_path: Path, request: pytest.FixtureRequest) -> Operator:
    return Operator(cluster, tmp_path, f"/{request.node.name}")


def test_a_file_is_applied_once_for_the_nodes_that_it_is_meant_for(operator: Operator) -> None:
    operator.node("one", rack="b1")
    operator.node("two", rack="c1")
    file = operator.file(FILE)
    tried = operator.run("apply", "-n", file)
    assert (tried.output, tried.status) == ("vpn: not applied, for 1 node\n", 0)
    assert operator.json("status")["wishes"] == []
    revision = operator.json("apply", file)["revision"]
    assert operator.run("apply", file).output == f"vpn: revision {revision}, for 1 node\n"
    (wish,) = operator.json("status")["wishes"]
    assert wish == {
        "name": "vpn",
        "revision": revision,
        "nodes": 1,
        "fates": {"behind": 1},
        "selector": "rack=b*",
    }
    operator.node("one", WishStatus(name="vpn", revision=revision, fate=WishFate.DONE), rack="b1")
    lines = operator.run("status").output.splitlines()
    assert lines[0].startswith("etcd 3.")
    assert lines[0].endswith(f" MB, at {revision + 1}; 2 nodes")
    assert lines[1].split() == ["Wishes", "Revision", "Nodes", "Done", "For"]
    assert lines[2].split() == ["vpn", str(revision), "1", "1", "rack=b*"]

    gone = operator.run("apply", "--remove", file)
    assert gone.output.startswith("vpn: gone with revision ")
    again = operator.run("apply", "--remove", "--name", "vpn", "-")
    assert (again.errors, again.status) == ("kmodctl fleet: there are no wishes vpn\n", 1)


def test_what_is_wrong_with_a_file_is_told_and_nothing_applied(operator: Operator) -> None:
    ran = operator.run("apply", operator.file('[[module]]\nname = "a b"\nstate = "lost"\n'))
    assert ran.status == 1
    first, second = ran.errors.splitlines()
    assert first.startswith("kmodctl fleet: ERROR: vpn:2: name is a module's own name")
    assert second.startswith("kmodctl fleet: ERROR: vpn:3: state is one of")
    assert (
        operator.run("apply", "/nowhere").errors
        == "kmodctl fleet: ERROR: /nowhere: No such file or directory\n"
    )
    assert operator.json("status")["wishes"] == []
    failed = operator.run("--json", "apply", "/nowhere")
    assert json.loads(failed.output)["failure"]["reason"] == "WRONG_WISHES"


def test_diff_tells_what_a_file_changes_and_who_gains_and_loses(operator: Operator) -> None:
    operator.node("one", rack="b1")
    operator.node("two", rack="c1")
    operator.run("apply", operator.file(FILE))
    assert operator.run("diff", operator.file(FILE)) == Ran("", "", 0)
    other = operator.file(FILE.replace("b*", "c*").replace("wireguard", "dummy"))
    ran = operator.run("diff", other)
    assert ran.status == 1
    assert {'-name = "wireguard"', '+name = "dummy"', "-# for rack=b*", "+# for rack=c*"} <= {
        *ran.output.splitlines()
    }
    assert ran.output.endswith("1 gain it: two\n1 lose it: one\n")
    change = operator.json("diff", other)
    assert (change["gaining"], change["losing"], change["keeping"]) == (["two"], ["one"], 0)


def test_diff_without_a_file_tells_what_is_not_as_wished(operator: Operator) -> None:
    revision = operator.json("apply", operator.file(FILE))["revision"]
    failed = WishStatus(name="vpn", revision=revision, fate=WishFate.FAILED)
    why = "no module is called wireguard"
    trouble = Trouble(module="wireguard", name="vpn", standing="impossible", why=why)
    operator.node("bad", failed, troubles=[trouble], rack="b1")
    operator.node("good", WishStatus(name="vpn", revision=revision, fate=WishFate.DONE), rack="b2")
    operator.node("late", rack="b3")
    operator.node("other", rack="c1")
    ran = operator.run("diff")
    assert (ran.output.splitlines(), ran.status) == (
        [f"! bad: wireguard is impossible by vpn: {why}", "! late is behind by vpn"],
        1,
    )
    assert [each["node"] for each in operator.json("diff")] == ["bad", "late"]


def test_nodes_tells_how_each_fares_and_what_keeps_its_agent(operator: Operator) -> None:
    revision = operator.json("apply", operator.file(FILE))["revision"]
    operator.node("b-1", WishStatus(name="vpn", revision=revision, fate=WishFate.DONE), rack="b1")
    operator.node("b-2", problem="no daemon answers", rack="b1", role="gw")
    ran = operator.run("nodes", "b-*")
    head, first, second = (line.split() for line in ran.output.splitlines())
    assert head == ["Node", "Release", "Architecture", "kmodd", "Wishes", "Labels"]
    assert first == ["b-1", "6.1.0-56-amd64", "x86_64", "0.1.0", "1", "done", "rack=b1"]
    assert second[4:] == ["1", "behind", "rack=b1", "role=gw"]
    assert ran.errors == "kmodctl fleet: WARNING: b-2: no daemon answers\n"
    assert [each["node"] for each in operator.json("nodes", "*-2")] == ["b-2"]
    assert operator.run("nodes", "x") == Ran("", "", 0)


def test_explain_tells_which_wish_counts_and_what_the_node_says(operator: Operator) -> None:
    base = operator.json("apply", operator.file('[[module]]\nname = "kvm"\n', "base.toml"))
    vpn = operator.json("apply", operator.file(FILE))
    later = '[selector]\nrelease = "<6"\n\n[[module]]\nname = "kvm"\nstate = "denied"\n'
    operator.run("apply", operator.file(later, "z.toml"))
    operator.node(
        "one",
        WishStatus(name="base", revision=base["revision"], fate=WishFate.DONE),
        WishStatus(name="vpn", revision=vpn["revision"], fate=WishFate.PENDING),
        troubles=[Trouble(module="kvm", name="vpn", standing="waiting", why="it is in use")],
        rack="b1",
    )
    ran = operator.run("explain", "one", "kvm")
    rows = [" ".join(line.split()) for line in ran.output.splitlines()]
    assert rows[:4] == [
        "Wishes Revision Line State Verdict",
        f"base {base['revision']} 1 loaded vpn comes later",
        f"vpn {vpn['revision']} 7 held nested=1 counts",
        f"z {vpn['revision'] + 1} 4 denied is for release <6",
    ]
    assert ran.output.endswith("one says: waiting: it is in use\n")
    told = operator.json("explain", "one", "wireguard")
    assert (told["standing"], [each["counts"] for each in told["wishes"]]) == ("done", [True])
    operator.node("two", rack="b2")
    assert operator.json("explain", "two", "kvm")["standing"] == "behind"
    assert operator.run("explain", "two", "ext4").output == (
        "nothing is wished of ext4\ntwo says: nothing\n"
    )
    ran = operator.run("explain", "three", "kvm")
    assert ran.errors == "kmodctl fleet: no agent says that it has the node three\n"


def test_wishes_that_are_rolled_out_are_left_alone(operator: Operator) -> None:
    candidate = Desired(name="vpn", document='[[module]]\nname = "kvm"\n')
    rollout = Rollout(candidate=candidate, percentages=(10, 100), why="too many failed")
    operator.write(Put(operator.keys.rollout("vpn"), encode_rollout(rollout)))
    for words in (["apply"], ["apply", "--remove"]):
        ran = operator.run(*words, operator.file(FILE))
        assert ran.errors.startswith(
            "kmodctl fleet: a rollout of vpn is running: let it end, or undo"
        )
    for deed, done in (("resume", False), ("pause", True), ("pause", False)):
        ran = operator.run("rollout", "--detach", deed, "vpn")
        assert (ran.status == 0) == done
        assert done or "kmodctl fleet: the rollout of vpn is " in ran.errors
    assert operator.run("rollout", "--detach", "resume", "vpn").status == 0
    assert operator.json("status")["rollouts"][0]["why"] == ""
    lines = operator.run("status").output.splitlines()
    assert lines[-1].split(maxsplit=3)[:3] == ["vpn", "running", "10"]


def test_a_rollout_that_makes_no_sense_is_refused(operator: Operator) -> None:
    file = operator.file(FILE)
    ran = operator.run("rollout", "start", file)
    assert ran.errors == "kmodctl fleet: there is no node that vpn is meant for\n"
    operator.node("one", rack="b1")
    operator.run("apply", file)
    assert "ERROR: vpn is as " in operator.run("rollout", "start", file).errors
    other = operator.file(FILE.replace("kvm", "dummy"))
    for stages in ("50,10,100", "0,100", "10,50"):
        ran = operator.run("rollout", "start", "--stages", stages, other)
        assert "ERROR: percentages are above 0, rise, and end with 100" in ran.errors
    for deed in ("pause", "resume", "undo", "watch"):
        ran = operator.run("rollout", deed, "vpn")
        assert (ran.errors, ran.status) == ("kmodctl fleet: there is no rollout of vpn\n", 1)
    assert operator.json("status")["rollouts"] == []


def test_what_cannot_be_read_is_told_and_the_rest_shown(operator: Operator) -> None:
    operator.run("apply", operator.file(FILE))
    keys = operator.keys
    later = Put(keys.desired("new"), b'{"version": 2}')
    operator.write(later, Put(keys.node("x"), b"\xff"), Put(keys.desired("a") + "/\x1b[2J", b""))
    ran = operator.run("status")
    assert ran.status == 1
    assert "\nvpn " in ran.output
    assert f"WARNING: {keys.desired('new')}: version 2 is later than what" in ran.errors
    assert f"WARNING: {keys.node('x')}: " in ran.errors
    assert "\x1b" not in ran.errors
    assert len(operator.json("status")["problems"]) == 3


def test_applying_is_refused_where_another_writes_meanwhile(operator: Operator) -> None:
    from kmodctl.fleet.actions import Fleet, apply
    from kmodctl.fleet.survey import survey

    operator.run("apply", operator.file(FILE))

    async def script() -> None:
        etcd = Etcd(operator._endpoints)
        found = await survey(etcd, operator.keys)
        compares = apply.unchanged(found, Fleet(etcd, operator.keys), "vpn")
        put = Put(operator.keys.desired("vpn"), found.entries[operator.keys.desired("vpn")].value)
        assert (await etcd.transact(compares, [put])).succeeded
        assert not (await etcd.transact(compares, [put])).succeeded
        entry = await etcd.get(operator.keys.desired("vpn"))
        assert entry is not None
        assert decode_desired(entry).document.endswith(
            'name = "kvm"\nstate = "held"\nparameters = { nested = true }\n'
        )
        await etcd.close()

    asyncio.run(script())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["apply"], "ERROR: apply takes a FILE, or - for stdin"),
        (["explain", "x"], "ERROR: explain takes a NODE and a MODULE"),
        (["status", "x"], "ERROR: status takes no other word"),
        (["aply", "x"], "ACTION: 'aply' is none of"),
        (["rollout", "begin", "x"], "ERROR: rollout takes start FILE, or pause"),
        (["rollout", "start", "--stages", "x", "f"], "--stages: invalid value 'x'"),
        (["rollout", "start", "--places", "-1", "f"], "--places: invalid value '-1'"),
        (["--etcd", "nonsense", "status"], "'nonsense' is no endpoint"),
        (["--etcd", "http://127.0.0.1:1", "status"], "http://127.0.0.1:1: Connect"),
        (["--config", "/nowhere", "status"], "/nowhere: No such file"),
        (["status"], "no endpoint of etcd is known"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(words: list[str], message: str, tmp_path: Path) -> None:
    ran = run_here(None, "fleet", *words, HOME=str(tmp_path))
    assert ran.status == 1
    assert message in ran.errors


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["app"], ["apply"]),
        (["rollout", ""], ["start", "pause", "resume", "undo", "watch"]),
        (["rollout", "start", ""], [":files"]),
        (["diff", ""], [":files"]),
        (["--key", ""], [":files"]),
        (["explain", ""], []),
    ],
)
def test_the_words_of_a_line_are_completed(words: list[str], offered: list[str]) -> None:
    ran = run_here(Path("/nowhere"), "complete", "--", "kmodctl", "fleet", *words)
    assert [line.partition("\t")[0] for line in ran.output.splitlines()] == offered
