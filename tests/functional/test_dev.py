# SPDX-License-Identifier: Apache-2.0
"""'kmodctl dev': a save is built, the old module goes, the new one comes, and its log is shown.

What stands in for a kernel's headers here is a Makefile that copies modules which are built
already, by the names in the sources: make, the editor's saves, the daemon and its kernel are real.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import kmodctl
from kmodctl.dev.sources import is_source
from tests.support.daemon import START, Daemon, running_daemon, wait_until
from tests.support.here import Ran, run_here
from tests.support.modules import SOURCES, checked_in_release, module_tree
from tests.support.require import require, require_emulator

require_emulator()
require("make", "building modules needs make")

SCHEMA = Path(kmodctl.__file__).parent / "share/schemas/dev.json"
VALID = Draft202012Validator(json.loads(SCHEMA.read_text()))

MAKEFILE = f"""\
all:
	@cd "$(M)" && all=$$(cat *.c) && echo . >> runs && : > modules.order && for each in $$all; do \\
	case $$each in \\
	wait) while [ ! -e go ]; do sleep 0.01; done ;; \\
	*) cp {SOURCES}/$$each.ko . && echo "$(M)/$$each.o" >> modules.order ;; \\
	esac || exit 1; done
"""
"""Builds each module that a source names; "wait" waits for the file "go"."""


@pytest.fixture(name="daemon", scope="module")
def one_daemon_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Each test leaves it as it was, with nothing loaded."""
    root = tmp_path_factory.mktemp("root")
    module_tree(root)
    with running_daemon(root) as running:
        yield running


@pytest.fixture(name="headers")
def stand_in_for_headers(tmp_path: Path) -> Path:
    place = tmp_path / "headers"
    (place / "include/generated").mkdir(parents=True)
    release = f'#define UTS_RELEASE "{checked_in_release()}"\n'
    (place / "include/generated/utsrelease.h").write_text(release)
    (place / "Makefile").write_text(MAKEFILE)
    return place


@pytest.fixture(name="sources")
def a_directory_of_sources(tmp_path: Path) -> Path:
    place = tmp_path / "sources"
    place.mkdir()
    (place / "Kbuild").touch()
    return place


