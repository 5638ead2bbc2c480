# SPDX-License-Identifier: Apache-2.0
"""'kmodctl top': what it shows, what it does after a question, and what it does not let through."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input

from kmodctl.commands.top import run
from kmodctl.output import Output
from kmodctl.parser import CommandOptions
from kmodctl.top.app import Top
from kmodctl.top.questions import AskedLine, Question
from kmodctl.top.table import LoadedTable
from kmodd.messages.daemon_service import GetStatusResponse, WhoAmIResponse
from kmodd.messages.kernel_log_service import LogRecord
from kmodd.messages.module_service import Module
from tests.support.daemon import START, Daemon, running_daemon, wait_until
from tests.support.here import run_here
from tests.support.terminal import run_at_terminal
from tests.support.tree import ModuleTree

SETTINGS = """
[[socket]]
path = "@/admin/s"
role = "admin"

[[socket]]
path = "@/loader/s"
role = "loader"
allow = ["hell*"]

[[socket]]
path = "@/observer/s"
role = "observer"
"""

HOSTILE = "a[red]b[/]\x1b[31m\x1b]0;x\x07\u202e\n[@click=app.exit]c"
"""What rich and textual call markup, what a terminal obeys, and what turns letters round."""

ESCAPED = r"a[red]b[/]\x1b[31m\x1b]0;x\x07\u202e\x0a[@click=app.exit]c"

Story = Callable[["Seen"], Awaitable[None]]


class Seen:
    """A view that is looked at, and its keys."""

    def __init__(self, app: Top, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    @property
    def screen(self) -> str:
        """All that the screen shows."""
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    @property
    def footer(self) -> str:
        return self.screen.splitlines()[-1]

    @property
    def names(self) -> list[str]:
        """The modules of the table."""
        table = self.app.screen_stack[0].query_one(LoadedTable)
        return [str(table.get_row_at(at)[0]) for at in range(table.row_count)]

    async def press(self, *keys: str) -> None:
        """Press keys as a terminal sends them: at once, whatever the view is at."""
        for key in keys:
            character = {"slash": "/"}.get(key, key if len(key) == 1 else None)
            self.app.post_message(Key(key, character))
        await self._pilot.pause(0.02)

    async def click(self, what: str) -> None:
        await self._pilot.click(what)

    async def type(self, text: str) -> None:
        """Have a line in the field that asks for one."""
        self.app.screen.query_one(Input).value = text
        await self.press("enter")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds."""
        for _ in range(int(START * 20)):
            if condition():
                return
            await self._pilot.pause(0.05)
        raise AssertionError(f"waited in vain for it:\n{self.screen}")

    async def until_shown(self, text: str) -> None:
        await self.until(lambda: text in self.screen)

    async def until_asked(self, *texts: str) -> None:
        """Wait for a question that says all of these."""
        await self.until(lambda: isinstance(self.app.screen, (AskedLine, Question)))
        await self.until(lambda: self.app.focused is not None)
        for text in texts:
            await self.until_shown(text)

    async def press_until_asked(self, key: str) -> None:
        """Press a key until that leads to a question."""
        await self.until(lambda: bool(self.names))
        while not isinstance(self.app.screen, Question):
            await self.press(key)
            await self._pilot.pause(0.5)

    async def agree(self, key: str = "y") -> None:
        await self.press(key)
        await self.until(lambda: len(self.app.screen_stack) == 1)


def look(socket: Path, story: Story, size: tuple[int, int] = (200, 60)) -> None:
    """Run a view of the daemon on ``socket`` while the story goes on."""

    async def looked() -> None:
        app = Top(str(socket))
        async with app.run_test(size=size) as pilot:
            await story(Seen(app, pilot))

    asyncio.run(looked())


def beside(daemon: Daemon, role: str) -> Path:
    """Return a daemon's socket for another role."""
    return daemon.socket.parents[1] / role / "s"


