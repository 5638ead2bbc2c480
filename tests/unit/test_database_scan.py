# SPDX-License-Identifier: Apache-2.0
"""What a scan finds in a tree, and which files it opens."""

import errno
import os
from pathlib import Path
from typing import Literal

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import FileStamp, ModuleRecord
from kmodd.database import record as record_module
from kmodd.database.inventory import Inventory
from kmodd.database.scan import scan
from kmodd.errors import Reason, TreeError
from kmodd.modulefile import ElfMachine
from tests.support.elf_writer import ModuleSpec
from tests.support.small_tree import add_module, empty_tree, make_old, module_image
from tests.support.tree import ModuleTree

DEFAULT = DepmodConfig()


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    return empty_tree(tmp_path)


def inventory_of(
    tree: ModuleTree, config: DepmodConfig = DEFAULT, previous: Inventory | None = None
) -> Inventory:
    return scan(str(tree.directory), tree.release, config, previous)


def paths_of(tree: ModuleTree, config: DepmodConfig = DEFAULT) -> list[str]:
    return sorted(record.path for record in inventory_of(tree, config).records.values())


def test_a_record_holds_what_the_module_says(tree: ModuleTree) -> None:
    file = add_module(
        tree,
        "kernel/snd-hda.ko",
        exports=["snd_open"],
        imports=["_printk", "snd_core"],
        aliases=["pci:v1*", "hda-*"],
        softdeps=["pre: a"],
        weakdeps=["w"],
    )
    status = file.stat()
    assert dict(inventory_of(tree).records) == {
        "snd_hda": ModuleRecord(
            path="kernel/snd-hda.ko",
            name="snd_hda",
            stamp=FileStamp(
                status.st_dev,
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            ),
            exports=(("snd_open", 0x12345678),),
            imports=("_printk", "snd_core"),
            aliases=("pci:v1*", "hda-*"),
            softdeps=("pre: a",),
            weakdeps=("w",),
            vermagic="6.1.0-56-amd64 SMP preempt mod_unload modversions ",
        )
    }


@pytest.mark.parametrize("suffix", [".ko", ".ko.gz", ".ko.xz", ".ko.zst"])
def test_compressed_modules_are_read_like_plain_ones(tree: ModuleTree, suffix: str) -> None:
    for name in ("one", "two", "three"):
        add_module(tree, f"kernel/{name}{suffix}", exports=[f"{name}_do"])
    records = inventory_of(tree).records
    assert {name: record.exports[0][0] for name, record in records.items()} == {
        "one": "one_do",
        "two": "two_do",
        "three": "three_do",
    }


@pytest.mark.parametrize(
    ("machine", "bits", "byteorder"),
    [(ElfMachine.MIPS, 32, "big"), (ElfMachine.S390, 64, "big"), (ElfMachine.ARM, 32, "little")],
)
def test_modules_of_other_machines_are_read_as_well(
    tree: ModuleTree,
    machine: ElfMachine,
    bits: Literal[32, 64],
    byteorder: Literal["little", "big"],
) -> None:
    spec = ModuleSpec(machine=machine, bits=bits, byteorder=byteorder, versions=())
    image = module_image(exports=["f"], imports=["g"], aliases=["a"], spec=spec)
    (tree.directory / "m.ko").write_bytes(image)
    record = inventory_of(tree).records["m"]
    assert (record.exports, record.imports, record.aliases) == (
        (("f", 0x12345678),),
        ("g",),
        ("a",),
    )


def test_what_is_called_build_or_source_is_no_part_of_the_tree(tree: ModuleTree) -> None:
    for path in ("build/a.ko", "kernel/source/b.ko", "kernel/builds/c.ko", ".hidden/d.ko"):
        add_module(tree, path)
    assert paths_of(tree) == [".hidden/d.ko", "kernel/builds/c.ko"]


def test_only_regular_files_with_a_modules_suffix_count(tree: ModuleTree) -> None:
    add_module(tree, "kernel/dir.ko/in.ko")
    (tree.directory / "kernel/readme.txt").touch()
    (tree.directory / "kernel/x.ko.bz2").touch()
    (tree.directory / "kernel/dangling.ko").symlink_to("nowhere")
    os.mkfifo(tree.directory / "kernel/fifo.ko")
    assert paths_of(tree) == ["kernel/dir.ko/in.ko"]