class Running:
    """kmodctl dev in a process of its own, and what it has told."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: SimpleQueue[str | None] = SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def until(self, event: str) -> list[dict[str, Any]]:
        """Return what is told up to the next such event."""
        told = []
        while (line := self.lines.get(timeout=START)) is not None:
            told.append(json.loads(line))
            assert not list(VALID.iter_errors(told[-1])), line
            if told[-1]["event"] == event:
                break
        return told

    def end(self, number: signal.Signals = signal.SIGINT) -> list[dict[str, Any]]:
        """Send a signal that ends it, and return what it still tells."""
        self.process.send_signal(number)
        told = self.until("")
        assert self.process.wait(START) == 0
        return told

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)


@contextmanager
def developing(daemon: Daemon, sources: Path, headers: Path, *words: str) -> Iterator[Running]:
    command = [sys.executable, "-m", "kmodctl", "--json", "--socket", str(daemon.socket), "dev"]
    with (sources.parent / "errors").open("w") as errors:
        process = subprocess.Popen(
            [*command, str(sources), "--build", str(headers), *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def here(daemon: Daemon, sources: Path, headers: Path, *words: str) -> Ran:
    return run_here(daemon.socket, "dev", str(sources), "--build", str(headers), "--once", *words)


def events(told: list[dict[str, Any]]) -> list[str]:
    """Return what was done, in order, with its module."""
    shown = (" ".join((each["event"], each.get("module", ""))) for each in told)
    return [each.strip() for each in shown if each.strip() != "log"]


def logged(told: list[dict[str, Any]]) -> list[str]:
    return [each["record"]["text"] for each in told if each["event"] == "log"]


def saved_by_rename(path: Path, text: str) -> None:
    """Save as an editor does that keeps a backup: another file takes the name."""
    (path.parent / f".{path.name}.swp").write_text("the editor's own")
    (path.parent / f"{path.name}~").write_text("what was")
    other = path.parent / "4913"
    other.write_text(text)
    other.rename(path)


def saved_in_place(path: Path, text: str) -> None:
    """Save as an editor does that cuts the file off and writes."""
    with path.open("w") as file:
        file.flush()
        os.fsync(file.fileno())
        file.write(text)


def test_each_save_takes_the_old_out_and_puts_the_new_in(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    source = sources / "some.c"
    source.write_text("hello")
    with developing(daemon, sources, headers) as running:
        first = running.until("wait")
        assert events(first) == ["build", "insert hello", "wait"]
        assert "Hello, world: the module is in the kernel" in logged(first)
        saved_by_rename(source, "leaky")
        second = running.until("wait")
        assert events(second) == ["build", "remove hello", "removed hello", "insert leaky", "wait"]
        assert logged(second)[0] == "Goodbye, world: the module leaves the kernel"
        saved_in_place(source, "halfway")
        third = running.until("wait")
        assert events(third)[1:] == [
            *("remove leaky", "removed leaky", "insert halfway", "failed halfway", "wait")
        ]
        (removed,) = (each for each in third if each["event"] == "removed")
        assert removed["leaks"][0].startswith("100 bytes of memory, taken in leaky_init+0x")
        (failed,) = (each["failure"] for each in third if each["event"] == "failed")
        assert (failed["message"], failed["module"]) == ("Input/output error", "halfway")
        source.write_text("hello")
        assert "insert hello" in events(running.until("wait"))
        last = running.end()
    assert events(last) == ["remove hello", "removed hello"]
    assert logged(last) == ["Goodbye, world: the module leaves the kernel"]
    assert "leaky leaks 100 bytes" in (sources.parent / "errors").read_text()
    with daemon.client() as client:
        assert client.list_modules() == []


def test_modules_of_a_directory_go_in_by_their_needs_and_out_the_other_way(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    (sources / "some.c").write_text("world greet")
    words = ("--param", "times=2", "--param", "greet.whom=you two", "-p", "numbers=7")
    with developing(daemon, sources, headers, *words) as running:
        told = running.until("wait")
        assert events(told) == ["build", "insert greet", "insert world", "wait"]
        assert logged(told).count("greet: hello, you two!") == 0
        assert logged(told).count("greet: hello, you two") == 2
        assert "greet: number 0 is 7" in logged(told)
        (sources / "new.h").touch()
        told = running.until("wait")
        order = ["remove world", "removed world", "remove greet", "removed greet"]
        assert events(told) == ["build", *order, "insert greet", "insert world", "wait"]
        assert events(running.end(signal.SIGTERM)) == order
    refused = here(daemon, sources, headers, "--param", "nosuch=1")
    assert refused.status == 1
    assert "ERROR: no parameter nosuch of greet and world\n" in refused.errors


def test_what_a_module_needs_of_the_tree_is_loaded_for_it_and_goes_with_it(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    (sources / "some.c").write_text("world")
    with developing(daemon, sources, headers) as running:
        assert events(running.until("wait")) == ["build", "insert world", "wait"]
        with daemon.client() as client:
            assert [each.name for each in client.list_modules()] == ["world", "greet"]
        last = running.end()
    assert events(last) == ["remove world", "removed world", "remove greet", "removed greet"]


def test_a_device_is_plugged_in_and_probed_by_each_new_driver(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    (sources / "some.c").write_text("gadget")
    device = "gadget kmodd-gadget.0"
    with developing(daemon, sources, headers, "--device", "platform:kmodd-gadget") as running:
        told = running.until("wait")
        assert logged(told)[-1:] == [f"{device}: found"]
        assert {"event": "device", "device": "kmodd-gadget.0", "driver": "gadget"} in told
        (sources / "Kbuild").write_text("# saved")
        assert logged(running.until("wait")) == [f"{device}: gone", f"{device}: found"]
        running.end()
    with daemon.client() as client:
        assert (list(client.list_devices()), client.list_modules()) == ([], [])


def test_what_the_compiler_says_is_shown_and_the_old_module_stays(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    source = sources / "some.c"
    source.write_text("hello")
    with developing(daemon, sources, headers) as running:
        running.until("wait")
        source.write_text("typo")
        assert events(running.until("wait")) == ["build", "failed", "wait"]
        with daemon.client() as client:
            assert [each.name for each in client.list_modules()] == ["hello"]
        source.unlink()
        assert events(running.until("wait")) == ["build", "failed", "wait"]
        (sources / "other.c").write_text("hello")
        assert "insert hello" in events(running.until("wait"))
        running.end()
    said = (sources.parent / "errors").read_text()
    assert f"cp: cannot stat '{SOURCES}/typo.ko': No such file or directory\n" in said
    assert "kmodctl dev: ERROR: make ended with status 2\n" in said


def test_a_save_while_something_is_built_leads_to_one_more_build(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    source, runs = sources / "some.c", sources / "runs"
    source.write_text("wait hello")
    with developing(daemon, sources, headers) as running:
        wait_until(runs.exists)
        source.write_text("")
        saved_by_rename(source, "leaky")
        (sources / "go").touch()
        assert events(running.until("wait")) == ["build", "insert hello", "wait"]
        assert "insert leaky" in events(running.until("wait"))
        running.end()
    assert runs.read_text().count(".") == 2


def test_a_signal_ends_a_build_too(daemon: Daemon, sources: Path, headers: Path) -> None:
    (sources / "some.c").write_text("wait hello")
    with developing(daemon, sources, headers) as running:
        wait_until((sources / "runs").exists)
        assert running.end(signal.SIGTERM)[1:] == []
    with daemon.client() as client:
        assert client.list_modules() == []


def test_a_module_that_others_use_stays_and_the_next_save_tries_again(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    (sources / "some.c").write_text("greet")
    with developing(daemon, sources, headers) as running, daemon.client() as client:
        running.until("wait")
        client.insert(SOURCES / "world.ko")
        (sources / "a.h").touch()
        assert events(running.until("wait")) == ["build", "remove greet", "failed greet", "wait"]
        client.remove("world")
        (sources / "b.h").touch()
        assert events(running.until("wait"))[-2:] == ["insert greet", "wait"]
        running.end()


def test_once_tells_by_its_status_whether_all_went_well(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    source = sources / "some.c"
    for text, status in (("hello", 0), ("leaky", 1), ("halfway", 1), ("typo", 1), ("", 1)):
        source.write_text(text)
        ran = here(daemon, sources, headers, "-v")
        assert ran.status == status, ran.errors
    assert "nothing is built; Kbuild has no 'obj-m := NAME.o'" in ran.errors
    source.write_text("hello")
    ran = here(daemon, sources, headers, "-v")
    assert "] Hello, world: the module is in the kernel\n" in ran.output
    assert "kmodctl dev: spent: look 0." in ran.errors


def test_what_a_check_finds_is_told_behind_the_load(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    (sources / "some.c").write_text("halfway")
    words = ("--check", "--param", "answers=1", "--once")
    with developing(daemon, sources, headers, *words) as running:
        told = running.until("")
        assert running.process.wait(START) == 0
    order = [each["event"] for each in told if each["event"] != "log"]
    assert order == ["build", "insert", "checking", "check", "remove", "removed"]
    (report,) = (each["report"] for each in told if each["event"] == "check")
    assert (report["module"], report["findings"]) == ("halfway", [])
    assert report["runs"] > 1
    (sources / "some.c").write_text("leaky")
    ran = here(daemon, sources, headers, "--check")
    assert (ran.status, "leaky: " in ran.output) == (1, True)


def test_a_directory_without_sources_is_refused(
    daemon: Daemon, sources: Path, headers: Path
) -> None:
    (sources / "Kbuild").unlink()
    advice = "'kmodctl new NAME' writes a module's sources"
    for place, why in (
        (sources, "has neither Kbuild nor Makefile"),
        (sources / "x", "is not there"),
    ):
        ran = here(daemon, place, headers)
        assert (ran.status, ran.output) == (1, "")
        assert ran.errors == f"kmodctl dev: {place} {why}; {advice}\n"
    odd = sources / "a b"
    odd.mkdir()
    (odd / "Kbuild").touch()
    assert here(daemon, odd, headers).errors.endswith(f"in {odd}: it has ' ' in its path\n")
    ran = here(daemon, odd, sources)
    assert f"{sources} is no directory to build modules in" in ran.errors


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("hello.c hello.h entry.S Kbuild Makefile Makefile.inc Kconfig blob.o_shipped", True),
        (".hello.c.swp hello.c~ #hello.c# .#hello.c 4913 hello.mod.c hello.o hello.ko", False),
        ("modules.order Module.symvers .hello.o.cmd README.md Makefile~", False),
    ],
)
def test_sources_are_told_from_what_editors_and_builds_write(names: str, expected: bool) -> None:
    assert [name for name in names.split() if is_source(name) is not expected] == []
