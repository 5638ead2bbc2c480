# SPDX-License-Identifier: Apache-2.0
"""``kmodctl depmod`` with the options that need no daemon, beside the machine's own depmod."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.daemon import kmodctl
from tests.support.debian import DebianTree
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.require import require

RELEASE = "6.1.0-test"
TEXTS = ("dep", "alias", "softdep", "symbols", "devname")
NO_DAEMON = {"KMODD_SOCKET": "/nowhere/kmodd.sock"}

SPECS = (
    ModuleSpec(name="base", exports=(Export("base_do", crc=1), Export("base_undo", crc=2))),
    ModuleSpec(
        name="user",
        imports=(Import("base_do", crc=1), Import("_printk", crc=7), Import("missing", crc=3)),
        modinfo=(
            ("alias", "same-alias"),
            ("alias", "pci:v*d*"),
            ("alias", "same_alias"),
            ("softdep", "pre: base"),
        ),
    ),
    ModuleSpec(name="other", imports=(Import("base_undo"),), modinfo=(("alias", "same_alias"),)),
)


@dataclass(frozen=True)
class Said:
    """What a program printed, and how it exited."""

    stdout: str
    stderr: str
    status: int


def ours(*arguments: str) -> Said:
    ran = kmodctl("depmod", *arguments, environment=NO_DAEMON)
    return Said(ran.stdout, ran.stderr, ran.returncode)


def theirs(*arguments: str) -> Said:
    tool = require("depmod", "the reference is kmod's depmod")
    environment = {**os.environ, "LC_ALL": "C"}
    ran = subprocess.run(
        [tool, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    return Said(ran.stdout, ran.stderr, ran.returncode)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root" / "lib" / "modules" / RELEASE
    (directory / "kernel").mkdir(parents=True)
    for spec in SPECS:
        (directory / "kernel" / f"{spec.name}.ko").write_bytes(write_module(spec))
    order = "".join(f"kernel/{spec.name}.ko\n" for spec in SPECS)
    (directory / "modules.order").write_text(order)
    (directory / "modules.builtin").touch()
    (directory / "modules.builtin.modinfo").touch()
    return tmp_path / "root"


def outputs(directory: Path) -> dict[str, bytes]:
    return {name: (directory / f"modules.{name}").read_bytes() for name in TEXTS}


def test_another_root_is_built_without_a_daemon(root: Path) -> None:
    directory = root / "lib" / "modules" / RELEASE
    assert theirs("-b", str(root), RELEASE) == Said("", "", 0)
    expected = outputs(directory)
    for name in TEXTS:
        (directory / f"modules.{name}").unlink()
    assert ours("-b", str(root), RELEASE) == Said("", "", 0)
    assert outputs(directory) == expected


def test_n_prints_what_would_be_written(root: Path) -> None:
    directory = root / "lib" / "modules" / RELEASE
    shown = ours("-n", "-b", str(root), RELEASE)
    # kmod 30 knows no modules.weakdep; without weak dependencies it is a comment alone.
    without = "".join(
        line for line in shown.stdout.splitlines(keepends=True) if "Weak dependencies" not in line
    )
    assert Said(without, shown.stderr, shown.status) == theirs("-n", "-b", str(root), RELEASE)
    assert not (directory / "modules.dep").exists()


def test_v_tells_which_module_needs_which(root: Path) -> None:
    told = ours("-v", "-b", str(root), RELEASE)
    assert sorted(told.stdout.splitlines()) == sorted(
        theirs("-v", "-b", str(root), RELEASE).stdout.splitlines()
    )
    assert 'user.ko needs "base_do": ' in told.stdout


def test_w_warns_of_an_alias_that_a_module_has_twice(root: Path) -> None:
    said = ours("-w", "-b", str(root), RELEASE)
    assert said == theirs("-w", "-b", str(root), RELEASE)
    assert said.stderr == "depmod: WARNING: duplicate module alias:\nsame_alias user\n"


def test_e_reports_symbols_that_nobody_has(root: Path, tmp_path: Path) -> None:
    symvers = tmp_path / "Module.symvers"
    symvers.write_text(
        "0x00000008\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n"
        f"{'0x8ed3af4f':s}\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n"
    )
    arguments = ("-e", "-E", str(symvers), "-n", "-b", str(root), RELEASE)
    mine, reference = ours(*arguments), theirs(*arguments)
    assert mine.status == reference.status == 0
    assert sorted(mine.stderr.splitlines()) == sorted(reference.stderr.splitlines())
    assert "needs unknown symbol missing" in mine.stderr
    assert "disagrees about version of symbol _printk" in mine.stderr


def test_a_system_map_that_is_a_stub_is_refused(root: Path, tmp_path: Path) -> None:
    stub = tmp_path / "System.map"
    stub.write_text("ffffffffffffffff B The real System.map is in the linux-image-dbg package\n")
    said = ours("-e", "-F", str(stub), "-b", str(root), RELEASE)
    assert said.status == 1
    assert said.stderr.startswith(f"depmod: FATAL: could not load {stub}: a stub of ")


def test_another_output_directory_is_made(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert ours("-b", str(root), "-o", str(output), RELEASE) == Said("", "", 0)
    assert (output / "lib" / "modules" / RELEASE / "modules.dep.bin").exists()
    assert not (root / "lib" / "modules" / RELEASE / "modules.dep").exists()


def test_another_module_directory_is_searched(root: Path) -> None:
    (root / "opt").mkdir()
    shutil.move(root / "lib" / "modules", root / "opt" / "kernels")
    assert ours("-b", str(root), "-m", "/opt/kernels", RELEASE) == Said("", "", 0)
    assert (root / "opt" / "kernels" / RELEASE / "modules.dep").exists()


def test_c_names_another_configuration(root: Path, tmp_path: Path) -> None:
    updates = root / "lib" / "modules" / RELEASE / "extra"
    updates.mkdir()
    shutil.copy(updates.with_name("kernel") / "base.ko", updates)
    config = tmp_path / "order.conf"
    config.write_text("search extra built-in\n")
    for build in (theirs, ours):
        build("-C", str(config), "-b", str(root), RELEASE)
        dependencies = (updates.parent / "modules.dep").read_text()
        assert "extra/base.ko:" in dependencies
        assert "kernel/base.ko:" not in dependencies


def test_only_the_files_that_are_named_are_looked_at(root: Path) -> None:
    file = root / "lib" / "modules" / RELEASE / "kernel" / "base.ko"
    arguments = ("-n", "-b", str(root), RELEASE, str(file))
    assert ours(*arguments).stdout.splitlines()[0] == theirs(*arguments).stdout.splitlines()[0]
    relative = ours("-b", str(root), RELEASE, "base.ko")
    assert (relative.stderr, relative.status) == (
        "depmod: FATAL: base.ko: not absolute path.\n",
        1,
    )


@pytest.mark.parametrize(
    ("arguments", "stderr"),
    [
        (("-n", "abc"), "depmod: ERROR: Bad version passed abc\n"),
        (
            ("-n", "-E", "a", "-F", "b", RELEASE),
            "depmod: FATAL: -E and -F are mutually exclusive\n",
        ),
        (
            ("-n", "-e", "-E", "/nosuch", "-b", "{root}", RELEASE),
            "depmod: FATAL: could not load /nosuch: No such file or directory\n",
        ),
        (
            ("-b", "{root}", "9.9.9"),
            "depmod: ERROR: could not open directory {root}/lib/modules/9.9.9: "
            "No such file or directory\n"
            "depmod: FATAL: could not search modules: No such file or directory\n",
        ),
    ],
)
def test_a_mistake_is_told_in_kmods_words(
    root: Path, arguments: tuple[str, ...], stderr: str
) -> None:
    said = ours(*(word.replace("{root}", str(root)) for word in arguments))
    assert (said.stderr, said.status) == (stderr.replace("{root}", str(root)), 1)


def test_debians_symbols_are_all_accounted_for(debian_tree: DebianTree) -> None:
    headers = Path("/usr/src") / f"linux-headers-{debian_tree.release}" / "Module.symvers"
    require(headers.exists(), "Module.symvers is in Debian's linux-headers package")
    arguments = ("-e", "-E", str(headers), "-n", "-b", str(debian_tree.root), debian_tree.release)
    assert ours(*arguments).stderr == theirs(*arguments).stderr
