# SPDX-License-Identifier: Apache-2.0
"""The parts of a node's agent: its settings, what it keeps, what it says, how long it waits."""

import os
from pathlib import Path

import pytest

from kmodctl.fleet.agent_settings import agent_settings
from kmodctl.fleet.contact import Contact
from kmodctl.fleet.deciding import Wanted
from kmodctl.fleet.encoding import MAX_TROUBLES
from kmodctl.fleet.kept_wishes import NAME, KeptWishes, load_kept, save_kept
from kmodctl.fleet.model import NodeStatus, Trouble, WishFate, WishStatus
from kmodctl.fleet.node_daemon import LocalState, ModuleFare
from kmodctl.fleet.pausing import Pause
from kmodctl.fleet.settings import SettingsError
from kmodctl.fleet.store import StoredEntry
from kmodctl.fleet.telling import status_of

EMPTY = NodeStatus(node="n", boot="b", agent="a")


def test_an_agent_has_the_hosts_name_and_systemds_directory_where_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/kmodd-fleet")
    settings = agent_settings({})
    node = os.uname().nodename
    assert (settings.node, settings.socket) == (node, None)
    assert settings.directory == Path("/var/lib/kmodd-fleet", node)
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    table = {"node": "web-1", "socket": "/run/s", "lease": 60}
    settings = agent_settings(table, node="web-2", socket=None)
    assert (settings.node, settings.socket) == ("web-2", "/run/s")
    assert settings.directory == Path("/home/x/state/kmodd-fleet/web-2")
    assert (settings.timing.lease, settings.timing.place_lease) == (60, 3600)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"nodes": "a"}, "nodes is no setting of an agent"),
        ({"node": "a b"}, "node is at most 128 letters"),
        ({"node": 3}, "node is at most 128 letters"),
        ({"socket": "run/s"}, "socket is an absolute path, not 'run/s'"),
        ({"directory": 1}, "directory is an absolute path"),
        ({"lease": 1}, "lease is a number of seconds from 5"),
        ({"place_lease": True}, "place_lease is a number of seconds from 5"),
    ],
)
def test_what_an_agent_cannot_be_told_is_named(table: dict[str, object], why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        agent_settings(table)
    assert str(caught.value).startswith(f"agent: {why}")


def test_what_is_known_of_etcd_is_kept_for_the_same_prefix(tmp_path: Path) -> None:
    entry = StoredEntry("/kmodd/desired/a", b"\xff\0", 3, 7)
    kept = KeptWishes(9, {entry.key: entry}, frozenset({"b"}))
    save_kept(tmp_path, "/kmodd", kept)
    assert load_kept(tmp_path, "/kmodd") == kept
    assert load_kept(tmp_path, "/other") == KeptWishes()
    save_kept(None, "/kmodd", kept)
    assert load_kept(None, "/kmodd") == KeptWishes()
    save_kept(tmp_path / "missing", "/kmodd", kept)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b'{"prefix": "/kmodd"}',
        b'{"prefix": "/kmodd", "revision": 1, "entries": [["a", "!", 1, 1]], "orphans": []}',
        b'{"prefix": "/kmodd", "revision": 1, "entries": [[1, "", 1, 1]], "orphans": []}',
        b'{"prefix": "/kmodd", "revision": 1, "entries": [["a"]], "orphans": []}',
        b'{"prefix": "/kmodd", "revision": 1, "entries": [], "orphans": [1]}',
        b'{"prefix": "/kmodd", "revision": null, "entries": [], "orphans": []}',
    ],
)
def test_what_was_kept_and_makes_no_sense_is_dropped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert load_kept(tmp_path, "/kmodd") == KeptWishes()


def fare(module: str, standing: str, source: str = "fleet.a", why: str = "") -> ModuleFare:
    return ModuleFare(module=module, source=source, standing=standing, why=why, moves=True)


def told(
    *fares: ModuleFare,
    revision: int = 5,
    wanted: Wanted | None = None,
    problems: dict[str, str] | None = None,
    **more: dict[str, str],
) -> NodeStatus:
    """Return what a node says that has wishes of a revision, which fare so."""
    state = LocalState({each.module: each for each in fares}, {"fleet.a": revision}, problems or {})
    found = wanted or Wanted(name="a", revision=5)
    refused, waiting = more.get("refused", {}), more.get("waiting", {})
    return status_of(EMPTY, [found], state, "fleet", refused, waiting)


def test_wishes_fare_as_the_worst_of_their_modules() -> None:
    fares = [fare("m1", "done"), fare("m2", "waiting", why="in use")]
    assert told().wishes == (WishStatus(name="a", revision=5, fate=WishFate.DONE),)
    assert told(*fares).wishes[0].why == "m2: in use"
    assert told(*fares).wishes[0].fate is WishFate.PENDING
    fares.append(fare("m3", "drifted"))
    assert (told(*fares).wishes[0].fate, told(*fares).wishes[0].why) == (WishFate.DRIFTED, "m3")
    fares.append(fare("m4", "impossible"))
    assert told(*fares).wishes[0].fate is WishFate.FAILED
    assert told(fare("m5", "impossible", source="/etc/kmodd/state.d/a.toml")) == told()


def test_what_is_not_in_force_yet_says_why() -> None:
    newer = Wanted(name="a", revision=7)
    about = told(wanted=newer).wishes[0]
    assert (about.revision, about.fate) == (5, WishFate.PENDING)
    waits = told(wanted=newer, waiting={"a": "it waits for one of 2 places"}).wishes[0]
    assert (waits.fate, waits.why) == (WishFate.PENDING, "it waits for one of 2 places")
    refused = told(wanted=newer, refused={"a": "not among them"}).wishes[0]
    assert (refused.fate, refused.why) == (WishFate.FAILED, "not among them")
    unreadable = told(wanted=Wanted(name="a", revision=5, why="no JSON")).wishes[0]
    assert (unreadable.fate, unreadable.why) == (WishFate.UNREADABLE, "no JSON")
    wrong = told(problems={"fleet.a": "fleet.a:1: what"}).wishes[0]
    assert (wrong.fate, wrong.why) == (WishFate.FAILED, "fleet.a:1: what")


def test_the_first_troubles_are_told_and_how_many_there_are() -> None:
    fares = [fare(f"m{number:02}", "waiting") for number in range(40)]
    left = fare("old", "waiting", source="")
    status = told(*fares, left)
    assert status.trouble_count == 41
    assert len(status.troubles) == MAX_TROUBLES
    assert status.troubles[:2] == (
        Trouble(module="old", name="", standing="waiting"),
        Trouble(module="m00", name="a", standing="waiting"),
    )


def test_each_pause_is_up_to_twice_the_last_until_that_is_long_enough() -> None:
    pause = Pause(1.0, 4.0)
    for most in (1.0, 2.0, 4.0, 4.0):
        assert most / 2 <= pause.take() <= most
    pause.reset()
    assert pause.take() <= 1.0


def test_etcd_is_away_while_any_task_has_lost_it_and_since_the_first() -> None:
    news: list[bool] = []
    contact = Contact(lambda: news.append(contact.away is not None))
    contact.found("watch")
    contact.lost("watch", "cut")
    first = contact.away
    contact.lost("entry", "no answer")
    contact.found("watch")
    assert first is not None
    assert contact.away is not None
    assert (contact.away.since, contact.away.why) == (first.since, "no answer")
    contact.found("entry")
    assert news == [True, False]
