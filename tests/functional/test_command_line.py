# SPDX-License-Identifier: Apache-2.0
"""The command line that the emulated kernel is booted with."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodctl import CallError, Client
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.modules import SOURCES
from tests.support.tree import ModuleTree

TEXT = (
    'module_blacklist=hello,noexit greet.times=3 "greet.whom=all of you" modprobe.blacklist=world'
)
SAID = f"Command line: {TEXT}"


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon whose kernel has the command line, and an alias that it blacklists."""
    aliases = modules_root.root / "etc/modprobe.d/test.conf"
    aliases.parent.mkdir(parents=True)
    aliases.write_text("alias planet world\n")
    with running_daemon(modules_root.root, "--kernel-command-line", TEXT) as running:
        yield running


def check(client: Client) -> None:
    """See that the kernel and modprobe go by the command line."""
    lines = [record.text for record in client.read_log()]
    assert lines[-1] == SAID
    for load in (lambda: client.load("hello"), lambda: client.insert(SOURCES / "hello.ko")):
        with pytest.raises(CallError) as refused:
            load()
        assert refused.value.errno == errno.EPERM
        assert refused.value.log_lines == ("Module hello is blacklisted",)
    assert client.load("planet")[0].steps == []
    client.load("greet")
    values = {each.name: each.value for each in client.get_parameters("greet")}
    assert (values["times"], values["whom"]) == ("3", "all of you")


def test_the_kernel_and_modprobe_go_by_it(daemon: Daemon) -> None:
    with daemon.client() as client:
        check(client)


def test_a_panic_does_not_change_it(daemon: Daemon) -> None:
    with daemon.client() as client:
        os.kill(daemon.kernel_pid(), signal.SIGKILL)
        wait_until(lambda: sum(record.text == SAID for record in client.read_log()) == 2)
        check(client)


def test_signatures_can_be_enforced(modules_root: ModuleTree) -> None:
    with (
        running_daemon(modules_root.root, "--kernel-command-line", "module.sig_enforce") as daemon,
        daemon.client() as client,
        pytest.raises(CallError) as refused,
    ):
        client.load("greet")
    assert refused.value.errno == errno.EKEYREJECTED
    assert refused.value.log_lines == ("Loading of unsigned module is rejected",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kernel-command-line", "x" * 4097], "is one line of at most 4096 bytes"),
        (["--kernel-command-line", "a\nb"], "is one line of at most 4096 bytes"),
        (["--kernel", "linux", "--kernel-command-line", "a"], "the running kernel has its"),
    ],
)
def test_what_cannot_be_is_said_at_the_start(
    words: list[str], message: str, modules_root: ModuleTree, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "kmodd", "run", "--root", str(modules_root.root), *words]
    answer = subprocess.run(
        [*command, "--", "touch", str(tmp_path / "ran")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0
    assert message in answer.stderr
    assert not (tmp_path / "ran").exists()
