# SPDX-License-Identifier: Apache-2.0
"""The second process: what it makes is the same, and without it all goes on."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import assistant as assistant_module
from kmodd.database import reading, scan
from kmodd.database.assistant import Assistant, AssistantError, Promise
from kmodd.database.inventory import ModuleRecord
from kmodd.database.rebuild import rebuild
from kmodd.database.record import read_chunk, read_rows, records_of
from kmodd.database.walk import Walk
from tests.support.daemon import text_of
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.tree import ModuleTree

MODULES = 40


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleTree:
    """A small tree that counts as a large one."""
    monkeypatch.setattr(reading, "MANY", MODULES)
    monkeypatch.setattr(scan, "MANY", MODULES)
    monkeypatch.setattr(reading, "_CHUNK", 4)
    tree = ModuleTree(root=tmp_path, release="6.1")
    (tree.directory / "kernel").mkdir(parents=True)
    for number in range(MODULES):
        spec = ModuleSpec(
            name=f"m{number}",
            modinfo=(("alias", f"pci:v*{number}"), ("alias", "of:shared")),
            exports=(Export(f"m{number}_do"),),
            imports=(Import(f"m{number // 2}_do"),) if number else (),
        )
        (tree.directory / "kernel" / f"m{number}.ko").write_bytes(write_module(spec))
    (tree.directory / "kernel" / "bad.ko").write_bytes(b"no module")
    return tree


def files_of(tree: ModuleTree) -> dict[str, bytes]:
    return dict(rebuild(str(tree.directory), tree.release, config=DepmodConfig()).files)


def alone(tree: ModuleTree, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    with monkeypatch.context() as patch:
        patch.setattr(reading, "MANY", 10**6)
        return files_of(tree)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def children() -> set[int]:
    """The processes that this one has started, of which other tests may have some."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in text_of(task).split()}


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test leaves a process, dead or alive, or an open file behind, however slow the machine."""
    monkeypatch.setattr(assistant_module, "PATIENCE", 60.0)
    open_before, children_before = descriptors(), children()
    yield
    # What was open before may have been closed meanwhile: threads of an earlier test's grpc do so.
    assert descriptors() <= open_before
    assert children() <= children_before


def stand_in(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every assistant be that shell script instead."""
    program = directory / "stand-in"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "second process" in record.msg]


def paths_of(tree: ModuleTree) -> list[str]:
    return [f"kernel/{path.name}" for path in (tree.directory / "kernel").iterdir()]


def test_an_assistant_makes_no_difference(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [*paths_of(tree), "gone.ko"]
    with Assistant() as assistant:
        assert assistant.submit(os.getpid).result() != os.getpid()
        helped = reading.read_all(str(tree.directory), paths, assistant=assistant)
        assert assistant.has_answered
    by_himself = reading.read_all(str(tree.directory), paths)
    assert sorted(helped, key=str) == sorted(by_himself, key=str)
    assert files_of(tree) == alone(tree, monkeypatch)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_he_does_read(tree: ModuleTree, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = str(tree.directory)
    expected = {record.path: record for record in reading.read_all(directory, paths_of(tree))}
    with Assistant() as assistant:

        def wait_for_him(*_: object) -> list[ModuleRecord]:
            assistant.submit(bool).result()
            return []

        monkeypatch.setattr(reading, "read_chunk", wait_for_him)
        read = reading.read_all(directory, paths_of(tree), assistant=assistant)
    assert len(read) >= MODULES // 2
    assert all(expected[record.path] == record for record in read)


def test_names_that_he_read_are_interned(tree: ModuleTree) -> None:
    with Assistant() as assistant:
        rows = assistant.submit(read_rows, str(tree.directory), paths_of(tree), 1).result()
    names = [name for record in records_of(rows) for name in record.imports]
    assert names
    assert all(name is sys.intern(name) for name in names)


def test_he_starts_before_the_walk_where_the_build_lists_many_modules(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree.directory / "modules.order").write_bytes(b"kernel/some/where/or/other/m.ko\n" * MODULES)
    before, started = children(), []

    def walk(*_: object) -> Iterator[tuple[str, bool]]:
        started.append(children() - before)
        return iter(())

    monkeypatch.setattr(Walk, "files", walk)
    files_of(tree)
    (tree.directory / "modules.order").write_bytes(b"kernel/m.ko\n")
    files_of(tree)
    assert [bool(each) for each in started] == [True, False]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 1", "it has ended|Broken pipe"),
        ("echo this is no frame at all", "it talks nonsense"),
        ("head -c 100000 /dev/zero; exec sleep 60", "it talks nonsense"),
        (r"printf 'kmR2\4\0\0\0\0\0\0\0\0\0\0\0\1\2\3\4'; exec sleep 60", "it talks nonsense"),
        ("printf kmR2; exec sleep 60", "it has said nothing for 0.2 s"),
        ("exec sleep 60", "it has said nothing for 0.2 s"),
    ],
)
def test_one_who_is_no_help_is_done_without(
    tree: ModuleTree,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: str,
    why: str,
) -> None:
    expected = alone(tree, monkeypatch)
    stand_in(tmp_path, script, monkeypatch)
    if "nothing" in why:
        monkeypatch.setattr(assistant_module, "PATIENCE", 0.2)
    with Assistant() as assistant:
        for _ in range(2):
            with pytest.raises(AssistantError, match=why):
                assistant.submit(os.getpid).result()
    assert len(complaints(caplog)) == 1
    caplog.clear()
    caplog.set_level(logging.INFO)
    assert files_of(tree) == expected
    assert len(complaints(caplog)) == 1