def test_links_to_files_and_directories_are_followed(tree: ModuleTree, tmp_path: Path) -> None:
    outside = ModuleTree(tmp_path / "dkms", "1.0")
    add_module(outside, "o.ko")
    (tree.directory / "updates").symlink_to(outside.directory)
    add_module(tree, "kernel/real.ko")
    (tree.directory / "kernel/also.ko").symlink_to("real.ko")
    assert paths_of(tree) == ["kernel/also.ko", "kernel/real.ko", "updates/o.ko"]


def test_a_link_back_up_is_not_followed(tree: ModuleTree) -> None:
    add_module(tree, "kernel/deep/a.ko")
    (tree.directory / "kernel/deep/loop").symlink_to("../..")
    (tree.directory / "kernel/deep/self").symlink_to(".")
    (tree.directory / "kernel/deep/around").symlink_to("around")
    assert paths_of(tree) == ["kernel/deep/a.ko"]


def test_a_tree_of_links_that_multiply_is_refused(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodd.database.walk.MAX_DIRECTORIES", 1000)
    for level in range(12):
        (tree.directory / f"d{level}").mkdir()
        for twin in ("a", "b"):
            (tree.directory / f"d{level}" / twin).symlink_to(f"../d{level + 1}")
    with pytest.raises(TreeError, match="more than 1000 directories") as caught:
        inventory_of(tree)
    assert caught.value.reason is Reason.TREE_UNREADABLE


def test_of_equal_files_of_one_module_the_first_path_counts(tree: ModuleTree) -> None:
    for path in ("kernel/b/m.ko", "kernel/a/m.ko.xz", "kernel/a/m.ko", "kernel/c/m.ko"):
        add_module(tree, path)
    add_module(tree, "extra/snd-x.ko")
    add_module(tree, "kernel/snd_x.ko")
    assert paths_of(tree) == ["extra/snd-x.ko", "kernel/a/m.ko"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (DepmodConfig(), "updates/m-1.ko"),
        (DepmodConfig(search=("kernel/a", "extra")), "kernel/a/m-1.ko"),
        (DepmodConfig(search=("extra", "updates")), "extra/m-1.ko"),
        (DepmodConfig(search=("built-in", "updates")), "extra/m-1.ko"),
        (DepmodConfig(search=("kernel/b", "built-in", "updates")), "kernel/b/m-1.ko"),
        (DepmodConfig(search=("kernel/b/",)), "extra/m-1.ko"),
        (DepmodConfig(search=("upda",)), "extra/m-1.ko"),
        (DepmodConfig(overrides=("kernel/a/m-1",)), "kernel/a/m-1.ko"),
        (DepmodConfig(overrides=("kernel/a/m_1",)), "updates/m-1.ko"),
        (DepmodConfig(overrides=("extra/m-1", "kernel/b/m-1")), "kernel/b/m-1.ko"),
        (DepmodConfig(overrides=("kernel/a/m-1",), search=("extra",)), "kernel/a/m-1.ko"),
    ],
)
def test_depmod_d_decides_which_file_of_a_module_counts(
    tree: ModuleTree, config: DepmodConfig, expected: str
) -> None:
    for directory in ("kernel/a", "kernel/b", "updates", "extra"):
        add_module(tree, f"{directory}/m-1.ko")
    assert paths_of(tree, config) == [expected]


def test_excluded_names_are_left_out_at_any_depth(tree: ModuleTree) -> None:
    for path in ("exc/a.ko", "kernel/exc/b.ko", "kernel/c.ko", "kernel/d.ko"):
        add_module(tree, path)
    config = DepmodConfig(excludes=frozenset({"exc", "d.ko"}))
    assert paths_of(tree, config) == ["kernel/c.ko"]


