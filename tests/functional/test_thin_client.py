# SPDX-License-Identifier: Apache-2.0
"""What the commands' own client imports on each road, and what a hostile daemon comes to."""

import subprocess
import sys
from pathlib import Path

import grpc
import pytest

import kmodctl as package
from tests.support.daemon import Daemon, kmodctl
from tests.support.http2 import Kind, frame
from tests.support.modules import module_tree
from tests.support.scripted_server import (
    SETTINGS,
    Script,
    answer,
    data,
    headers,
    message,
    says,
    scripted_server,
    trailers,
)
from tests.support.tree import ModuleTree

PACKAGES = Path(package.__file__).parents[1]

SITE = Path(grpc.__file__).parents[1]

CALL = {"_socket", "errno", "gc", "itertools", "stat", "_stat", "time"}
"""What is written in C, or is there when the interpreter has started."""

FILES = CALL | {"__future__", "_collections", "_struct", "mmap", "struct"}


def brought(socket: str, *words: str) -> tuple[int, set[str]]:
    """Run a command in an interpreter with os and no site; return its status and new modules.

    Those of kmodctl and kmodd are left out.
    """
    script = (
        f"import os, sys\nsys.path[:0] = [{str(PACKAGES)!r}, {str(SITE)!r}]\n"
        "before = set(sys.modules)\n"
        f"from kmodctl.cli import main\nstatus = main(['--socket', {socket!r}, *{words!r}])\n"
        "print(status, *(set(sys.modules) - before), file=sys.stderr)"
    )
    command = [sys.executable, "-I", "-S", "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    status, *modules = ran.stderr.splitlines()[-1].split()
    ours = ("kmodctl", "kmodd")
    return int(status), {name for name in modules if name.partition(".")[0] not in ours}


def test_a_call_imports_nothing_that_costs(daemon: Daemon, modules_root: ModuleTree) -> None:
    file = str(modules_root.directory / "extra/hello.ko")
    for words in (
        ("modprobe", "world"),
        ("modprobe", "-q", "--", "kmodd-test:thing"),
        ("modprobe", "-D", "world"),
        ("modprobe", "-n", "-v", "world"),
        ("modprobe", "-R", "front-door"),
        ("modprobe", "-c"),
        ("lsmod",),
        ("modinfo", "world"),
        ("insmod", file),
        ("rmmod", "-w", "1500", "hello"),
        ("modprobe", "-r", "world"),
        ("depmod",),
        ("status",),
        ("param", "facade"),
        ("operations",),
        ("dmesg",),
        ("tree", "world"),
        ("hold", "--list"),
    ):
        status, modules = brought(str(daemon.socket), *words)
        assert (words, status) == (words, 0)
        assert (words, modules - CALL) == (words, set())


def test_a_question_about_files_imports_little(tmp_path: Path) -> None:
    tree = module_tree(tmp_path / "root")
    assert kmodctl("depmod", "-b", str(tree.root), tree.release).returncode == 0
    place = ("-d", str(tree.root), "-S", tree.release)
    for words in (
        ("modprobe", *place, "-D", "world"),
        ("modprobe", *place, "-R", "front-door"),
        ("modprobe", *place, "-c"),
        ("modinfo", "-b", str(tree.root), "-k", tree.release, "world"),
        ("modinfo", str(tree.directory / "extra/world.ko")),
    ):
        status, modules = brought("/nowhere/s", *words)
        assert (words, status) == (words, 0)
        assert (words, modules - FILES) == (words, set())


def test_only_what_stays_open_beside_other_things_brings_grpc(daemon: Daemon) -> None:
    for words, is_brought in ((("hold", "-l"), False), (("hold", "hello", "--", "true"), True)):
        status, modules = brought(str(daemon.socket), *words)
        assert (status, "grpc" in modules) == (0, is_brought)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (says(b"\xff" * 400), "kmodctl: no daemon answers on "),
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "kmodctl: no daemon answers on "),
        (says(b""), "kmodctl: no daemon answers on "),
        (says(SETTINGS, b"\0\0"), "kmodctl: no daemon answers on "),
        (says(SETTINGS, headers(), data(message(b"\x0a\xff\xff\xff\x0f"))), "lsmod: ERROR: "),
        (says(SETTINGS, answer(b"\x0a\x06\x0a")), "lsmod: ERROR: "),
        (says(SETTINGS, answer(b"", b"")), "lsmod: ERROR: "),
        (says(SETTINGS, headers(), trailers(("grpc-status", "13"))), "lsmod: ERROR: "),
        (says(SETTINGS, frame(Kind.DATA, b"x" * 20000, 1)), "lsmod: ERROR: "),
        (says(SETTINGS, *[frame(Kind.PING, bytes(8), 0)] * 5000), "lsmod: ERROR: "),
    ],
)
def test_a_hostile_daemon_ends_in_one_clear_line(tmp_path: Path, script: Script, said: str) -> None:
    with scripted_server(tmp_path / "s", script):
        told = kmodctl("--socket", str(tmp_path / "s"), "--timeout", "20", "lsmod")
    assert (told.stdout, told.returncode) == ("", 1)
    assert told.stderr.startswith(said)
    assert told.stderr.count("\n") == 1