def test_without_an_interpreter_one_does_it_all(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = alone(tree, monkeypatch)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert files_of(tree) == expected
    assert len(complaints(caplog)) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("at_work", [False, True])
def test_one_who_falls_is_done_without(
    tree: ModuleTree,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
    at_work: bool,
) -> None:
    expected = alone(tree, monkeypatch)
    caplog.set_level(logging.INFO)
    start, before = Assistant.start, children()
    fallen: list[signal.Signals] = []

    def doomed(assistant: Assistant) -> None:
        start(assistant)
        if not fallen:
            fallen.append(number)
            if at_work:
                assistant.submit(bool).result()
            (own,) = children() - before
            os.kill(own, number)
            monkeypatch.setattr(assistant_module, "PATIENCE", 0.2)

    monkeypatch.setattr(Assistant, "start", doomed)
    assert files_of(tree) == expected
    assert len(complaints(caplog)) == 1


def test_he_has_ever_less_before_him_towards_the_end(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = paths_of(tree)
    left = (len(paths) + 3) // 4
    before_him = 0
    had: list[tuple[int, int]] = []
    submit = Assistant.submit

    def submitted(assistant: Assistant, *job: Any) -> Promise:
        nonlocal left, before_him
        left, before_him = left - 1, before_him + 1
        had.append((before_him, left))
        return submit(assistant, *job)

    def taken_back(rows: bytes) -> list[ModuleRecord]:
        nonlocal before_him
        before_him -= 1
        return records_of(rows)

    def read_here(*chunk: Any) -> list[ModuleRecord]:
        nonlocal left
        left -= 1
        return read_chunk(*chunk)

    monkeypatch.setattr(Assistant, "submit", submitted)
    monkeypatch.setattr(reading, "records_of", taken_back)
    monkeypatch.setattr(reading, "read_chunk", read_here)
    with Assistant() as assistant:
        reading.read_all(str(tree.directory), paths, assistant=assistant)
    assert max(chunks for chunks, _ in had) > 1
    assert all(chunks <= 2 + left // 4 for chunks, left in had)


def test_a_long_request_and_a_long_answer_pass_each_other() -> None:
    with Assistant() as assistant:
        promises = [assistant.submit(bytes.upper, b"a" * (3 << 20)) for _ in range(3)]
        assert all(promise.result() == b"A" * (3 << 20) for promise in promises)


def test_his_process_ends_with_the_job_even_while_he_is_at_work() -> None:
    with Assistant() as assistant:
        process = assistant.submit(os.getpid).result()
        sleeping = assistant.submit(time.sleep, 60)
        assert not sleeping.ready()
    with pytest.raises(AssistantError):
        sleeping.result()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
