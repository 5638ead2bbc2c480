# SPDX-License-Identifier: Apache-2.0
"""Settings of a daemon on the machine's kernel, which none but root could have written."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kmodd
from tests.support.daemon import START, wait_until
from tests.support.trusted import trusted_directory

STRANGER = 1000

PACKAGE = Path(kmodd.__file__).parent


@pytest.fixture
def place() -> Iterator[Path]:
    with trusted_directory() as directory:
        (directory / "root").mkdir()
        (directory / "kmodd.toml.d").mkdir()
        yield directory


def configure(place: Path, *names: str, first: str = "") -> None:
    sockets = (f'[[socket]]\npath = "{place}/{name}/s"\n' for name in names)
    (place / "kmodd.toml").write_text(first + "".join(sockets))


def chosen_on_the_command_line(place: Path) -> list[str]:
    configure(place, "admin")
    return ["--kernel", "linux"]


def chosen_in_the_file(place: Path) -> list[str]:
    configure(place, "admin", first='kernel = "linux"\n')
    return []


def started(place: Path, words: list[str]) -> "subprocess.Popen[bytes]":
    """Start a daemon; return once it listens, or has ended."""
    with (place / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                *(sys.executable, "-m", "kmodd", "serve", "--root", str(place / "root"), *words),
                *("--config", str(place / "kmodd.toml"), "--state", str(place / "state")),
            ],
            stderr=log,
        )
    wait_until(lambda: (place / "admin/s").exists() or daemon.poll() is not None)
    return daemon


def end(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.kill()
    daemon.wait()


def is_a_strangers(place: Path) -> None:
    os.chown(place / "kmodd.toml", STRANGER, STRANGER)


def has_a_strangers_drop_in(place: Path) -> None:
    (place / "kmodd.toml.d/a.toml").touch()
    os.chown(place / "kmodd.toml.d/a.toml", STRANGER, STRANGER)


def takes_drop_ins_of_others(place: Path) -> None:
    (place / "kmodd.toml.d").chmod(0o777)


@pytest.mark.parametrize("choose", [chosen_on_the_command_line, chosen_in_the_file])
@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (is_a_strangers, "kmodd.toml belongs to user 1000"),
        (has_a_strangers_drop_in, "kmodd.toml.d/a.toml belongs to user 1000"),
        (takes_drop_ins_of_others, "kmodd.toml.d may be written by others"),
    ],
)
def test_settings_that_others_could_have_written_are_refused_however_the_kernel_is_chosen(
    place: Path,
    choose: Callable[[Path], list[str]],
    spoil: Callable[[Path], None],
    named: str,
) -> None:
    words = choose(place)
    spoil(place)
    daemon = started(place, words)
    try:
        assert daemon.wait(START) == 1
    finally:
        end(daemon)
    assert f"refused: {place}/{named}" in (place / "log").read_text()


@pytest.mark.parametrize("choose", [chosen_on_the_command_line, chosen_in_the_file])
@pytest.mark.parametrize("spoil", [is_a_strangers, takes_drop_ins_of_others])
def test_sighup_takes_nothing_of_others_whatever_kernel_they_name(
    place: Path, choose: Callable[[Path], list[str]], spoil: Callable[[Path], None]
) -> None:
    daemon = started(place, choose(place))
    try:
        assert daemon.poll() is None, (place / "log").read_text()
        wait_until(lambda: "listening on" in (place / "log").read_text())
        configure(place, "admin", "theirs", first='kernel = "emulated"\n')
        spoil(place)
        daemon.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in (place / "log").read_text())
        assert "the settings stay as they are: refused: " in (place / "log").read_text()
        assert not (place / "theirs").exists()
    finally:
        end(daemon)


@pytest.mark.parametrize("module", ["daemon.py", "host/signals.py"])
def test_a_service_whose_own_files_are_not_roots_does_not_start(place: Path, module: str) -> None:
    configure(place, "admin")
    package = place / "kmodd"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    words = [sys.executable, "-m", "kmodd", "serve", "--root", str(place / "root")]
    words += ["--kernel", "linux", "--config", str(place / "kmodd.toml")]
    environment = {**os.environ, "PYTHONPATH": str(place), "NOTIFY_SOCKET": str(place / "notify")}
    os.chown(package / module, STRANGER, STRANGER)
    ran = subprocess.run(
        words,
        env=environment,
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=START,
    )
    said = f"refused: {package / module} belongs to user {STRANGER}, not to root"
    assert (ran.returncode, said in ran.stderr) == (1, True)
    del environment["NOTIFY_SOCKET"]  # root at a shell may run a checkout of his user's
    with subprocess.Popen(words, env=environment, cwd=place) as daemon:
        wait_until(lambda: (place / "admin/s").exists())
        end(daemon)
