# SPDX-License-Identifier: Apache-2.0
"""A daemon that keeps its machine as it is wished to be, and how that is asked for and shown."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from kmodd.v1 import state_service_pb2 as pb
from tests.support.daemon import Daemon, kmodctl, running_daemon, wait_until
from tests.support.tree import ModuleTree
from tests.support.wishes import wishes

SETTINGS = """\
audit_file = "@/audit"
labels = { rack = "b7" }

[timing]
poll = 0.1

[[socket]]
path = "@/run/kmodd.sock"

[[socket]]
path = "@/observer/kmodd.sock"
role = "observer"

[[socket]]
path = "@/steward/kmodd.sock"
role = "steward"
allow = ["hello", "world"]
deny = ["greet"]
source = "site"
"""


@pytest.fixture
def wishing(modules_root: ModuleTree, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose wishes are in the directory ``w`` of the test."""
    (tmp_path / "w").mkdir()
    settings = f'desired_state = "{tmp_path}/w"\n{SETTINGS}'
    with running_daemon(modules_root.root, settings=settings) as daemon:
        yield daemon


def fares(daemon: Daemon) -> dict[str, str]:
    with daemon.client() as client:
        found = client.get_state().modules
    return {
        each.module: pb.Standing.Name(each.standing).removeprefix("STANDING_") for each in found
    }


def loaded(daemon: Daemon) -> set[str]:
    with daemon.client() as client:
        return {each.name for each in client.list_modules()}


def tells(daemon: Daemon, complaint: str) -> bool:
    return complaint in daemon.kmodctl("state").stderr


def trail(daemon: Daemon) -> list[tuple[str, str]]:
    lines = map(json.loads, (daemon.log.parent / "audit").read_text().splitlines())
    return [(line["action"], line["what"]) for line in lines if line.get("origin") == "state"]


def test_files_are_followed_and_each_step_has_its_line(wishing: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "w/a.toml"
    file.write_text(wishes("greet held times=3", "hello absent"))
    wait_until(lambda: loaded(wishing) == {"greet"})
    answer = wishing.kmodctl("param", "greet", "times")
    assert answer.stdout == "3\n"
    lines = wishing.kmodctl("state").stdout.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["Module", "Wished", "Is", "Fares"],
        ["greet", "held", "loaded", "done"],
        ["hello", "absent", "absent", "done"],
    ]
    assert lines[1].endswith(f" {file}:1")
    status = wishing.kmodctl("status").stdout
    assert "wishes:    for 2 modules, all so\n" in status
    assert "1 loaded: 1 asked for, 0 as dependencies\n" in status
    answer = wishing.kmodctl("rmmod", "greet")
    assert "is in use by: hold 1 of state" in answer.stderr
    file.unlink()
    wait_until(lambda: loaded(wishing) == set())
    assert trail(wishing) == [
        ("hold", "greet"),
        ("release", "hold 1 of state"),
        ("remove", "greet"),
    ]
    assert ": hold greet, for state, loaded greet" in wishing.kmodctl("events").stdout


