# SPDX-License-Identifier: Apache-2.0
"""What kmodctl's own commands do for a person at a terminal: colours, and a pager."""

import re
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.require import require
from tests.support.terminal import run_at_terminal

GREEN, RED, YELLOW, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


def at_terminal(daemon: Daemon, *words: str, lines: int = 1000, **environment: str) -> str:
    screen, status = run_at_terminal(
        words, {"KMODD_SOCKET": str(daemon.socket), **environment}, lines=lines
    )
    assert status == 0, screen
    return screen


def refused_at_terminal(daemon: Daemon, *words: str) -> str:
    screen, status = run_at_terminal(words, {"KMODD_SOCKET": str(daemon.socket)}, lines=1000)
    assert status == 1
    return screen


def test_states_are_coloured_on_a_terminal_alone(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "greet")
    coloured = f"world\n└── greet ({GREEN}loaded{PLAIN})\n"
    assert at_terminal(daemon, "tree", "world") == coloured
    plain = "world\n└── greet (loaded)\n"
    assert daemon.kmodctl("tree", "world").stdout == plain
    assert daemon.kmodctl("tree", "world", "--color", "always").stdout == coloured
    assert daemon.kmodctl("--color=always", "tree", "world").stdout == coloured
    assert at_terminal(daemon, "tree", "world", "--color", "never") == plain
    assert at_terminal(daemon, "--color=always", "tree", "world", "--color=never") == plain
    assert at_terminal(daemon, "tree", "world", NO_COLOR="1") == plain
    assert at_terminal(daemon, "tree", "world", NO_COLOR="") == coloured
    assert at_terminal(daemon, "tree", "world", TERM="dumb") == plain
    assert f"state:     {GREEN}live{PLAIN}\n" in at_terminal(daemon, "status", "greet")


def test_failures_are_red_but_for_those_of_kmods_tools(daemon: Daemon) -> None:
    shown = refused_at_terminal(daemon, "status", "nosuch")
    assert shown == f"kmodctl status: {RED}ERROR{PLAIN}: module nosuch is not loaded\n"
    shown = refused_at_terminal(daemon, "rmmod", "nosuch")
    assert shown == "rmmod: ERROR: Module nosuch is not currently loaded\n"
    assert RED in at_terminal(daemon, "events")
    shown = at_terminal(daemon, "device", "add", "platform:nobodys")
    assert f"{YELLOW}no driver{PLAIN}" in shown
    assert f"{YELLOW}WARNING{PLAIN}: no module answers" in shown


def test_what_a_name_has_is_escaped_within_its_colours(daemon: Daemon) -> None:
    shown = refused_at_terminal(daemon, "--color=always", "status", "a\x1b[31mb")
    assert "a\\x1b[31mb" in shown


def test_more_than_the_screen_takes_goes_through_the_pager(daemon: Daemon) -> None:
    log = daemon.kmodctl("dmesg").stdout
    height = log.count("\n")
    paged = "".join(f"> {line}\n" for line in log.splitlines())
    pager = "sed 's/^/> /'"
    shown = at_terminal(daemon, "dmesg", lines=height, KMODCTL_PAGER=pager, PAGER="false")
    assert shown == paged
    assert at_terminal(daemon, "dmesg", lines=height, PAGER=pager) == paged
    assert at_terminal(daemon, "dmesg", lines=height + 1, PAGER=pager) == log
    for unpaged in ({"PAGER": "cat"}, {"PAGER": ""}, {"PAGER": "/nosuch"}, {"PAGER": "'"}):
        assert at_terminal(daemon, "dmesg", lines=height, **unpaged) == log
    assert at_terminal(daemon, "dmesg", "--no-pager", lines=height, PAGER=pager) == log
    assert at_terminal(daemon, "--no-pager", "dmesg", lines=height, PAGER=pager) == log
    assert daemon.kmodctl("dmesg").stdout == log


def test_a_pager_may_end_before_all_is_read(daemon: Daemon) -> None:
    first = daemon.kmodctl("dmesg").stdout.splitlines()[0]
    assert at_terminal(daemon, "dmesg", lines=2, PAGER="head -n 1") == f"{first}\n"


def test_less_shows_one_screen_and_starts_nothing(daemon: Daemon, tmp_path: Path) -> None:
    require("less", "what the usual pager does is tried with it")
    made = tmp_path / "made"
    screen, status = run_at_terminal(
        ["dmesg"],
        {"KMODD_SOCKET": str(daemon.socket)},
        lines=3,
        typed=f"!touch {made}\nqqqq".encode(),
    )
    assert status == 0
    assert "Linux version" in screen
    assert not made.exists()


@pytest.mark.parametrize("words", [("lsmod",), ("modinfo", "greet")])
def test_kmods_tools_print_as_kmod_does(daemon: Daemon, words: tuple[str, ...]) -> None:
    shown = at_terminal(daemon, *words, lines=2, PAGER="false")
    assert shown == daemon.kmodctl(*words).stdout


def test_a_check_shows_how_far_it_is_and_then_what_it_found(daemon: Daemon) -> None:
    shown = at_terminal(daemon, "check", "world")
    bars, end, found = shown.rpartition("\r\x1b[K")
    assert re.search(r"\[=* *\] \d+/\d+ runs, \d+/s", bars)
    assert end
    assert found.startswith("world: ")
