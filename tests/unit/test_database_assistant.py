# SPDX-License-Identifier: Apache-2.0
"""The second process: what it makes is the same, and without it all goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import assistant as assistant_module
from kmodd.database import reading
from kmodd.database.assistant import Assistant, AssistantError
from kmodd.database.rebuild import rebuild
from tests.support.daemon import wait_until
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.tree import ModuleTree

MODULES = 40


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleTree:
    """A small tree that counts as a large one."""
    monkeypatch.setattr(reading, "MANY", MODULES)
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


def test_an_assistant_makes_no_difference(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [f"kernel/m{number}.ko" for number in range(MODULES)] + ["kernel/bad.ko", "gone.ko"]
    with Assistant() as assistant:
        helped = reading.read_all(str(tree.directory), paths, assistant=assistant)
        assert assistant.started
    by_himself = reading.read_all(str(tree.directory), paths)
    assert sorted(helped, key=str) == sorted(by_himself, key=str)
    assert files_of(tree) == alone(tree, monkeypatch)


def test_names_that_he_read_are_interned(tree: ModuleTree) -> None:
    paths = [f"kernel/m{number}.ko" for number in range(MODULES)]
    with Assistant() as assistant:
        records = reading.read_all(str(tree.directory), paths, assistant=assistant)
    names = [name for record in records for name in record.imports]
    assert all(name is sys.intern(name) for name in names)


@pytest.mark.parametrize("command", ["/nowhere/python", "/bin/false"])
def test_without_a_working_interpreter_one_does_it_all(
    tree: ModuleTree, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(tree, monkeypatch)
    monkeypatch.setattr(sys, "executable", command)
    with Assistant() as assistant, pytest.raises(AssistantError):
        assistant.submit(os.getpid).result()
    assert files_of(tree) == expected


def test_an_assistant_that_is_killed_is_done_without(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(tree, monkeypatch)
    start = assistant_module._start

    def doomed() -> subprocess.Popen[bytes]:
        process = start()
        process.send_signal(signal.SIGKILL)
        return process

    monkeypatch.setattr(assistant_module, "_start", doomed)
    assert files_of(tree) == expected


def test_his_process_ends_with_the_job_even_while_he_is_at_work() -> None:
    with Assistant() as assistant:
        process = assistant.submit(os.getpid).result()
        sleeping = assistant.submit(time.sleep, 60)
        wait_until(sleeping.running)
    assert isinstance(sleeping.exception(), AssistantError)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
