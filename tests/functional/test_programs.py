# SPDX-License-Identifier: Apache-2.0
"""The programs that an installation has: how they find their interpreter and what they import."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kmodd import __version__
from tests.support.daemon import Daemon
from tests.support.release import build, install, install_below, install_editable, moved
from tests.support.require import require
from tests.support.sources import PROJECT
from tests.support.tree import ModuleTree

VERSIONS = {
    "kmodctl": f"kmodctl {__version__} (as kmod version 34)\n",
    "kmodd": f"kmodd {__version__}\n",
}
"""What each program prints for --version."""

COSTLY = {
    *("argparse", "contextlib", "dataclasses", "enum", "grpc", "importlib.util", "pathlib", "re"),
    *("site", "socket", "sysconfig", "typing"),
}
"""Modules of which each takes as long as a tenth of a call."""

SHOW_MODULES = """
def run(main=main):
    import sys
    main()
    print(*sys.modules)
    sys.exit(3)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(PROJECT, tmp_path_factory.mktemp("release")).wheel


@pytest.fixture(scope="module")
def whole(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with a blank in its path."""
    return install(wheel, tmp_path_factory.mktemp("programs") / "an environment")


@pytest.fixture
def installed(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return moved(whole, tmp_path / "a copy")


def run(*words: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def packages(installed: Path) -> Path:
    (found,) = installed.glob("lib/python3*/site-packages")
    return found


def assert_both_start(directory: Path, **environment: str) -> None:
    """Both programs in a directory say their versions, and nothing else."""
    for name, version in VERSIONS.items():
        ran = run(directory / name, "--version", **environment)
        assert (ran.stdout, ran.stderr, ran.returncode) == (version, "", 0)


def test_the_programs_start_from_a_path_with_blanks(whole: Path) -> None:
    assert_both_start(whole / "bin")


def test_a_relative_path_will_do(whole: Path) -> None:
    for name, version in VERSIONS.items():
        for program, directory in ((f"bin/{name}", whole), (f"./{name}", whole / "bin")):
            told = subprocess.check_output([program, "--version"], cwd=directory, env={}, text=True)
            assert told == version
        words = ["/bin/sh", name, "--version"]
        assert subprocess.check_output(words, cwd=whole / "bin", env={}, text=True) == version


def test_links_from_elsewhere_start_the_programs(whole: Path, tmp_path: Path) -> None:
    for name in VERSIONS:
        (tmp_path / f"{name}.d").symlink_to(whole / "bin" / name)
        (tmp_path / name).symlink_to(f"{name}.d")
    assert_both_start(tmp_path)


def test_a_directory_of_programs_may_be_a_link(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "programs").symlink_to(whole / "bin")
    assert_both_start(tmp_path / "programs")


def test_an_editable_installation_has_the_programs(tmp_path: Path) -> None:
    directory = install_editable(PROJECT, tmp_path / "editable")
    assert not (packages(directory) / "kmodctl").exists()
    assert_both_start(directory / "bin")


@pytest.mark.parametrize("option", ["--prefix", "--target"])
def test_programs_without_an_interpreter_beside_them_take_the_one_that_installed_them(
    option: str, wheel: Path, whole: Path, tmp_path: Path
) -> None:
    install_below(wheel, whole / "bin/python", option, tmp_path)
    assert not (tmp_path / "bin/python3").exists()
    assert_both_start(tmp_path / "bin")


def test_packages_are_found_where_debian_has_its_own(installed: Path) -> None:
    debian = installed / "lib/python3/dist-packages"
    debian.mkdir(parents=True)
    for package in ("kmodctl", "kmodd"):
        (packages(installed) / package).rename(debian / package)
    assert_both_start(installed / "bin")


def test_an_interpreter_takes_the_packages_of_its_own_version(installed: Path) -> None:
    other = installed / "lib/python3.10/site-packages"
    for package in ("kmodctl", "kmodd"):
        (other / package).mkdir(parents=True)
        (other / package / "__init__.py").write_text("raise SystemExit(5)\n")
    assert_both_start(installed / "bin")


def test_the_environment_changes_nothing(whole: Path, tmp_path: Path) -> None:
    for name in ("kmodctl.py", "kmodd.py", "site.py", "sitecustomize.py", "os.py"):
        (tmp_path / name).write_text("raise SystemExit(5)\n")
    for name in ("python3", "readlink", "kmodctl", "kmodd-start"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 6\n")
        (tmp_path / name).chmod(0o755)
    links = tmp_path / "links"
    links.mkdir()
    for name in VERSIONS:
        (links / name).symlink_to(whole / "bin" / name)
    hostile = {
        **dict.fromkeys(("PATH", "PYTHONPATH", "PYTHONHOME", "CDPATH"), str(tmp_path)),
        **dict.fromkeys(("_place", "_own", "_python", "_line", "_tried", "_package"), "/nowhere"),
        "PYTHONSTARTUP": str(tmp_path / "os.py"),
        "PYTHONINSPECT": "1",
        "IFS": "/bin",
        "ENV": str(tmp_path / "python3"),
        "BASH_FUNC_readlink%%": "() { exit 6\n}",
    }
    for directory in (whole / "bin", links):
        assert_both_start(directory, **hostile)


def test_kmodctl_imports_nothing_that_costs(installed: Path, daemon: Daemon) -> None:
    with (packages(installed) / "kmodctl/cli.py").open("a") as source:
        source.write(SHOW_MODULES)
    ran = run(installed / "bin/kmodctl", "lsmod", KMODD_SOCKET=str(daemon.socket))
    assert (ran.stderr, ran.returncode) == ("", 3)
    imported = set(ran.stdout.splitlines()[-1].split())
    assert "kmodd.messages.module_service" in imported
    assert not imported & COSTLY


def test_nothing_among_the_packages_stands_in_for_the_library(
    installed: Path, daemon: Daemon
) -> None:
    for name in ("json", "errno", "argparse", "_socket"):
        (packages(installed) / f"{name}.py").write_text("raise SystemExit(5)\n")
    told = {"KMODD_SOCKET": str(daemon.socket)}
    ran = run(installed / "bin/kmodctl", "--json", "lsmod", **told)
    assert (ran.stderr, ran.returncode) == ("", 0)
    assert_both_start(installed / "bin")


def test_grpc_may_be_where_only_site_finds_it(installed: Path, daemon: Daemon) -> None:
    assert (packages(installed) / "needed.pth").exists()
    assert not (packages(installed) / "grpc").exists()
    words = (installed / "bin/kmodctl", "hold", "greet", "--", "/bin/echo", "held")
    ran = run(*words, KMODD_SOCKET=str(daemon.socket))
    assert (ran.stdout, ran.stderr, ran.returncode) == ("held\n", "", 0)


def test_what_is_missing_is_said_in_one_line(installed: Path, daemon: Daemon) -> None:
    (packages(installed) / "needed.pth").unlink()
    words = (installed / "bin/kmodctl", "hold", "greet", "--", "/bin/true")
    ran = run(*words, KMODD_SOCKET=str(daemon.socket))
    assert (ran.stdout, ran.returncode) == ("", 1)
    assert ran.stderr == "kmodctl: cannot start: No module named 'grpc'\n"


def lose_packages(installed: Path) -> str:
    shutil.rmtree(packages(installed))
    return "No module named 'kmodctl'"


def lose_interpreter(installed: Path) -> str:
    for python in (installed / "bin").glob("python*"):
        python.unlink()
    return "no Python 3 is found"


@pytest.mark.parametrize("lose", [lose_packages, lose_interpreter])
@pytest.mark.parametrize("name", ["kmodctl", "kmodd", "kmodctl-or-kmod"])
def test_a_program_that_cannot_start_says_why(
    name: str, lose: Callable[[Path], str], installed: Path
) -> None:
    reason = lose(installed)
    ran = run(installed / "bin" / name, "lsmod", KMODD_REAL_KMOD="/bin/true")
    assert (ran.stdout, ran.returncode) == ("", 1)
    assert ran.stderr == f"{name}: cannot start: {reason}\n"


def test_a_program_that_is_mounted_elsewhere_takes_the_daemons_interpreter(
    whole: Path, daemon: Daemon, tmp_path: Path
) -> None:
    shutil.copy(whole / "bin/kmodctl", tmp_path / "kmod")
    (tmp_path / "lsmod").symlink_to("kmod")
    told = {"KMODD_SOCKET": str(daemon.socket), "KMODD_PYTHON": str(whole / "bin/python")}
    for words in ((tmp_path / "kmod", "list"), (tmp_path / "lsmod",)):
        ran = run(*words, **told)
        assert (ran.stderr, ran.returncode) == ("", 0)
        assert ran.stdout.startswith("Module ")


def test_a_process_has_the_name_of_its_program(whole: Path, modules_root: ModuleTree) -> None:
    show = "cat /proc/$PPID/comm; kmodctl hold greet -- sh -c 'cat /proc/$PPID/comm'"
    words = ("run", "--no-code", "--root", str(modules_root.root), "--", "sh", "-c", show)
    ran = run(whole / "bin/kmodd", *words, PATH=f"{whole}/bin:/usr/bin:/bin")
    assert ran.stdout == "kmodd\nkmodctl\n", ran.stderr


def test_a_program_is_the_process_that_was_started(whole: Path, daemon: Daemon) -> None:
    show = 'echo $$; exec "$0" hold greet -- /bin/sh -c "echo \\$PPID"'
    told = {"KMODD_SOCKET": str(daemon.socket)}
    ran = run("/bin/sh", "-c", show, whole / "bin/kmodctl", **told)
    own, parent = ran.stdout.split()
    assert own == parent


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("busybox", "sh")], ids=" ".join)
def test_any_posix_shell_will_do(
    shell: tuple[str, ...], installed: Path, daemon: Daemon, tmp_path: Path
) -> None:
    words = (require(shell[0], "shells differ"), *shell[1:])
    links = [tmp_path / "modprobe", installed / "bin/modprobe"]
    for link in links:
        link.symlink_to(installed / "bin/kmodctl-or-kmod")
        loaded = run(*words, link, "-v", "greet", KMODD_SOCKET=str(daemon.socket))
        assert (loaded.stderr, loaded.returncode) == ("", 0)
    lose_packages(installed)
    for link in links:
        ran = run(*words, link, "greet", KMODD_REAL_KMOD="/bin/echo", PATH="/usr/bin:/bin")
        assert (ran.stdout, ran.stderr, ran.returncode) == ("greet\n", "", 0)


def test_what_starts_the_programs_says_so_by_itself(whole: Path) -> None:
    ran = run(whole / "bin/python", whole / "bin/kmodd-start", "lsmod")
    assert (ran.stdout, ran.returncode) == ("", 1)
    assert ran.stderr == "kmodd-start is for kmodctl and kmodd, which execute it\n"
