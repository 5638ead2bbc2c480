# SPDX-License-Identifier: Apache-2.0
"""A command of modprobe.d as it is run: its end, its outputs, and what it finds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kmodd
from kmodd.errors import Reason
from kmodd.namespace import Commands
from kmodd.namespace.command_process import OUTPUT_MAX
from kmodd.namespace.commands import CommandOutput
from kmodd.namespace.own_mounts import DIRECTORIES, TOOLS
from kmodd.namespace.tool_paths import named_paths
from kmodd.plan import Cause, CommandStep
from tests.support.require import require


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path / "socket", allowed=True, limit=20.0)


@pytest.fixture
def _own_mounts() -> None:
    """A command can have mounts of its own."""
    unshare = require("unshare", "whether mount namespaces are allowed is tried with unshare")
    user = [] if os.geteuid() == 0 else ["--map-current-user"]
    tried = subprocess.run([unshare, *user, "--mount", "true"], check=False)
    require(tried.returncode == 0, "mount namespaces are not allowed here")


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


@pytest.mark.usefixtures("_own_mounts")
def test_kmods_tools_are_kmodctl_by_each_of_their_usual_paths(commands: Commands) -> None:
    paths = [f"{directory}/{tool}" for directory in DIRECTORIES for tool in TOOLS]
    there = [path for path in paths if Path(path).parent.is_dir()]
    result = run(commands, "; ".join(f"'{path}' --version" for path in there))
    assert result.error_output == b""
    assert result.output.count(b"(as kmod version") == len(there)


@pytest.mark.usefixtures("_own_mounts")
@pytest.mark.parametrize(
    "text",
    [
        "command -p rmmod --version",
        "PATH=/usr/local/sbin:/usr/sbin:/sbin rmmod --version",
        "cd /sbin && ./rmmod --version",
        "sh -c 'x=rm; /usr/sbin/${x}mod --version'",
        "echo --version | xargs /sbin/rmmod",
        "test -x /sbin/rmmod && /sbin/rmmod --version",
        "(/bin/kmod --version)",
        "/bin/kmod -h",
        "kmod -h",
    ],
)
def test_no_way_leads_a_command_to_the_machines_own_tools(commands: Commands, text: str) -> None:
    require("rmmod", "what is covered is kmod's")
    result = run(commands, text)
    assert b"kmodctl" in result.output, result.error_output


@pytest.mark.usefixtures("_own_mounts")
@pytest.mark.parametrize("text", ["env -i /sbin/rmmod greet", "env -u KMODD_TOKEN lsmod"])
def test_without_what_a_command_is_told_its_tools_do_nothing(commands: Commands, text: str) -> None:
    result = run(commands, text)
    assert result.failure is not None
    assert b"KMODD_" in result.error_output


@pytest.mark.usefixtures("_own_mounts")
def test_a_program_that_is_many_tools_is_covered_only_where_it_is_one_of_kmods(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tmp_path / "many"
    many.write_text("#!/bin/sh\necho many\n")
    many.chmod(0o755)
    (tmp_path / "rmmod").symlink_to("many")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    result = run(commands, f"many; {tmp_path}/rmmod --version")
    assert re.fullmatch(rb"many\nkmodctl .*\n", result.output), result.error_output


@pytest.mark.usefixtures("_own_mounts")
def test_a_commands_mounts_are_seen_by_nobody_else(commands: Commands) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    text = "readlink /proc/self/ns/mnt; cat /proc/$PPID/mountinfo; /usr/bin/modprobe --version >&2"
    result = run(commands, text)
    namespace, _, outside = result.output.decode().partition("\n")
    assert namespace != os.readlink("/proc/self/ns/mnt")
    assert outside == before
    assert b"kmodctl" in result.error_output


SHARING = """
import os, sys
sys.path[:0] = os.environ["PYTHONPATH"].split(":")
from kmodd.namespace.command_process import run_with_own_mounts
before = open("/proc/self/mountinfo").read()
ended = run_with_own_mounts("cat /proc/$PPID/mountinfo", os.environ, 20.0)
print(before.count("shared:") > 0, ended.output.decode() == before)
"""


@pytest.mark.usefixtures("_own_mounts")
def test_where_mounts_are_shared_a_commands_still_are_not() -> None:
    ran = subprocess.run(
        [
            *("unshare", "--map-root-user", "--mount", "--propagation", "shared"),
            *(sys.executable, "-c", SHARING),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(kmodd.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "True True\n", ran.stderr


def test_what_a_command_leaves_running_may_go_on_writing(commands: Commands) -> None:
    begun = "until read name </proc/$!/comm && [ $name = yes ]; do :; done"
    result = run(commands, f"yes & {begun}; echo $! >&2")
    process = int(result.error_output)
    try:
        assert result.failure is None
        assert len(result.output) <= OUTPUT_MAX
        assert Path(f"/proc/{process}/comm").read_text() == "yes\n"
    finally:
        os.kill(process, 9)


def test_what_was_written_before_the_end_is_told_though_others_may_go_on(
    commands: Commands,
) -> None:
    result = run(commands, "sleep 300 & echo $! >&2; head -c 60000 /dev/zero")
    os.kill(int(result.error_output), 9)
    assert result.output == bytes(60000)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/sbin/modprobe -i x $CMDLINE_OPTS", ["/sbin/modprobe"]),
        ('{ true;/usr/sbin/rmmod x&&"/bin/lsmod";}', ["/usr/sbin/rmmod", "/bin/lsmod"]),
        ("(/usr/local/bin/insmod x)|'/bin/kmod'", ["/usr/local/bin/insmod", "/bin/kmod"]),
        ("X=/sbin/depmod; $X; /sbin/depmod", ["/sbin/depmod"]),
        ("//usr/.//bin//modinfo x", ["/usr/bin/modinfo"]),
        ("modprobe x; /opt/sbin/modprobe; /chroot/sbin/modprobe; /sbin/modprobe.old", []),
        ("cat /etc/sbin/rmmod ./sbin/rmmod /sbin/rmmods", []),
    ],
)
def test_a_commands_text_tells_which_paths_it_names(text: str, paths: list[str]) -> None:
    assert named_paths(text) == tuple(paths)
