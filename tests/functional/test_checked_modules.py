# SPDX-License-Identifier: Apache-2.0
"""A check finds what is wrong in modules that were written for it, and nothing in those that are
right.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.checking import Report, check
from kmodd.kernel.emulated import TrialKernel, VmlinuxSource
from kmodd.modulefile import ModuleFile
from tests.support.debian import headers, unpacked_tree
from tests.support.require import require, require_emulator

SOURCES = Path(__file__).parents[1] / "checked"

WRONG = {
    "class_twice": ("unowned", "init", "class_destroy is given a class that nobody has taken"),
    "del_before_add": ("unowned", "init", "cdev_del is given a cdev that nobody has taken"),
    "exit_frees_again": ("unowned", "exit", "memory is freed where nothing is allocated"),
    "ignored": ("ignored", "init", "init returns 0, though misc_register has failed"),
    "interrupt": ("leak", "init", "interrupt 9 'checked'"),
    "loop": ("leak", "init", "64 bytes of memory"),
    "no_errno": ("bad result", "init", "init returns -2001, which is no errno"),
    "null_for_err_ptr": ("oops", "init", "BUG: unable to handle page fault for address"),
    "order": ("in use", "exit", "memory is freed in which character device 254:0 is"),
    "positive": ("bad result", "init", "init returns 12, which is neither 0 nor below zero"),
    "probe": ("leak", "exit", "64 bytes of memory"),
    "probe_ignored": ("ignored", "probe", "probe returns 0, though misc_register has failed"),
    "ptr_err_null": ("undone", "init", "init gives back what it has taken, and returns 0"),
    "remove": ("leak", "exit", "64 bytes of memory"),
    "third_path": ("leak", "init", "device numbers 254:0 'third'"),
    "thread": ("leak", "init", "thread 'checked'"),
    "timer": ("leak", "exit", "a timer that is still armed: fire"),
    "unchecked_null": ("oops", "init", "BUG: kernel NULL pointer dereference"),
    "wait": ("stuck", "init", "INFO: task insmod:1 blocked for more than 120 seconds."),
    "workqueue": ("leak", "exit", "workqueue 'forgotten'"),
}
"""What is wrong with each: the kind, what the module was at, and how it is told."""

RIGHT = sorted(each.stem.removeprefix("right_") for each in SOURCES.glob("right_*.c"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_emulator()
    for tool in ("make", "gcc"):
        require(tool, f"building modules needs {tool}")
    folder = tmp_path_factory.mktemp("build") / "checked"
    shutil.copytree(SOURCES, folder)
    command = ["make", "-s", "-j2", "-C", str(headers()), f"M={folder}", "modules"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "BTF" not in line]
    assert (done.returncode, said) == (0, [])
    return folder


@pytest.fixture(scope="module")
def kernel() -> Iterator[TrialKernel]:
    tree = unpacked_tree()
    source = VmlinuxSource(tree.root, tree.release, tree.directory.parent, dict)
    opened = TrialKernel(tree.release, source, command_line="", run_code=True)
    yield opened
    opened.close()


def checked(kernel: TrialKernel, file: Path, *, pairs: bool = False) -> Report:
    with ModuleFile.open(str(file)) as module:
        aliases = module.modinfo_all("alias")
    *_, report = check(kernel, file.stem, [file.read_bytes()], devices=aliases, pairs=pairs)
    assert isinstance(report, Report)
    assert (report.untold, report.left_out, report.not_modelled) == (0, 0, ())
    assert len(report.devices) == len(aliases)
    return report


def test_there_are_twenty_of_each() -> None:
    assert len(RIGHT) == 20
    assert sorted(WRONG) == sorted(
        each.stem.removeprefix("wrong_") for each in SOURCES.glob("wrong_*.c")
    )


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name: str, built: Path, kernel: TrialKernel) -> None:
    report = checked(kernel, built / f"wrong_{name}.ko")
    kind, phase, what = WRONG[name]
    found = [each for each in report.flaws if (each.kind, each.phase) == (kind, phase)]
    assert [each.what.startswith(what) for each in found] == [True]
    lines = [found[0].line, *(each.line for each in found[0].failed)]
    assert {Path(each.file).name for each in lines if each} == {f"wrong_{name}.c"}


@pytest.mark.parametrize("name", RIGHT)
def test_in_what_is_right_nothing_is_found(name: str, built: Path, kernel: TrialKernel) -> None:
    assert checked(kernel, built / f"right_{name}.ko", pairs=True).flaws == ()


def test_a_flaw_has_the_lines_of_what_was_taken_and_of_what_failed(
    built: Path, kernel: TrialKernel
) -> None:
    (flaw,) = checked(kernel, built / "wrong_third_path.ko").flaws
    text = (built / "wrong_third_path.c").read_text().splitlines()
    assert flaw.line is not None
    assert "alloc_chrdev_region" in text[flaw.line.line - 1]
    (failed,) = flaw.failed
    assert failed.line is not None
    assert "new_class" in text[failed.line.line - 1]
