# SPDX-License-Identifier: Apache-2.0
"""What /sbin/modprobe and kernel.modprobe lead to, in an installation that is whole or is not."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.release import build, install, moved
from tests.support.require import require
from tests.support.sources import PROJECT

STAND_IN = '#!/bin/sh\necho "real ${0##*/}: $*"\nexit 7\n'
"""A program that stands for a real tool of kmod's."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment, with links as kmodd-service(7) has them made."""
    place = tmp_path_factory.mktemp("whole")
    directory = install(build(PROJECT, place / "dist").wheel, place / "kmodd")
    for tool in ("modprobe", "modinfo"):
        (directory / "bin" / tool).symlink_to("kmodctl-or-kmod")
    return directory


@pytest.fixture
def installed(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    return moved(whole, tmp_path / "kmodd")


@pytest.fixture
def real(tmp_path: Path) -> Path:
    program = tmp_path / "real-kmod"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return program


def lose_packages(installed: Path) -> None:
    """Do what another Python does, which looks elsewhere for what was installed."""
    for packages in installed.glob("lib/python3*"):
        packages.rename(packages.with_name("python3.0"))


def lose_a_part(installed: Path) -> None:
    (commands,) = installed.glob("lib/python3*/site-packages/kmodctl/commands")
    shutil.rmtree(commands)


def lose_text(installed: Path) -> None:
    """Leave what a power failure leaves of a file that has just been written."""
    (file,) = installed.glob("lib/python3*/site-packages/kmodctl/parser.py")
    file.write_text("def main(")


def lose_interpreter(installed: Path) -> None:
    for python in (installed / "bin").glob("python*"):
        python.unlink()


LOSSES = (lose_packages, lose_a_part, lose_text, lose_interpreter)


def run(program: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program, *words],
        env={"PATH": "/sbin:/usr/sbin:/bin:/usr/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_link_is_kmodctl(installed: Path, daemon: Daemon, real: Path) -> None:
    told = {"KMODD_SOCKET": str(daemon.socket), "KMODD_REAL_KMOD": str(real)}
    loaded = run(installed / "bin/modprobe", "-v", "greet", **told)
    assert loaded.stdout.endswith("greet.ko \n"), loaded.stderr
    missed = run(installed / "bin/modprobe", "-q", "--", "no-such-alias", **told)
    assert (missed.stdout, missed.stderr, missed.returncode) == ("", "", 1)


def test_the_link_is_the_real_kmod_where_no_daemon_answers(installed: Path, real: Path) -> None:
    ran = run(installed / "bin/modprobe", "-q", "--", "fs-ext4", KMODD_REAL_KMOD=str(real))
    assert ran.returncode == 7, ran.stderr
    assert ran.stdout.endswith(": -q -- fs-ext4\n")


@pytest.mark.parametrize("lose", LOSSES)
def test_the_link_is_the_real_kmod_where_kmodctl_cannot_run(
    lose: Callable[[Path], None], installed: Path, real: Path
) -> None:
    lose(installed)
    ran = run(installed / "bin/modprobe", "-q", "--", "fs-ext4 x", KMODD_REAL_KMOD=str(real))
    assert (ran.stderr, ran.returncode) == ("", 7)
    assert ran.stdout.endswith(": -q -- fs-ext4 x\n")


def test_the_link_is_the_real_kmod_where_a_part_is_missed_later(
    installed: Path, daemon: Daemon, real: Path
) -> None:
    (part,) = installed.glob("lib/python3*/site-packages/kmodd/messages/module_service.py")
    part.unlink()
    told = {"KMODD_SOCKET": str(daemon.socket), "KMODD_REAL_KMOD": str(real)}
    ran = run(installed / "bin/modprobe", "greet", **told)
    assert (ran.stderr, ran.returncode) == ("", 7)
    assert ran.stdout.endswith(": greet\n")


def test_the_link_needs_no_grpc(installed: Path, daemon: Daemon) -> None:
    (needed,) = installed.glob("lib/python3*/site-packages/needed.pth")
    needed.unlink()
    ran = run(installed / "bin/modprobe", "-v", "greet", KMODD_SOCKET=str(daemon.socket))
    assert ran.stdout.endswith("greet.ko \n"), ran.stderr


@pytest.mark.parametrize("lose", LOSSES)
def test_the_machines_own_tool_is_found_without_being_told(
    lose: Callable[[Path], None], installed: Path
) -> None:
    require("modprobe", "the real tool is kmod's")
    lose(installed)
    for tool in ("modprobe", "modinfo"):
        ran = run(installed / "bin" / tool, "--version")
        assert (ran.stderr, ran.returncode) == ("", 0)
        assert ran.stdout.startswith("kmod version ")


@pytest.mark.parametrize("lose", LOSSES)
def test_a_tool_that_was_put_aside_is_called_by_its_own_name(
    lose: Callable[[Path], None], installed: Path, tmp_path: Path
) -> None:
    kmod = Path(os.path.realpath(require("modprobe", "the real tool is kmod's")))
    require(kmod.name == "kmod", "one program is all of kmod's tools")
    aside = tmp_path / "modprobe.distrib"
    aside.symlink_to(kmod)
    lose(installed)
    ran = run(installed / "bin/modprobe", "--version", KMODD_REAL_KMOD=str(aside))
    assert (ran.stderr, ran.returncode) == ("", 0)
    assert ran.stdout.startswith("kmod version ")


@pytest.mark.parametrize("lose", LOSSES)
def test_the_link_never_leads_to_itself(lose: Callable[[Path], None], installed: Path) -> None:
    lose(installed)
    for own in ("kmodctl-or-kmod", "modprobe", "kmodctl"):
        ran = run(installed / "bin/modprobe", "x", KMODD_REAL_KMOD=str(installed / "bin" / own))
        assert ran.returncode == 1
        assert ran.stderr.startswith("modprobe: kmodctl cannot start (")
        assert ran.stderr.endswith("), and the real modprobe is not found\n")


@pytest.mark.parametrize("lose", LOSSES)
def test_the_link_works_without_any_open_file_as_the_kernel_calls_it(
    lose: Callable[[Path], None], installed: Path, real: Path, tmp_path: Path
) -> None:
    lose(installed)
    real.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\nexit 7\n")
    script = 'exec "$0" "$@" <&- >&- 2>&-'
    command = ["/bin/sh", "-c", script, str(installed / "bin/modprobe"), "-q", "--", "fs-ext4"]
    environment = {"PATH": "/sbin:/usr/sbin:/bin:/usr/bin", "KMODD_REAL_KMOD": str(real)}
    assert subprocess.run(command, env=environment, check=False).returncode == 7
    assert (tmp_path / "called").exists()
