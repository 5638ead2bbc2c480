# SPDX-License-Identifier: Apache-2.0
"""``kmodctl depmod`` with the options that need no daemon, beside the machine's own depmod."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
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
    reference = theirs("-n", "-b", str(root), RELEASE)
    # kmod 30 knows no modules.weakdep; without weak dependencies it is a comment alone.
    headline = "# Weak dependencies extracted from modules themselves.\n"
    assert headline in shown.stdout
    assert replace(shown, stdout=shown.stdout.replace(headline, "")) == replace(
        reference, stdout=reference.stdout.replace(headline, "")
    )
    assert not (directory / "modules.dep").exists()


def test_v_tells_which_module_needs_which(root: Path) -> None:
    told = ours("-v", "-b", str(root), RELEASE)
    assert sorted(told.stdout.splitlines()) == sorted(
        theirs("-v", "-b", str(root), RELEASE).stdout.splitlines()
    )
    assert 'user.ko needs "base_do": ' in told.stdout


def test_v_tells_it_before_n_prints(root: Path) -> None:
    printed = ours("-n", "-v", "-b", str(root), RELEASE).stdout
    assert printed.index(' needs "base_do": ') < printed.index("kernel/base.ko:\n")


def test_w_warns_of_an_alias_that_a_module_has_twice(root: Path) -> None:
    said = ours("-w", "-b", str(root), RELEASE)
    assert said == theirs("-w", "-b", str(root), RELEASE)
    assert said.stderr == "depmod: WARNING: duplicate module alias:\nsame_alias user\n"


def test_w_names_an_alias_as_it_is_looked_up(root: Path) -> None:
    spec = ModuleSpec(
        name="base", modinfo=(("alias", "a_b"), ("alias", "a-b[-]"), ("alias", "a-b"))
    )
    kernel = root / "lib" / "modules" / RELEASE / "kernel"
    (kernel / "base.ko").write_bytes(write_module(spec))
    said = ours("-w", "-b", str(root), RELEASE)
    assert said == theirs("-w", "-b", str(root), RELEASE)
    assert "\na_b base\n" in said.stderr


@pytest.mark.parametrize(
    "contents",
    [
        "ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n",
        "ffffffff81000000 T _text\nffffffff82000000 r __ksymtab_strings\n",
        "",
    ],
)
def test_a_stub_of_a_system_map_is_told_once(root: Path, tmp_path: Path, contents: str) -> None:
    (tmp_path / "System.map").write_text(contents)
    arguments = ("-a", "-e", "-F", str(tmp_path / "System.map"), "-b", str(root), RELEASE)
    reference = theirs(*arguments)
    directory = root / "lib" / "modules" / RELEASE
    expected = outputs(directory)
    for name in TEXTS:
        (directory / f"modules.{name}").unlink()
    mine = ours(*arguments)
    assert (mine.stdout, mine.status) == (reference.stdout, reference.status) == ("", 0)
    assert mine.stderr == (
        f"depmod: WARNING: {tmp_path}/System.map is a stub that names no symbol of a kernel: "
        "what modules need is not checked\n"
    )
    assert outputs(directory) == expected


def test_a_system_map_of_few_lines_is_gone_by(root: Path, tmp_path: Path) -> None:
    (tmp_path / "System.map").write_text("ffffffff81000000 r __ksymtab__printk\n")
    arguments = ("-e", "-F", str(tmp_path / "System.map"), "-b", str(root), RELEASE)
    mine, reference = ours(*arguments), theirs(*arguments)
    assert mine.status == reference.status == 0
    assert sorted(mine.stderr.splitlines()) == sorted(reference.stderr.splitlines())
    assert "needs unknown symbol missing" in mine.stderr


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


def test_e_knows_what_the_linker_and_the_loader_put_there(root: Path, tmp_path: Path) -> None:
    names = ("__this_module", "_GLOBAL_OFFSET_TABLE_", ".TOC.", ".base_do", ".missing")
    spec = ModuleSpec(name="other", imports=tuple(Import(name) for name in names), versions=())
    kernel = root / "lib" / "modules" / RELEASE / "kernel"
    (kernel / "other.ko").write_bytes(write_module(spec))
    symbols = tmp_path / "System.map"
    symbols.write_text("ffffffff81000000 r __ksymtab__printk\n" * 1000)
    arguments = ("-e", "-F", str(symbols), "-b", str(root), RELEASE)
    mine, reference = ours(*arguments), theirs(*arguments)
    assert sorted(mine.stderr.splitlines()) == sorted(reference.stderr.splitlines())
    assert f"{kernel}/other.ko needs unknown symbol .missing\n" in mine.stderr
    assert ".TOC." not in mine.stderr


def test_p_takes_a_letter_off_the_symbols_that_begin_with_it(root: Path) -> None:
    directory = root / "lib" / "modules" / RELEASE
    for name, exports, imports in (
        ("base", ("_base_do", "undo", "__twice"), ()),
        ("user", (), ("_undo", "_base_do", "._twice")),
        ("other", (), ("base_do", "twice", "__twice")),
    ):
        spec = ModuleSpec(
            name=name,
            exports=tuple(Export(symbol) for symbol in exports),
            imports=tuple(Import(symbol) for symbol in imports),
            versions=(),
        )
        (directory / "kernel" / f"{name}.ko").write_bytes(write_module(spec))
    arguments = ("-v", "-P", "_", "-b", str(root), RELEASE)
    reference = theirs(*arguments)
    expected = outputs(directory)
    told = ours(*arguments)
    assert sorted(told.stdout.splitlines()) == sorted(reference.stdout.splitlines())
    assert outputs(directory) == expected
    assert b"kernel/other.ko: kernel/base.ko\n" in expected["dep"]


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
    named = (*arguments, str(file.with_name("user.ko")))
    assert ours("-a", *named).stdout == ours("-n", "-b", str(root), RELEASE).stdout
    relative = ours("-b", str(root), RELEASE, "base.ko")
    assert (relative.stderr, relative.status) == (
        "depmod: FATAL: base.ko: not absolute path.\n",
        1,
    )


def test_a_file_that_is_named_need_not_be_called_a_module(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "user.of-old"
    kernel = root / "lib" / "modules" / RELEASE / "kernel"
    file.write_bytes((kernel / "user.ko").read_bytes())
    config = tmp_path / "bad.conf"
    config.write_text("bad line\n")
    words = ("-C", str(config), "-b", str(root), RELEASE, str(file), str(kernel / "base.ko"))
    assert theirs(*words) == Said("", "", 0)
    expected = outputs(kernel.parent)
    assert ours(*words) == Said("", "", 0)
    assert outputs(kernel.parent) == expected
    assert f"{file}: kernel/base.ko\n".encode() in expected["dep"]


def test_one_module_cannot_be_named_twice(root: Path) -> None:
    kernel = root / "lib" / "modules" / RELEASE / "kernel"
    (kernel / "sub").mkdir()
    twin = kernel / "sub" / "base.ko"
    shutil.copy(kernel / "base.ko", twin)
    words = ("-n", "-b", str(root), RELEASE, str(kernel / "base.ko"), str(twin))
    said = ours(*words)
    assert said == Said("", f"depmod: FATAL: could not create module {twin}: File exists\n", 1)
    assert said.stderr in theirs(*words).stderr


def test_a_link_that_leads_nowhere_is_told_whatever_it_is_called(root: Path) -> None:
    directory = root / "lib" / "modules" / RELEASE
    names = ("gone.ko", "gone.ko.xz", "kernel/readme", "updates", "modules.order")
    (directory / "modules.order").unlink()
    for name in (*names, "build", "source", "kernel/build"):
        (directory / name).symlink_to("nowhere")
    (directory / "round").symlink_to("round")
    mine, reference = ours("-b", str(root), RELEASE), theirs("-b", str(root), RELEASE)
    assert mine.status == reference.status == 0
    why = "No such file or directory"
    assert sorted(mine.stderr.splitlines()) == sorted(
        [
            *(f"depmod: ERROR: could not open {directory}/{name}: {why}" for name in names),
            f"depmod: ERROR: could not open {directory}/round: Too many levels of symbolic links",
            f"depmod: WARNING: could not open modules.order at {directory}: {why}",
        ]
    )
    assert len(mine.stderr.splitlines()) == len(reference.stderr.splitlines())


def test_a_directory_of_depmod_d_that_is_not_there_is_told(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "my.conf"
    config.write_text("external * /nowhere\n")
    said = ours("-C", str(config), "-b", str(root), RELEASE)
    assert said == Said(
        "", "depmod: ERROR: could not open /nowhere: No such file or directory\n", 0
    )


def test_bytes_of_paths_are_told_as_they_are(root: Path) -> None:
    odd = os.fsencode(root / "lib" / "modules" / RELEASE / "kernel") + b"/\xff"
    os.mkdir(odd)
    user = write_module(ModuleSpec(name="odd", imports=(Import("base_do"),), versions=()))
    for name, data in ((b"/odd.ko", user), (b"/no.ko", b"")):
        with open(odd + name, "wb") as file:
            file.write(data)
    command = [sys.executable, "-m", "kmodctl", "depmod", "-v", "-b", str(root), RELEASE]
    environment = {**os.environ, **NO_DAEMON, "LC_ALL": "en_US.UTF-8", "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert b'/\xff/odd.ko needs "base_do": ' in ran.stdout
    assert b"failed to load symbols from " + odd + b"/no.ko: " in ran.stderr


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
        *(
            ((option, "/nosuch", "-n", "-b", "{root}", RELEASE), missing)
            for option in ("-E", "-F")
            for missing in ("depmod: FATAL: could not load /nosuch: No such file or directory\n",)
        ),
        *(
            (("-P", prefix, RELEASE), "depmod: FATAL: -P only takes a single char\n")
            for prefix in ("", "ab")
        ),
        (("-n", "/a.ko"), "depmod: ERROR: Bad version passed /a.ko\n"),
        (
            ("-n", "-b", "{root}", RELEASE, "/nowhere/a.ko"),
            "depmod: FATAL: could not create module /nowhere/a.ko: No such file or directory\n",
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
    words = [word.replace("{root}", str(root)) for word in arguments]
    said = ours(*words)
    assert (said.stderr, said.status) == (stderr.replace("{root}", str(root)), 1)
    # kmod 30 takes both of -E and -F.
    if "-F" not in words or "-E" not in words:
        assert said == theirs(*words)


def test_debians_symbols_are_all_accounted_for(debian_tree: DebianTree) -> None:
    headers = Path("/usr/src") / f"linux-headers-{debian_tree.release}" / "Module.symvers"
    require(headers.exists(), "Module.symvers is in Debian's linux-headers package")
    arguments = ("-e", "-E", str(headers), "-n", "-b", str(debian_tree.root), debian_tree.release)
    assert ours(*arguments).stderr == theirs(*arguments).stderr
