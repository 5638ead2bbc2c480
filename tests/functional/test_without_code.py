# SPDX-License-Identifier: Apache-2.0
"""A daemon that runs no module's code: without the extra 'emulator', and where it is told so."""

import json
import os
import pty
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodctl import CallError
from tests.support.daemon import Daemon, running_daemon
from tests.support.modules import SOURCES, module_tree
from tests.support.require import require_emulator
from tests.support.tree import ModuleTree

MISSING = "kmodd is installed without its extra 'emulator'"
SWITCHED_OFF = "kmodd was told not to run modules' code (--no-code, run_code)"

SOCKET = '[[socket]]\npath = "@/run/kmodd.sock"\n'


def environment_without(package: str, place: Path) -> str:
    """Make a Python environment that has what this one has, but for a package; return its Python.

    It is a real one, so that the kernel's own process, too, finds no such package.
    """
    venv.create(place, symlinks=True)
    (site,) = place.glob("lib/python*/site-packages")
    for directory in map(Path, sys.path):
        if directory.name in ("site-packages", "dist-packages") and directory.is_dir():
            for entry in directory.iterdir():
                if not entry.name.startswith(package) and not (site / entry.name).exists():
                    (site / entry.name).symlink_to(entry)
    return str(place / "bin" / "python")


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that is installed without the extra."""
    directory = tmp_path_factory.mktemp("without")
    python = environment_without("unicorn", directory / "venv")
    with running_daemon(module_tree(directory / "root").root, python=python) as daemon:
        yield daemon


@pytest.fixture(params=["option", "setting"])
def switched_off(request: pytest.FixtureRequest, modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon that was told not to run code."""
    words = ("--no-code",) if request.param == "option" else ()
    settings = "" if words else f"run_code = false\n{SOCKET}"
    with running_daemon(modules_root.root, *words, settings=settings) as daemon:
        yield daemon


def said(daemon: Daemon, *words: str) -> str:
    """Return what kmodctl prints where it succeeds."""
    done = daemon.kmodctl(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(daemon: Daemon, *words: str) -> str:
    """Return what kmodctl says where it fails."""
    done = daemon.kmodctl(*words)
    assert done.returncode == 1, done.stdout
    return done.stderr


def loaded(daemon: Daemon) -> list[str]:
    return [line.split()[0] for line in said(daemon, "lsmod").splitlines()[1:]]


def test_modules_come_and_go_by_all_roads(without: Daemon) -> None:
    said(without, "insmod", str(SOURCES / "hello.ko"))
    said(without, "modprobe", "world")
    assert loaded(without) == ["world", "greet", "hello"]
    assert "greet" in refused(without, "rmmod", "greet")
    said(without, "modprobe", "-r", "world")
    said(without, "rmmod", "hello")
    assert loaded(without) == []
    assert "license:" in said(without, "modinfo", "world")
    assert "Hello" not in said(without, "dmesg")


def test_that_init_has_not_run_and_why_is_said(without: Daemon) -> None:
    assert f"not run: {MISSING}" in said(without, "status")
    said(without, "modprobe", "greet")
    (module,) = json.loads(said(without, "--json", "lsmod"))
    assert (module["init_state"], module["why_not_run"]) == ("INIT_STATE_NOT_RUN", MISSING)
    assert f"not run: {MISSING}" in said(without, "status", "greet")
    said(without, "rmmod", "greet")


def on_terminal(daemon: Daemon, *words: str) -> str:
    """Return what kmodctl says where its standard error is a terminal."""
    ours, terminal = pty.openpty()
    command = [sys.executable, "-m", "kmodctl", "--socket", str(daemon.socket), *words]
    with open(ours, "rb", buffering=0) as screen:
        subprocess.run(command, stderr=terminal, check=True)
        os.write(terminal, b"$")  # there is something to read in any case
        os.close(terminal)
        return screen.read(4096).decode().removesuffix("$")


def test_the_first_load_at_a_terminal_says_that_init_is_not_run(without: Daemon) -> None:
    why = f"WARNING: modules are loaded, but their init is not run: {MISSING}\r\n"
    assert on_terminal(without, "modprobe", "world") == f"modprobe: {why}"
    assert on_terminal(without, "insmod", str(SOURCES / "hello.ko")) == ""
    said(without, "modprobe", "-r", "world")
    said(without, "rmmod", "hello")
    assert on_terminal(without, "insmod", str(SOURCES / "hello.ko")) == f"insmod: {why}"
    assert on_terminal(without, "rmmod", "hello") == ""


def test_a_device_is_refused_and_it_is_said_why(without: Daemon) -> None:
    assert MISSING in refused(without, "device", "add", "platform:kmodd-gadget")
    assert "kmodd-gadget.0" in refused(without, "device", "remove", "kmodd-gadget.0")
    assert said(without, "device", "list") == ""
    assert loaded(without) == []


def test_parameters_are_kept_and_files_are_those_of_the_kernel_itself(without: Daemon) -> None:
    said(without, "modprobe", "gadget", "refuses=5")
    assert said(without, "param", "gadget", "refuses") == "5\n"
    said(without, "param", "gadget", "refuses=6")
    assert "refuses=6  (int, can be set)" in said(without, "param", "gadget")
    assert said(without, "ls", "/sys/module/gadget/parameters") == "own\nrefuses\n"
    nothing = without.kmodctl("ls", "/dev")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert f"modules have made nothing: {MISSING}" in nothing.stderr
    said(without, "rmmod", "gadget")


def test_code_is_not_run_where_nobody_wants_it(switched_off: Daemon) -> None:
    with switched_off.client() as client:
        client.insert(SOURCES / "halfway.ko")  # whose init fails
        (module,) = client.list_modules()
        status = client.status()
        with pytest.raises(CallError) as failed:
            client.add_device("platform:kmodd-gadget")
    assert (status.runs_init, status.why_not_run) == (False, SWITCHED_OFF)
    assert (module.name, module.why_not_run) == ("halfway", SWITCHED_OFF)
    assert SWITCHED_OFF in str(failed.value)


def test_a_real_kernel_cannot_be_told_so(tmp_path: Path) -> None:
    socket = str(tmp_path / "run" / "kmodd.sock")
    words = ("serve", "--kernel", "linux", "--no-code", "--socket", socket)
    done = subprocess.run(
        [sys.executable, "-m", "kmodd", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "only an emulated one can do without" in done.stderr


def test_no_code_is_run_of_a_release_that_nobody_knows(modules_root: ModuleTree) -> None:
    require_emulator()
    modules_root.directory.rename(modules_root.directory.with_name("6.2.0-unknown"))
    with running_daemon(modules_root.root) as daemon:
        why = "nothing tells of the structures of 6.2.0-unknown: there is no image of its kernel"
        assert f"not run: {why}" in said(daemon, "status")
        said(daemon, "insmod", str(SOURCES / "halfway.ko"))  # whose init fails
        (module,) = json.loads(said(daemon, "--json", "lsmod"))
        assert (module["init_state"], module["why_not_run"]) == ("INIT_STATE_NOT_RUN", why)
        with daemon.client() as client:
            assert client.insert(SOURCES / "hello.ko").why_not_run == why
            with pytest.raises(CallError, match=why):
                client.add_device("platform:x")
        said(daemon, "rmmod", "halfway")
