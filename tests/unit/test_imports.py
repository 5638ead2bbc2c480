# SPDX-License-Identifier: Apache-2.0
"""What the client brings with it, and what it must not."""

import subprocess
import sys
from pathlib import Path

import pytest

import kmodctl

PACKAGES = Path(kmodctl.__file__).parents[1]

COSTLY = [
    "argparse",
    "array",
    "backports",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "google",
    "graphlib",
    "grpc",
    "inspect",
    "json",
    "logging",
    "lzma",
    "multiprocessing",
    "pathlib",
    "re",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "textual",
    "threading",
    "typing",
    "unicorn",
    "urllib",
    "watchdog",
    "zlib",
]
"""What a question about the files of a tree has no time to import: 1 to 80 ms each."""


def modules_after(statement: str) -> set[str]:
    """The modules that an interpreter of its own holds after ``statement``."""
    script = f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\n"
    script += "print('\\n'.join(sys.modules), file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ran.stderr.split())


def modules_of_bare(statement: str, **environment: str) -> set[str]:
    """The modules that ``statement`` adds to an interpreter that has os and no packages' site."""
    script = f"import os, sys\nsys.path.insert(0, {str(PACKAGES)!r})\nbefore = set(sys.modules)\n"
    script += f"try:\n    {statement}\nexcept SystemExit:\n    pass\n"
    script += "print(*(set(sys.modules) - before))"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ran.stdout.splitlines()[-1].split())


def of_the_library(loaded: set[str]) -> set[str]:
    """Those of ``loaded`` that are not ours."""
    return {name for name in loaded if name.partition(".")[0] not in ("kmodctl", "kmodd")}


CHEAP = {"_socket", "errno", "gc", "itertools"}
"""What is written in C, and is in memory in a fraction of a millisecond."""


@pytest.mark.parametrize(
    "words",
    [
        ["lsmod", "x"],
        ["lsmod", "--nosuch"],
        ["insmod"],
        ["insmod", "-"],
        ["modprobe"],
        ["modprobe", "-r", "--wait", "x", "y"],
        ["rmmod"],
        ["modinfo"],
        ["modinfo", "--nosuch"],
        ["depmod", "-P", "two"],
        ["depmod", "-n", "nosuch"],
        ["static-nodes", "-f", "x"],
        ["tree"],
        ["completion", "bash"],
        ["complete", "--", "kmodctl", "modprobe", "--sh"],
        ["complete", "--", "kmodctl", "device", ""],
        ["complete", "--", "kmodctl", "fleet", "diff", ""],
        ["fleet", "explain", "x"],
        ["new", "1st"],
        ["dev"],
    ],
)
def test_what_is_wrong_with_a_command_line_is_told_with_no_library(words: list[str]) -> None:
    loaded = modules_of_bare(f"from kmodctl.cli import main; main({words!r})")
    assert "kmodctl.cli" in loaded
    assert of_the_library(loaded) <= CHEAP


@pytest.mark.parametrize(
    "words",
    [
        ["lsmod"],
        ["insmod", "x.ko", "a=1"],
        ["modprobe", "-q", "--", "x"],
        ["modprobe", "-r", "x"],
        ["modprobe", "-D", "x"],
        ["modprobe", "-c"],
        ["modprobe", "-R", "x"],
        ["modprobe", "--show-exports", "x"],
        ["rmmod", "-w", "5", "x"],
        ["modinfo", "-F", "alias", "x"],
        ["depmod", "-a"],
        ["depmod", "6.1.0"],
        ["param", "x", "a=1"],
        ["static-nodes"],
        ["tree", "x"],
        ["dmesg"],
        ["status", "x"],
        ["events"],
        ["operations"],
        ["device", "list"],
        ["ls"],
    ],
)
def test_no_command_imports_a_library_before_there_is_a_daemon(words: list[str]) -> None:
    line = ["--socket", "/nowhere/s", *words]
    loaded = modules_of_bare(f"from kmodctl.cli import main; main({line!r})")
    assert f"kmodctl.commands.{words[0].replace('-', '_')}" in loaded
    assert of_the_library(loaded) <= CHEAP


def test_the_way_to_the_real_kmod_imports_no_library(tmp_path: Path) -> None:
    (tmp_path / "kmodd").mkdir()
    (tmp_path / "kmodd/kmodd.sock").touch()
    loaded = modules_of_bare(
        "sys.argv = ['/sbin/modprobe', '-q', '--', 'x']; from kmodctl.cli import main; main()",
        XDG_RUNTIME_DIR=str(tmp_path),
        KMODD_REAL_KMOD=str(tmp_path / "kmod"),
    )
    assert "kmodctl.fallback" in loaded
    assert of_the_library(loaded) <= CHEAP


