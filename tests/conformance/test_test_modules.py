# SPDX-License-Identifier: Apache-2.0
"""The checked-in modules of tests/modules are what their sources and their README say."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kmodd.modulefile import ModuleFile
from tests.support.debian import headers
from tests.support.modules import MODULES, SOURCES, build, build_in, checked_in_release
from tests.support.require import require
from tests.support.systems import system_of
from tests.support.tree import ModuleTree

NAMES = [module.stem for module in MODULES]
OWN_EXPORTS = {"greet_somebody", "gplsym_answer"}
OF_THE_KERNEL = {"vermagic", "retpoline"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built")
    build(output, headers())
    return output


@pytest.fixture(scope="module")
def same_series() -> bool:
    """Whether the headers are of the series, "6.1", that the checked-in modules were built for."""
    release = headers().name.removeprefix("linux-headers-")
    return release.split(".")[:2] == checked_in_release().split(".")[:2]


def test_every_source_has_its_checked_in_module() -> None:
    assert {source.stem for source in SOURCES.glob("*.c")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_checked_in_module_means_what_its_source_does(
    name: str, built: Path, same_series: bool
) -> None:
    checked_in = _meaning(SOURCES / f"{name}.ko", same_series)
    assert checked_in == _meaning(built / f"{name}.ko", same_series)


@pytest.mark.parametrize("name", NAMES)
def test_a_checked_in_module_has_symbols_and_nothing_for_a_debugger(name: str) -> None:
    with ModuleFile.open(str(SOURCES / f"{name}.ko")) as module:
        sections = {section.name for section in module.elf.sections}
    assert ".symtab" in sections
    assert not {section for section in sections if section.startswith(".debug")}


@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(suite, marks=pytest.mark.ahead(f"{suite} system"))
        for suite in ("bullseye", "trixie", "sid")
    ],
)
def test_the_sources_are_good_for_other_kernels(suite: str, tmp_path: Path) -> None:
    """Of Linux 5.10, of 6.12, and of what is newest."""
    system = system_of(suite)
    build_in(system, tmp_path)
    assert sorted(each.stem for each in tmp_path.iterdir()) == sorted(NAMES)
    for name in NAMES:
        with ModuleFile.open(str(tmp_path / f"{name}.ko")) as module:
            assert (module.modinfo_get("vermagic") or "").split()[0] == system.release
        ours, theirs = (_meaning(each / f"{name}.ko", False) for each in (SOURCES, tmp_path))
        assert ours["parameters"] == theirs["parameters"]
        image = (tmp_path / f"{name}.ko").read_bytes()  # in what section texts are differs
        with ModuleFile.open(str(SOURCES / f"{name}.ko")) as module:
            assert [text for text in _messages(module) if text not in image] == []


def test_hello_names_no_licence() -> None:
    with ModuleFile.open(str(SOURCES / "hello.ko")) as module:
        assert module.modinfo_get("license") is None


def test_gpluser_imports_what_its_licence_forbids() -> None:
    with ModuleFile.open(str(SOURCES / "gpluser.ko")) as user:
        assert user.modinfo_get("license") == "Proprietary"
        imports = {symbol.name for symbol in user.undefined()}
    with ModuleFile.open(str(SOURCES / "gplsym.ko")) as owner:
        (answer,) = owner.exports()
    assert answer.gpl_only
    assert answer.name in imports


def test_relicense_refuses_a_licence_that_does_not_fit(tmp_path: Path) -> None:
    module = Path(shutil.copy(SOURCES / "greet.ko", tmp_path))
    command = [sys.executable, str(SOURCES / "relicense.py"), str(module), "Proprietary"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "does not fit" in answer.stderr
    assert module.read_bytes() == (SOURCES / "greet.ko").read_bytes()


def test_depmod_finds_nothing_wrong_with_the_modules(modules_root: ModuleTree) -> None:
    depmod = require("depmod", "kmod's depmod is the reference")
    command = [depmod, "-b", str(modules_root.root), modules_root.release]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout + answer.stderr == ""
    dependencies = (modules_root.directory / "modules.dep").read_text().splitlines()
    assert "extra/world.ko: extra/greet.ko" in dependencies
    assert "extra/gpluser.ko: extra/gplsym.ko" in dependencies


def _meaning(path: Path, same_series: bool) -> dict[str, object]:
    """What a module says, offers and needs, but not what depends on its kernel or its compiler.

    Kernels of one series have the same names for what their headers make a module import.
    """
    with ModuleFile.open(str(path)) as module:
        return {
            "modinfo": sorted(pair for pair in module.modinfo() if pair[0] not in OF_THE_KERNEL),
            "parameters": module.parameters(),
            "exports": module.exports(),
            "imports": {
                symbol for symbol in module.undefined() if same_series or symbol.name in OWN_EXPORTS
            },
            "symbols": {
                symbol.name.partition(".")[0]
                for symbol in module.symbols()
                if symbol.section and symbol.name[:1].isalpha()
            },
            "messages": _messages(module),
        }


def _messages(module: ModuleFile) -> set[bytes]:
    """The module's texts, which the compiler spreads over several sections.

    Names of the kernel's headers are none: what they warn of moves from one to the other.
    """
    return {
        text
        for section in module.elf.sections
        if section.name.startswith(".rodata.str")
        for text in bytes(module.section_data(section)).split(b"\0")
        if not text.startswith(b"include/linux/")
    }