def test_external_directories_keep_their_absolute_paths(tree: ModuleTree, tmp_path: Path) -> None:
    outside = ModuleTree(tmp_path / "opt", "1")
    add_module(outside, "sub/e.ko")
    add_module(outside, "m.ko")
    add_module(tree, "kernel/m.ko")
    directory = str(outside.directory)
    gone = str(tmp_path / "gone")
    config = DepmodConfig(externals=(directory, gone), search=("external", "built-in"))
    assert paths_of(tree, config) == [f"{directory}/m.ko", f"{directory}/sub/e.ko"]
    config = DepmodConfig(externals=(directory,), search=("built-in", "external"))
    assert paths_of(tree, config) == [f"{directory}/sub/e.ko", "kernel/m.ko"]


def test_a_file_that_is_no_module_is_listed_with_the_reason(tree: ModuleTree) -> None:
    add_module(tree, "kernel/good.ko")
    (tree.directory / "kernel/empty.ko").touch()
    (tree.directory / "kernel/text.ko.xz").write_bytes(b"\xfd7zXZ\0 but no more")
    inventory = inventory_of(tree)
    assert sorted(inventory.records) == ["empty", "good", "text"]
    assert inventory.records["empty"].error
    assert (
        inventory.records["empty"].stamp.inode == (tree.directory / "kernel/empty.ko").stat().st_ino
    )
    complaints = [line for line in inventory.problems if "failed to load symbols" in line]
    assert len(complaints) == 2
    assert f"{tree.directory}/kernel/empty.ko" in "".join(complaints)


def test_missing_lists_of_the_build_are_problems_and_no_errors(tree: ModuleTree) -> None:
    inventory = inventory_of(tree)
    assert (inventory.order, inventory.builtin, inventory.builtin_modinfo) == (None, None, None)
    assert inventory.problems[0] == (
        f"WARNING: could not open modules.order at {tree.directory}: No such file or directory"
    )


def test_a_fifo_in_place_of_a_list_blocks_nobody(tree: ModuleTree) -> None:
    os.mkfifo(tree.directory / "modules.order")
    assert inventory_of(tree).order is None


def test_a_broken_last_line_of_the_order_is_a_problem(tree: ModuleTree) -> None:
    (tree.directory / "modules.order").write_text("kernel/a.ko\nkernel/b.ko")
    assert any("modules.order:2 corrupted line" in line for line in inventory_of(tree).problems)


def test_the_problems_of_the_configuration_come_first(tree: ModuleTree) -> None:
    config = DepmodConfig(problems=("ERROR: x.conf:1: ignoring bad line",))
    assert inventory_of(tree, config).problems[0] == config.problems[0]


def test_without_a_directory_there_is_no_tree(tmp_path: Path) -> None:
    with pytest.raises(TreeError) as caught:
        scan(str(tmp_path / "gone"), "1", DepmodConfig())
    assert caught.value.reason is Reason.TREE_NOT_FOUND
    assert caught.value.errno == errno.ENOENT


def test_named_files_stand_in_for_the_walk(tree: ModuleTree) -> None:
    wanted = add_module(tree, "kernel/a.ko")
    add_module(tree, "kernel/b.ko")
    inventory = scan(
        str(tree.directory), tree.release, DepmodConfig(), only=[str(wanted), "/nowhere/x.ko"]
    )
    assert [record.path for record in inventory.records.values()] == ["kernel/a.ko"]
    assert "ERROR: /nowhere/x.ko is no module file" in inventory.problems


def test_progress_is_told_of_the_files_that_are_read(tree: ModuleTree) -> None:
    for number in range(70):
        add_module(tree, f"kernel/m{number}.ko")
    told: list[tuple[int, int]] = []
    scan(
        str(tree.directory),
        tree.release,
        DepmodConfig(),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(64, 70), (70, 70)]