def test_an_admin_does_all_there_is_to_do_after_a_question(daemon: Daemon) -> None:
    async def story(seen: Seen) -> None:
        await seen.until_shown("admin")
        await seen.press("l")
        await seen.until_asked("Load which module?")
        await seen.type("nosuch")
        await seen.until_shown("FATAL: Module nosuch not found in directory")
        await seen.press("l")
        await seen.until_asked("Load which module?")
        await seen.type("world")
        await seen.until_asked("Load world?", "insmod extra/greet.ko", "insmod extra/world.ko")
        assert seen.names == []
        await seen.agree("n")
        await seen.press("l")
        await seen.until_asked("Load which module?")
        await seen.type("world")
        await seen.until_asked("Load world?")
        await seen.agree()
        await seen.until(lambda: seen.names == ["world", "greet"])
        await seen.until_shown("load world, for admin")  # among the events

        await seen.press("slash", "g", "R", "e")
        await seen.until(lambda: seen.names == ["greet"])
        await seen.press("enter")
        await seen.until_shown("description: A greeting with parameters")
        await seen.until_shown("parameter: times=1 (int) How many times")
        await seen.until_shown("used by: world")

        await seen.press("u")
        await seen.until_shown("FATAL: Module greet is in use.")
        await seen.press("p")
        await seen.until_asked("Set which parameter of greet?", "as NAME=VALUE: loud=N times=1")
        await seen.type("times=x")
        await seen.until_asked("Set times of greet to 'x'?", "it is 1")
        await seen.agree()
        await seen.until_shown("ERROR: ")
        await seen.press("p")
        await seen.until_asked("Set which parameter of greet?")
        await seen.type("times=3")
        await seen.until_asked("Set times of greet to '3'?")
        await seen.agree()
        await seen.until_shown("parameter: times=3 (int)")

        await seen.press("h")
        await seen.until_asked("Hold greet until kmodctl top ends?")
        await seen.agree()
        await seen.until_shown("held by: ")
        assert "kmodctl top" in daemon.kmodctl("hold", "--list").stdout
        await seen.press("q")
        await seen.until_asked("Quit?", "lets go of greet")
        await seen.click("#no")
        await seen.press("r")
        await seen.until_shown("ERROR: greet stayed: ")
        await seen.press("h")
        await seen.until_asked("Let go of greet?")
        await seen.click("#yes")
        await seen.until(lambda: daemon.kmodctl("hold", "--list").stdout == "")
        await seen.press_until_asked("h")
        await seen.agree()
        daemon.kmodctl("hold", "--end", "2")
        await seen.until_shown("WARNING: the hold of greet is lost: ")

        with daemon.client() as other, other.hold("greet", note="another's") as held:
            await seen.until(lambda: "e End" in seen.footer)
            await seen.press("e")
            await seen.until_asked("End these holds of others?", "another's")
            await seen.agree()
            await asyncio.to_thread(held.lost.wait, START)
            assert held.lost.is_set()

        await seen.press("escape")
        await seen.until(lambda: seen.names == ["world", "greet"])
        await seen.press("s")
        await seen.until(lambda: seen.names == ["greet", "world"])
        await seen.press("r")
        await seen.until_asked("Reload greet?", "rmmod world", "insmod extra/greet.ko")
        await seen.agree()
        await seen.until_shown("reload greet, for admin")
        await seen.press("slash", "w", "o", "r", "enter")
        await seen.press_until_asked("u")  # the modules are listed anew meanwhile
        await seen.until_asked("Unload world?", "rmmod world", "rmmod greet")
        await seen.agree()
        await seen.until(lambda: seen.names == [])
        await seen.press("q")

    look(daemon.socket, story)


def test_others_are_offered_what_they_may_do(modules_root: ModuleTree) -> None:
    with running_daemon(modules_root.root, place="admin/s", settings=SETTINGS) as daemon:
        daemon.kmodctl("modprobe", "world")
        daemon.kmodctl("modprobe", "hello")

        async def observe(seen: Seen) -> None:
            await seen.until(lambda: seen.names == ["hello", "world", "greet"])
            await seen.until_shown("filename: ")
            await seen.press("l", "u", "h", "e", "r", "p", "s")
            await seen.until_shown("by name")
            assert len(seen.app.screen_stack) == 1
            await seen.until(
                lambda: (
                    seen.footer.split() == ["/", "Filter", "s", "Sort", "d", "Details", "q", "Quit"]
                )
            )
            await seen.until_shown("operation 1: load world")
            assert "for admin" not in seen.screen

        look(beside(daemon, "observer"), observe)

        async def load(seen: Seen) -> None:
            await seen.until(lambda: seen.names == ["hello", "world", "greet"])
            await seen.until(lambda: "l Load u Unload h Hold r Reload s Sort" in seen.footer)
            await seen.press("u")
            await seen.until_shown("ERROR: could not remove 'hello': ")
            await seen.press("down")
            await seen.until(lambda: "l Load s Sort" in seen.footer)
            await seen.press("u", "h", "r", "s")
            await seen.until_shown("by name")
            assert len(seen.app.screen_stack) == 1

        look(beside(daemon, "loader"), load, (80, 24))