@pytest.mark.parametrize(
    ("rooms", "more"),
    [
        ("errors globs names", ""),
        ("config config.cmdline config.directives config.files config.modprobe", ""),
        ("plan plan.load plan.lookup plan.requests plan.steps plan.unload", ""),
        ("database.presence database.published database.text database.trie", ""),
        ("queries.modinfo modulefile modulefile.file modulefile.modinfo modulefile.signature", ""),
        ("modulefile.symbols modulefile.exports modulefile.relocations", "array collections"),
        ("database.serving database.record database.symbol_index", "array collections"),
        ("oneshot.depmod", "array collections contextlib enum functools re threading"),
    ],
)
def test_what_answers_a_question_about_files_imports_little(rooms: str, more: str) -> None:
    names = [f"kmodd.{room}" for room in rooms.split()]
    script = f"""import sys
sys.path.insert(0, {str(PACKAGES)!r})
import {", ".join(names)}
print(*sys.modules)
"""
    command = [sys.executable, "-I", "-S", "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert loaded.issuperset(names)
    assert loaded.intersection(COSTLY) == set(more.split())


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["modprobe", "--help"], ["completion", "zsh"], ["top", "-h"], []],
)
def test_help_version_and_completion_import_neither_grpc_nor_an_extra(words: list[str]) -> None:
    loaded = modules_after(f"from kmodctl.cli import main; main({words!r})")
    assert "kmodctl.cli" in loaded
    costly = ("grpc", "google", "textual", "rich", "elftools", "unicorn")
    assert not [name for name in loaded if name.partition(".")[0] in costly]


def test_without_a_daemon_grpc_is_not_imported_either() -> None:
    loaded = modules_after(
        "from kmodctl.cli import main; main(['--socket', '/nowhere/s', 'lsmod'])"
    )
    assert "grpc" not in loaded


@pytest.mark.parametrize("name", ["answers", "coverage", "depmod"])
def test_what_needs_no_daemon_imports_neither_grpc_nor_a_service(name: str) -> None:
    loaded = modules_after(f"import kmodd.oneshot.{name}")
    assert f"kmodd.oneshot.{name}" in loaded
    assert not loaded & {"grpc", "kmodd.service", "kmodd.daemon", "kmodd.server"}


@pytest.mark.parametrize("name", ["kmodd.kernel.emulated", "kmodd.kernel.emulated.process.child"])
def test_an_emulated_kernel_imports_nothing_that_unpacks_an_image(name: str) -> None:
    loaded = modules_after(f"import {name}")
    assert {name, "kmodd.kernelimage.questions"} <= loaded
    assert not loaded & {"kmodd.kernelimage.reading", "kmodd.kernelimage.unpacking", "bz2"}


def test_the_client_imports_nothing_of_the_daemon_but_its_stubs() -> None:
    loaded = modules_after("import kmodctl, kmodctl.cli; kmodctl.Client")
    assert "grpc" in loaded
    daemons = {name for name in loaded if name.partition(".")[0] == "kmodd"}
    stubs = ("kmodd.v1", "kmodd.messages")
    assert {name for name in daemons if not name.startswith(stubs)} <= {"kmodd", "kmodd.escapes"}


def test_the_client_imports_the_messages_of_a_service_when_it_is_asked() -> None:
    loaded = modules_after("import kmodctl.cli, kmodctl.commands.lsmod, kmodctl.client")
    costly = ("dataclasses", "google.protobuf", "json", "kmodd.v1", "urllib.parse")
    assert not loaded.intersection(costly)


def test_the_methods_of_the_api_are_known_without_grpc_and_protobuf() -> None:
    loaded = modules_after("from kmodctl.services import ModuleService; ModuleService.ListModules")
    assert "kmodctl.services" in loaded
    assert not [name for name in loaded if name.startswith(("grpc", "google", "kmodd."))]


def test_the_package_exports_what_it_says() -> None:
    classes = ["CallError", "Client", "KmodctlError", "NoDaemonError"]
    assert sorted(kmodctl.__all__) == [*classes, "aio"]
    assert all(getattr(kmodctl, name).__name__ == name for name in classes)
    assert kmodctl.aio.__name__ == "kmodctl.aio"
    assert [name for name in dir(kmodctl) if not name.startswith("__")] == [*classes, "aio"]
    shown = modules_after("import kmodctl; dir(kmodctl)")
    assert not [name for name in shown if name.startswith(("grpc", "google"))]
