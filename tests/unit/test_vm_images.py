# SPDX-License-Identifier: Apache-2.0
"""Which machine and which image a release is booted with, and what is said where there is none."""

import os
import struct
from pathlib import Path

import pytest

from kmodd.errors import KernelError, KernelImageError
from kmodd.kernel.vm.boot import Booter, BootOptions
from kmodd.kernel.vm.images import GuestImage, boot_file, image_for, machine_for
from kmodd.kernel.vm.initramfs import port_modules
from kmodd.kernel.vm.machines import AARCH64, MACHINES, S390X, X86_64
from kmodd.modulefile import ElfMachine
from tests.realkernel.machine import database_of
from tests.support.elf_writer import ModuleSpec
from tests.support.kernel_image import (
    Linked,
    bz_image,
    flat_kernel,
    pack,
    write_vmlinux,
    zboot_image,
)
from tests.support.small_tree import RELEASE, add_module, empty_tree, module_image
from tests.support.tree import ModuleTree

PVH = struct.pack("<III4sQ", 4, 8, 18, b"Xen\0", 0x1000000)


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    """A release whose modules are for x86-64, and whose port's are modules, too."""
    tree = empty_tree(tmp_path / "root")
    add_module(tree, "kernel/virtio.ko", exports=["virtio_do"])
    add_module(tree, "kernel/virtio_pci.ko.xz", imports=["virtio_do"])
    add_module(tree, "kernel/virtio_console.ko", imports=["virtio_do"])
    return tree


def machine_in(tree: ModuleTree) -> str:
    database = database_of(tree)
    return machine_for(database.modules, database.directory, RELEASE).architecture


def put(tree: ModuleTree, contents: bytes) -> Path:
    path = tree.root / f"boot/vmlinuz-{RELEASE}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(contents)
    return path


def test_the_modules_say_which_machine_it_is(tree: ModuleTree) -> None:
    assert machine_in(tree) == "x86_64"
    spec = ModuleSpec(name="arm", machine=ElfMachine.AARCH64, versions=())
    other = empty_tree(tree.root.parent / "arm")
    (other.directory / "damaged.ko").write_bytes(b"no module")
    (other.directory / "zarm.ko").write_bytes(module_image(spec=spec))
    assert machine_in(other) == "aarch64"


def test_a_processor_without_a_guest_and_a_tree_without_modules_are_told(tmp_path: Path) -> None:
    tree = empty_tree(tmp_path)
    with pytest.raises(KernelError, match="no module that tells which processor"):
        machine_in(tree)
    spec = ModuleSpec(name="big", machine=ElfMachine.SPARCV9, byteorder="big", versions=())
    (tree.directory / "big.ko").write_bytes(module_image(spec=spec))
    with pytest.raises(KernelError, match=r"machine 43, 64 bits.*x86_64, aarch64"):
        machine_in(tree)


def test_a_release_without_an_image_names_the_places_and_the_package(tree: ModuleTree) -> None:
    with pytest.raises(KernelError) as raised:
        image_for(tree.root, RELEASE, X86_64, None)
    for words in (f"boot/vmlinuz-{RELEASE}", f"linux-image-{RELEASE}", "--kernel-image"):
        assert words in raised.value.message


@pytest.mark.parametrize(
    ("contents", "is_for"),
    [
        (flat_kernel(b""), "aarch64"),
        (zboot_image(pack(flat_kernel(b""), "gzip"), "gzip"), "aarch64"),
        (bytes(0x10008) + b"S390EP", "s390x"),
        (write_vmlinux([], order=">"), "ELF machine"),
    ],
)
def test_an_image_for_another_processor_is_refused(
    tree: ModuleTree, contents: bytes, is_for: str
) -> None:
    path = put(tree, contents)
    with pytest.raises(KernelImageError, match=is_for) as raised:
        image_for(tree.root, RELEASE, X86_64, None)
    assert str(path) in raised.value.message
    assert "x86_64" in raised.value.message


def test_an_image_of_the_right_processor_is_taken_from_where_it_is_said_to_be(
    tree: ModuleTree, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "Image"
    elsewhere.write_bytes(flat_kernel(b""))
    assert image_for(tree.root, RELEASE, AARCH64, elsewhere) == GuestImage(elsewhere, AARCH64)
    elsewhere.write_bytes(bytes(0x10008) + b"S390EP")
    assert image_for(tree.root, RELEASE, S390X, elsewhere).path == elsewhere


def test_an_image_without_wrappings_is_found_by_debians_name(tree: ModuleTree) -> None:
    path = put(tree, write_vmlinux([])).rename(tree.root / f"boot/vmlinux-{RELEASE}")
    assert image_for(tree.root, RELEASE, X86_64, None).path == path


def test_what_cannot_be_read_or_is_no_image_is_refused(tree: ModuleTree, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(KernelImageError, match="cannot be read"):
            image_for(tree.root, RELEASE, X86_64, path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"not a kernel, and no image of one")
    for path in (pipe, nothing):
        with pytest.raises(KernelImageError):
            image_for(tree.root, RELEASE, X86_64, path)


def test_a_kernel_with_a_pvh_entry_is_booted_unpacked(tree: ModuleTree) -> None:
    kernel = write_vmlinux([Linked(".notes", 0x1000, PVH)])
    image = image_for(tree.root, RELEASE, X86_64, put(tree, bz_image(pack(kernel, "xz"))))
    with boot_file(image) as file:
        assert Path(file.path).read_bytes() == kernel
        assert file.descriptors == (file.descriptor,)
    assert file.descriptor is not None
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(file.descriptor)


def test_a_kernel_without_one_is_booted_as_it_is(tree: ModuleTree) -> None:
    path = put(tree, bz_image(pack(write_vmlinux([]), "gzip")))
    with boot_file(image_for(tree.root, RELEASE, X86_64, None)) as file:
        assert (file.path, file.descriptors) == (str(path), ())


def test_a_kernel_without_a_console_port_is_told_with_what_has_it(tree: ModuleTree) -> None:
    (tree.directory / "kernel/virtio_console.ko").unlink()
    with pytest.raises(KernelError, match=r"virtio_console.*linux-image-amd64"):
        port_modules(database_of(tree), X86_64)
    (tree.directory / "modules.builtin").write_text("kernel/drivers/char/virtio_console.ko\n")
    names = [each.name for each in port_modules(database_of(tree), X86_64)]
    assert names == ["virtio", "virtio_pci"]


def test_what_drives_the_bus_of_s390x_is_never_a_module(tree: ModuleTree) -> None:
    names = [each.name for each in port_modules(database_of(tree), S390X)]
    assert names == ["virtio", "virtio_console"]


def test_without_qemu_its_package_is_named(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(tree, bz_image(pack(write_vmlinux([]), "gzip")))
    monkeypatch.setenv("PATH", str(tmp_path))
    options = BootOptions(
        root=tree.root,
        release=RELEASE,
        tree=database_of(tree),
    )
    with pytest.raises(KernelError, match=r"qemu-system-x86_64, .*package qemu-system-x86 "):
        Booter(options)


def test_each_machine_is_for_an_architecture_of_its_own() -> None:
    names = [each.architecture for each in MACHINES]
    assert len(set(names)) == len(names) == 5