def test_a_message_after_the_last_screen_ends_nothing(daemon: Daemon) -> None:
    async def looked() -> None:
        app = Top(str(daemon.socket))
        async with app.run_test():
            assert app.screen_stack
        assert not app.screen_stack
        app.refresh_bindings()  # as the table's handler does

    asyncio.run(looked())


def test_a_daemon_that_goes_is_told_and_the_next_one_found(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    place = str(tmp_path / "run" / "s")

    async def story(seen: Seen) -> None:
        with running_daemon(modules_root.root, place=place) as first:
            first.kmodctl("modprobe", "world")
            await seen.until(lambda: seen.names == ["world", "greet"])
            await seen.press("h")
            await seen.until_asked("Hold world")
            await seen.agree()
            await seen.until_shown("hold world, for admin")
            first.process.kill()
            await seen.until_shown("the daemon has gone; waiting")
            await seen.press("u", "d")
            await seen.until_shown("| ")
            assert len(seen.app.screen_stack) == 1
            await asyncio.to_thread(first.process.wait)
        with running_daemon(modules_root.root, place=place) as second:
            await seen.until_shown("the daemon is there again")
            listing = partial(second.kmodctl, "hold", "--list")
            await asyncio.to_thread(wait_until, lambda: "world" in listing().stdout)
            await seen.until(lambda: seen.names == ["world", "greet"])
            assert "waiting" not in seen.screen.splitlines()[0]

    look(Path(place), story, (80, 24))


def test_what_strangers_chose_is_shown_as_it_is_written(tmp_path: Path) -> None:
    async def story(seen: Seen) -> None:
        app = seen.app
        app.arrived(WhoAmIResponse(), GetStatusResponse(version=HOSTILE, release=HOSTILE))
        app.listed([Module(name=HOSTILE, holders=[HOSTILE])], [])
        app.logged(LogRecord(text=HOSTILE))
        app.say([f"ERROR: {HOSTILE}"])
        await seen.until_shown(f"] {ESCAPED}")
        await seen.until_shown(f"ERROR: {ESCAPED}")
        app.push_screen(Question(HOSTILE, [HOSTILE]))
        await seen.until(lambda: seen.screen.count(ESCAPED) > 3)
        await seen.agree("n")
        app.push_screen(AskedLine(HOSTILE, HOSTILE, [HOSTILE]))
        await seen.until_asked(ESCAPED)
        await seen.press("a")
        await seen.press("escape")
        await seen.until(lambda: len(app.screen_stack) == 1)
        assert seen.names[0].startswith(ESCAPED[:20])
        assert not set("\x1b\x07\u202e") & set(seen.screen)
        assert app.is_running

    look(tmp_path / "nobody", story, (250, 40))


def test_at_a_terminal_it_has_sixteen_colours_or_none(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "world")
    for environment, colours in (({}, True), ({"NO_COLOR": "1"}, False)):
        screen, status = run_at_terminal(
            ["top"],
            {"KMODD_SOCKET": str(daemon.socket), **environment},
            typed=b"dq",
            awaited=b"greet",
        )
        assert status == 0, screen
        assert "\x1b[?1049h" in screen
        assert "\x1b[?1049l" in screen
        assert "Details" in screen
        codes = {
            code for each in re.findall(r"\x1b\[([0-9;]+)m", screen) for code in each.split(";")
        }
        assert not codes & {"38", "48"}
        assert any(re.fullmatch("[349][0-7]", code) for code in codes) == colours


def test_what_it_needs_is_said_in_a_line(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = run_here(daemon.socket, "top")
    assert alone == replace(alone, status=1, errors="kmodctl top: ERROR: top needs a terminal.\n")
    assert "has no JSON" in run_here(daemon.socket, "--json", "top").errors
    with patch.dict(sys.modules, textual=None):
        assert run(CommandOptions(socket=None), None, Output("kmodctl top")) == 1  # type: ignore[arg-type]
    said = "ERROR: top needs textual; install it with: pip install 'kmodd[tui]'"
    assert capsys.readouterr().err == f"kmodctl top: {said}\n"
    screen, status = run_at_terminal(["top"], {"KMODD_SOCKET": "/nowhere/s"})
    assert (status, screen.count("\n")) == (1, 1)
    assert screen.startswith("kmodctl top: no daemon answers on /nowhere/s")
