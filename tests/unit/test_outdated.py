# SPDX-License-Identifier: Apache-2.0
"""Which loaded modules are not what their files are by now."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from kmodd.errors import TreeError
from kmodd.kernel.base import ModuleBuild
from kmodd.kernel.linux import LinuxKernel
from kmodd.modulefile import Compression
from kmodd.namespace import Namespace, Staleness
from kmodd.plan import LoadRequest
from tests.support.compression import compress
from tests.support.elf_writer import ModuleSpec, build_note, write_module
from tests.support.namespaces import namespace_on
from tests.support.small_tree import empty_tree
from tests.support.tree import ModuleTree


def image(name: str, build: str = "", source: str = "") -> bytes:
    return write_module(
        ModuleSpec(
            name=name,
            versions=(),
            modinfo=(("srcversion", source),) if source else (),
            sections=(build_note(build),) if build else (),
        )
    )


def put(tree: ModuleTree, name: str, content: bytes) -> None:
    """Put a file in its place as dpkg does."""
    file = tree.directory / name
    file.with_suffix(".dpkg-new").write_bytes(content)
    file.with_suffix(".dpkg-new").rename(file)


def found(namespace: Namespace) -> Sequence[tuple[str, Staleness]]:
    return [(each.name, each.staleness) for each in namespace.outdated()]


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    return empty_tree(tmp_path)


def test_a_module_is_told_by_its_build_id_else_by_its_sources(tree: ModuleTree) -> None:
    put(tree, "by_id.ko", image("by_id", "00ff", "A"))
    put(tree, "by_source.ko", image("by_source", source="B"))
    put(tree, "packed.ko.xz", compress(image("packed", "aa00"), Compression.XZ))
    put(tree, "nameless.ko", image("nameless"))
    put(tree, "gone.ko", image("gone", "11"))
    put(tree, "broken.ko", image("broken", "22"))
    put(tree, "unmarked.ko", image("unmarked", "33"))
    put(tree, "same.ko", image("same", "44", "C"))
    namespace, _ = namespace_on(tree)
    names = ("by_id", "by_source", "packed", "nameless", "gone", "broken", "unmarked", "same")
    for name in names:
        assert namespace.load(LoadRequest(name=name)).error is None
    assert found(namespace) == [("nameless", Staleness.UNKNOWN)]
    put(tree, "by_id.ko", image("by_id", "00fe", "A"))
    put(tree, "by_source.ko", image("by_source", source="D"))
    put(tree, "packed.ko.xz", compress(image("packed", "aa01"), Compression.XZ))
    (tree.directory / "gone.ko").unlink()
    put(tree, "broken.ko", b"this is no module\n")
    put(tree, "unmarked.ko", image("unmarked"))
    put(tree, "same.ko", image("same", "44", "E"))
    by_name = {each.name: each for each in namespace.outdated()}
    assert {name: each.staleness for name, each in by_name.items()} == {
        "broken": Staleness.UNREADABLE,
        "by_id": Staleness.CHANGED,
        "by_source": Staleness.CHANGED,
        "gone": Staleness.GONE,
        "nameless": Staleness.UNKNOWN,
        "packed": Staleness.CHANGED,
        "unmarked": Staleness.CHANGED,
    }
    assert by_name["by_id"].loaded == ModuleBuild("00ff", "A")
    assert by_name["by_id"].file == ModuleBuild("00fe", "A")
    assert by_name["by_id"].path == f"{tree.directory}/by_id.ko"
    assert by_name["broken"].why
    assert (by_name["gone"].path, by_name["gone"].file) == ("", None)


def test_a_file_that_was_overwritten_in_its_place_is_read_anew(tree: ModuleTree) -> None:
    file = tree.directory / "a.ko"
    file.write_bytes(image("a", "01"))
    namespace, _ = namespace_on(tree)
    namespace.load(LoadRequest(name="a"))
    before = os.stat(tree.directory).st_mtime_ns
    file.write_bytes(image("a", "02"))
    assert os.stat(tree.directory).st_mtime_ns == before
    assert found(namespace) == [("a", Staleness.CHANGED)]
    file.write_bytes(image("a", "01"))
    assert found(namespace) == []


def test_a_module_whose_kernel_has_another_name_for_it_is_its_file(tree: ModuleTree) -> None:
    put(tree, "my-mod.ko", image("my-mod", "01"))
    namespace, kernel = namespace_on(tree)
    namespace.load(LoadRequest(name="my_mod"))
    assert [each.name for each in kernel.modules()] == ["my-mod"]
    assert found(namespace) == []
    put(tree, "my-mod.ko", image("my-mod", "02"))
    assert found(namespace) == [("my_mod", Staleness.CHANGED)]


def test_without_a_tree_nothing_is_called_gone(tree: ModuleTree) -> None:
    put(tree, "a.ko", image("a", "01"))
    namespace, _ = namespace_on(tree)
    namespace.load(LoadRequest(name="a"))
    tree.directory.rename(tree.root / "away")
    with pytest.raises(TreeError):
        namespace.outdated()


def test_the_linux_kernel_tells_the_build_by_two_files(tmp_path: Path) -> None:
    kernel = LinuxKernel(
        proc=tmp_path / "proc", sysfs=tmp_path / "sys", log_device=tmp_path / "kmsg"
    )
    module = tmp_path / "sys/module/greet"
    (module / "notes").mkdir(parents=True)
    (module / "srcversion").write_text("0123456789ABCDEF\n")
    assert kernel.build("greet") == ModuleBuild("", "0123456789ABCDEF")
    note = module / "notes/.note.gnu.build-id"
    note.write_bytes(build_note("00ff17").data)
    assert kernel.build("greet") == ModuleBuild("00ff17", "0123456789ABCDEF")
    note.write_bytes(build_note("00ff17", order=">").data)  # as on s390
    assert kernel.build("greet").build_id == "00ff17"
    for cut in range(len(note.read_bytes()) - 1):
        note.write_bytes(build_note("00ff17").data[:cut])
        assert kernel.build("greet").build_id == ("00ff17" if cut >= 19 else "")
    assert kernel.build("nosuch") == ModuleBuild()