def test_a_file_is_applied_shown_and_taken_away(wishing: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(wishes("world loaded", "hello loaded", "nosuch loaded", "greet absent"))
    planned = wishing.kmodctl("diff", str(file))
    lines = planned.stdout.splitlines()
    assert lines[0] == "! world is impossible: it needs greet, which mine:10 wishes absent"
    assert lines[1] == "+ load hello"
    assert lines[2].startswith("! nosuch is impossible: module nosuch not found in directory")
    assert (planned.returncode, loaded(wishing)) == (1, set())
    assert wishing.kmodctl("diff").returncode == 0
    file.write_text(wishes("world loaded", "greet loaded times=2"))
    again = wishing.kmodctl("apply", "--dry-run", str(file))
    assert again.stdout == "+ load world\n+ load greet times=2\n"
    done = wishing.kmodctl("apply", str(file))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert loaded(wishing) == {"world", "greet"}
    differs = wishing.kmodctl("diff")
    assert (differs.stdout, differs.returncode) == ("", 0)
    file.write_text(wishes("greet loaded times=5"))
    differs = wishing.kmodctl("diff", str(file))
    assert (differs.stdout, differs.returncode) == (
        "~ set greet times=5 (it is 2)\n- unload world\n",
        1,
    )
    gone = wishing.kmodctl("apply", "--remove", "mine")
    assert (gone.stdout, gone.returncode) == ("", 0)
    assert wishing.kmodctl("state").stdout == ""


def test_what_is_wrong_with_a_file_is_told_with_its_lines_and_nothing_is_done(
    wishing: Daemon, tmp_path: Path
) -> None:
    (tmp_path / "w/a.toml").write_text(wishes("hello loaded"))
    wait_until(lambda: loaded(wishing) == {"hello"})
    file = tmp_path / "bad.toml"
    file.write_text("[[module]]\nname = 'x'\nstate = 'no'\n[[module]]\n")
    answer = wishing.kmodctl("apply", str(file))
    assert answer.stderr.splitlines() == [
        "kmodctl apply: ERROR: bad:3: state is one of loaded, absent, denied, held, not 'no'",
        "kmodctl apply: ERROR: bad:4: a [[module]] needs a name",
    ]
    assert (answer.stdout, answer.returncode) == ("", 1)
    for text, complaint in (
        ("version = 2\n", "a.toml:1: version 2 is later than what this kmodd reads, 1"),
        ("[[modul", "a.toml:1: Expected ']]' at the end of an array declaration"),
        ("".join(f"[[module]]\nname='m{n}'\nstate='x'\n" for n in range(1000)), "a.toml:3: state"),
        (wishes("hello loaded", "hello absent"), "a.toml:4: hello is wished already, in line 1"),
    ):
        (tmp_path / "w/a.toml").write_text(text)
        wait_until(partial(tells, wishing, complaint))
        assert loaded(wishing) == {"hello"}
        assert wishing.kmodctl("diff").returncode == 1
    answer = wishing.kmodctl("apply", "-", "--source", "../x")
    assert "'../x' cannot be what a source of wishes is called" in answer.stderr
    assert wishing.kmodctl("apply", "-").stderr == (
        "kmodctl apply: ERROR: what comes from stdin has no name; give --source NAME\n"
    )
    assert "nosuchfile: No such file" in wishing.kmodctl("apply", "nosuchfile").stderr


def test_the_labels_of_the_machine_choose_and_a_reload_takes_over_others(
    wishing: Daemon, tmp_path: Path
) -> None:
    text = f"{wishes('hello loaded')}\nwhen.labels.rack = 'c*'\n{wishes('greet loaded')}\n"
    (tmp_path / "w/a.toml").write_text(f"{text}when = {{ hostname = '{os.uname().nodename}' }}")
    wait_until(lambda: loaded(wishing) == {"greet"})
    config = wishing.log.parent / "kmodd.toml"
    config.write_text(config.read_text().replace("b7", "c7"))
    wishing.process.send_signal(signal.SIGHUP)
    wait_until(lambda: loaded(wishing) == {"greet", "hello"})


def test_an_observer_sees_the_wishes_but_no_values_and_changes_nothing(
    wishing: Daemon, tmp_path: Path
) -> None:
    (tmp_path / "w/a.toml").write_text(wishes("greet loaded whom=secret"))
    wait_until(lambda: loaded(wishing) == {"greet"})
    socket = str(wishing.log.parent / "observer/kmodd.sock")
    as_observer = {"KMODD_SOCKET": socket}
    state = kmodctl("--json", "state", environment=as_observer).stdout
    assert "whom" in state
    assert "secret" not in state
    assert "secret" in wishing.kmodctl("--json", "state").stdout
    answer = kmodctl("apply", str(tmp_path / "w/a.toml"), environment=as_observer)
    assert "ApplyState takes the role steward" in answer.stderr


def test_a_revision_of_a_source_is_applied_once(wishing: Daemon) -> None:
    text = wishes("hello loaded").encode()
    with wishing.client() as client:
        for revision, expected in ((7, {"hello"}), (7, set()), (8, {"hello"})):
            (source,) = client.apply_state("mine", text, revision=revision).sources
            assert (source.name, source.revision) == ("mine", revision)
            assert loaded(wishing) == expected
            if revision == 7 and expected:
                client.remove("hello")
        news = client.watch_state()
        assert next(news).has_sources
        for _ in range(2):
            assert not client.apply_state("mine", b"").sources
        gone = next(each for each in news if each.has_sources)
        assert not gone.sources
        (label,) = client.status().labels
    assert (label.name, label.value) == ("rack", "b7")
    lines = map(json.loads, (wishing.log.parent / "audit").read_text().splitlines())
    assert [line["action"] for line in lines].count("apply-state") == 3


def test_a_steward_applies_its_own_source_for_the_modules_of_its_list(
    wishing: Daemon, tmp_path: Path
) -> None:
    file = tmp_path / "wished"
    as_steward = {"KMODD_SOCKET": str(wishing.log.parent / "steward/kmodd.sock")}

    def apply(source: str, *lines: str, options: tuple[str, ...] = ()) -> str:
        file.write_text(wishes(*lines))
        ran = kmodctl(*("apply", "--source", source, *options, str(file)), environment=as_steward)
        return ran.stderr

    assert apply("site.web", "hello loaded") == ""
    assert loaded(wishing) == {"hello"}
    assert "it may apply site and site.*, not other" in apply("other", "hello absent")
    assert "not sites" in apply("sites", "hello absent")
    for options in ((), ("--dry-run",)):
        refused = apply("site", "hello absent", "greet loaded", options=options)
        assert "greet is not among the modules it may have" in refused
    assert "greet is among the modules it may not have" in apply("site", "world loaded")
    assert "may be given no parameters" in apply("site", "hello loaded whom=x")
    loads = kmodctl("modprobe", "hello", environment=as_steward)
    assert "LoadModules takes the role loader" in loads.stderr
    assert loaded(wishing) == {"hello"}
    assert "wishes as: site" in " ".join(kmodctl("whoami", environment=as_steward).stdout.split())
    kmodctl("apply", "--remove", "--source", "site.web", "x", environment=as_steward)
    wait_until(lambda: loaded(wishing) == set())


def test_a_watch_tells_of_what_changes(wishing: Daemon, tmp_path: Path) -> None:
    (tmp_path / "w/a.toml").write_text(wishes("hello loaded"))
    wait_until(lambda: loaded(wishing) == {"hello"})
    with subprocess.Popen(
        [sys.executable, "-m", "kmodctl", "--json", "state", "--watch"],
        env={**os.environ, "KMODD_SOCKET": str(wishing.socket)},
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        try:
            first = json.loads(watching.stdout.readline())
            assert [each["standing"] for each in first["modules"]] == ["STANDING_DONE"]
            assert wishing.kmodctl("rmmod", "hello").returncode == 0
            second = json.loads(watching.stdout.readline())
            assert second["modules"][0]["why"] == "it was unloaded by hand"
            (tmp_path / "w/a.toml").write_text("")
            third = json.loads(watching.stdout.readline())
            assert third["gone"] == ["hello"]
        finally:
            watching.kill()


def test_a_kernel_that_starts_anew_gets_all_again(wishing: Daemon, tmp_path: Path) -> None:
    (tmp_path / "w/a.toml").write_text(wishes("world held", "hello loaded"))
    wait_until(lambda: loaded(wishing) == {"world", "greet", "hello"})
    os.kill(wishing.kernel_pid(), signal.SIGKILL)
    wait_until(lambda: loaded(wishing) == {"world", "greet", "hello"})
    wait_until(lambda: fares(wishing) == {"world": "DONE", "hello": "DONE"})


def test_what_was_applied_is_there_after_a_restart_before_the_first_caller(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(wishes("world loaded"))
    state = ("--state", str(tmp_path / "kept"))
    with running_daemon(modules_root.root, *state) as daemon:
        assert daemon.kmodctl("apply", str(file)).returncode == 0
        assert daemon.stop() == 0
    with running_daemon(modules_root.root, *state) as daemon:
        wait_until(lambda: loaded(daemon) == {"world", "greet"})
        wait_until(lambda: fares(daemon) == {"world": "DONE"})


def test_check_config_reads_the_wishes(tmp_path: Path) -> None:
    config = tmp_path / "kmodd.toml"
    config.write_text(f'[[socket]]\npath = "{tmp_path}/run/s"\n')
    (tmp_path / "state.d").mkdir()
    file = tmp_path / "state.d/a.toml"
    command = [sys.executable, "-m", "kmodd", "check-config", "--config", str(config)]
    file.write_text(wishes("a loaded"))
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{file} is right: 1 wishes\n" in answer.stdout
    file.write_text(wishes("a gone"))
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stderr.startswith(f"kmodd: {file}:3: state is one of")
    assert answer.returncode == 1
