# SPDX-License-Identifier: Apache-2.0
"""The manual pages and the completion are those of the parsers, and can be used."""

import subprocess
import sys
from pathlib import Path

import pytest

from kmodctl.cli import command_parser
from kmodctl.commands import COMMANDS, command_module, description, summary
from kmodd.settings import Settings
from kmodd.settings.toml import read_settings
from tests.support.require import require

SHARE = Path(__file__).parents[2] / "kmodctl" / "share"


def test_what_is_checked_in_is_what_the_parsers_generate(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SHARE / "generate.py"), str(tmp_path)], check=True)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.*")}
    made |= {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("_*")}
    assert len(made) == 5
    for path, text in made.items():
        assert (SHARE / path).read_text() == text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_is_and_what_each_option_does(name: str) -> None:
    command = command_module(name)
    assert (command.__doc__ or "").startswith(f"{name}: ")
    assert summary(command)
    assert description(command)
    for action in command_parser(name).options():
        assert action.help, action.option_strings


def completed(*words: str) -> list[str]:
    """What bash offers for the last of these words."""
    bash = require("bash", "the completion is for bash")
    script = (
        f"source '{SHARE}/completions/kmodctl.bash'; COMP_WORDS=(\"$@\"); "
        "COMP_CWORD=$(($# - 1)); _kmodctl; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    ran = subprocess.run(
        [bash, "-c", script, "bash", *words], capture_output=True, text=True, check=True
    )
    return ran.stdout.split()


def test_bash_completes_commands_and_options_of_each() -> None:
    assert completed("kmodctl", "mod") == ["modprobe", "modinfo"]
    assert "--kmod-exact" in completed("kmodctl", "--")
    assert completed("kmodctl", "--socket", "x", "--json", "lsm") == ["lsmod"]
    assert completed("kmodctl", "modprobe", "--show-e") == ["--show-exports"]
    assert "--set-version" in completed("kmodctl", "--timeout", "3", "modinfo", "--")


def test_bash_completes_files(tmp_path: Path) -> None:
    (tmp_path / "some.ko").touch()
    assert completed("kmodctl", "insmod", f"{tmp_path}/so") == [f"{tmp_path}/some.ko"]


def test_the_example_of_the_settings_is_right(tmp_path: Path) -> None:
    page = (SHARE / "man/kmodd.toml.5").read_text()
    example = page.partition(".SH EXAMPLE\n.nf\n")[2].partition(".fi")[0]
    file = tmp_path / "kmodd.toml"
    file.write_text(example.replace("\\&", "").replace("\\-", "-"))
    roles = [each.role for each in read_settings(file, Settings()).sockets]
    assert roles == ["admin", "observer", "loader"]