class Reads:
    """Which modules a scan opens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        real = record_module.read_record

        def reading(directory: str, path: str) -> ModuleRecord:
            self.paths.append(path)
            return real(directory, path)

        monkeypatch.setattr(record_module, "read_record", reading)


def test_a_second_scan_reads_only_what_changed(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c", "d"):
        add_module(tree, f"kernel/{name}.ko")
    make_old(tree)
    first = inventory_of(tree)
    reads = Reads(monkeypatch)
    assert inventory_of(tree, previous=first) == first
    assert reads.paths == []

    add_module(tree, "kernel/b.ko", aliases=["new"])
    os.utime(tree.directory / "kernel/c.ko", (1, 1))
    (tree.directory / "kernel/d.ko").rename(tree.directory / "kernel/e.ko")
    second = inventory_of(tree, previous=first)
    assert sorted(reads.paths) == ["kernel/b.ko", "kernel/c.ko", "kernel/e.ko"]
    assert second.records["b"].aliases == ("new",)
    assert second.records["a"] is first.records["a"]


def test_a_module_that_was_written_just_now_is_read_once_more(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_module(tree, "kernel/a.ko", aliases=["old"])
    first = inventory_of(tree)
    reads = Reads(monkeypatch)
    second = inventory_of(tree, previous=first)
    assert reads.paths == ["kernel/a.ko"]
    make_old(tree)
    third = inventory_of(tree, previous=inventory_of(tree, previous=second))
    reads.paths.clear()
    inventory_of(tree, previous=third)
    assert reads.paths == []


def test_a_change_of_the_configuration_is_noticed_though_no_file_changed(tree: ModuleTree) -> None:
    add_module(tree, "extra/m.ko")
    add_module(tree, "kernel/m.ko")
    make_old(tree)
    first = inventory_of(tree)
    second = inventory_of(tree, DepmodConfig(search=("kernel",)), first)
    assert second.records["m"].path == "kernel/m.ko"
    assert (
        inventory_of(tree, DepmodConfig(excludes=frozenset({"kernel", "extra"})), second).records
        == {}
    )


def test_a_link_that_comes_to_lead_elsewhere_is_noticed(tree: ModuleTree, tmp_path: Path) -> None:
    outside = ModuleTree(tmp_path / "o", "1")
    add_module(outside, "one/m.ko", aliases=["one"])
    add_module(outside, "two/m.ko", aliases=["two"])
    here = outside.directory / "here"
    here.symlink_to("one")
    add_module(tree, "kernel/a.ko")
    (tree.directory / "updates").symlink_to(here)
    make_old(tree)
    make_old(outside)
    first = inventory_of(tree)
    assert first.records["m"].aliases == ("one",)
    here.unlink()
    here.symlink_to("two")
    assert inventory_of(tree, previous=first).records["m"].aliases == ("two",)


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_that_comes_to_lead_to_modules_is_noticed(
    tree: ModuleTree, tmp_path: Path, dangling: bool
) -> None:
    add_module(tree, "kernel/a.ko")
    target = tmp_path / "later"
    (tree.directory / "kernel/late").symlink_to(target)
    if not dangling:
        target.touch()
    make_old(tree)
    first = inventory_of(tree)
    target.unlink(missing_ok=True)
    later = ModuleTree(tmp_path / "elsewhere", "1")
    add_module(later, "late.ko")
    later.directory.rename(target)
    assert sorted(inventory_of(tree, previous=first).records) == ["a", "late"]


def test_a_module_that_comes_to_a_tree_at_rest_is_noticed(tree: ModuleTree) -> None:
    add_module(tree, "kernel/deep/a.ko")
    make_old(tree)
    first = inventory_of(tree)
    assert first.memory.complete
    add_module(tree, "kernel/deep/b.ko")
    assert sorted(inventory_of(tree, previous=first).records) == ["a", "b"]
    (tree.directory / "kernel/deep/b.ko").unlink()
    make_old(tree)
    again = inventory_of(tree, previous=first)
    (tree.directory / "kernel/new").mkdir()
    add_module(tree, "kernel/new/c.ko")
    assert sorted(inventory_of(tree, previous=again).records) == ["a", "c"]


def test_a_file_that_goes_before_it_is_read_is_no_part_of_the_tree(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_module(tree, "kernel/stays.ko")
    add_module(tree, "kernel/goes.ko")
    real = record_module.read_record

    def reading(directory: str, path: str) -> ModuleRecord:
        if path == "kernel/goes.ko":
            (tree.directory / path).unlink()
        return real(directory, path)

    monkeypatch.setattr(record_module, "read_record", reading)
    inventory = inventory_of(tree)
    assert list(inventory.records) == ["stays"]
    assert not inventory.memory.complete
    assert not any("goes.ko" in problem for problem in inventory.problems)
