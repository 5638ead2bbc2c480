# SPDX-License-Identifier: Apache-2.0
"""A command of modprobe.d as it is run: its end, its outputs, and what it finds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.errors import Reason
from kmodd.namespace import Commands
from kmodd.namespace.commands import OUTPUT_MAX, TOOLS, CommandOutput
from kmodd.plan import Cause, CommandStep


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    made = Commands(tmp_path / "socket", allowed=True, limit=5.0)
    yield made
    made.close()


def run(commands: Commands, text: str, options: str = "") -> CommandOutput:
    step = CommandStep("greet", "install", text, options, Cause.NAMED, required=True)
    return commands.run(step, "the-token", "-q")


def test_a_commands_environment_tells_it_all_that_it_may_know(
    commands: Commands, tmp_path: Path
) -> None:
    names = "MODPROBE_MODULE CMDLINE_OPTS MODPROBE_OPTIONS KMODD_SOCKET KMODD_TOKEN"
    result = run(commands, f'for n in {names}; do eval "echo \\$$n"; done; pwd', "a=1 b='2 3'")
    assert result.output.decode().splitlines() == [
        *("greet", "a=1 b='2 3'", "-q"),
        *(str(tmp_path / "socket"), "the-token", "/"),
    ]
    assert (result.status, result.failure) == (0, None)


@pytest.mark.parametrize("tool", TOOLS)
def test_kmods_tools_are_kmodctl_to_a_command(commands: Commands, tool: str) -> None:
    result = run(commands, f"{tool} --version")
    assert b"as kmod version" in result.output, result.error_output


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("exit 3", 3, "the install command of greet ended with status 3"),
        ("kill -9 $$", -9, "the install command of greet was ended by signal 9"),
        ("no-such-program", 127, "the install command of greet ended with status 127"),
    ],
)
def test_a_command_fails_by_its_status(
    commands: Commands, text: str, status: int, message: str
) -> None:
    result = run(commands, text)
    assert result.failure is not None
    assert (result.status, result.failure.message) == (status, message)
    assert (result.failure.reason, result.failure.detail) == (Reason.COMMAND_FAILED, text)


def test_outputs_are_cut_and_kept_apart(commands: Commands) -> None:
    result = run(commands, "yes | head -c 1000000; echo wrong >&2")
    assert result.output == (b"y\n" * OUTPUT_MAX)[:OUTPUT_MAX]
    assert result.error_output == b"wrong\n"


def test_more_than_a_process_can_be_given_is_a_failure_of_the_command(commands: Commands) -> None:
    result = run(commands, "true", "x" * (4 << 20))
    assert result.failure is not None
    assert result.failure.reason is Reason.COMMAND_FAILED
    assert "Argument list too long" in result.failure.message


def test_the_tools_go_when_no_commands_are_run_any_more(tmp_path: Path) -> None:
    commands = Commands(tmp_path / "socket", allowed=True, limit=5.0)
    tool = run(commands, "command -v modprobe").output.decode().strip()
    assert Path(tool).exists()
    commands.close()
    assert not Path(tool).parent.exists()
