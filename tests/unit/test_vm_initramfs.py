# SPDX-License-Identifier: Apache-2.0
"""The guest's initial RAM disk, as cpio reads it."""

import subprocess
from pathlib import Path

from kmodd.kernel.vm.initramfs import PortModule, initramfs, port_modules
from kmodd.kernel.vm.machines import X86_64
from tests.realkernel.machine import database_of
from tests.support.require import require
from tests.support.small_tree import add_module, empty_tree, module_image


def test_cpio_unpacks_what_was_put_in(tmp_path: Path) -> None:
    cpio = require("cpio", "the archive is read with cpio")
    modules = (PortModule("virtio", b"first"), PortModule("virtio_pci", b"second one"))
    archive = initramfs(b"\x7fELF agent", modules)
    subprocess.run(
        [cpio, "--quiet", "--extract", "--no-absolute-filenames"],
        input=archive,
        cwd=tmp_path,
        check=True,
    )
    found = {
        str(path.relative_to(tmp_path)): path.read_bytes() if path.is_file() else None
        for path in tmp_path.rglob("*")
    }
    assert found == {
        "dev": None,
        "init": b"\x7fELF agent",
        "modules": None,
        "modules/list": b"/modules/virtio.ko\n/modules/virtio_pci.ko\n",
        "modules/virtio.ko": b"first",
        "modules/virtio_pci.ko": b"second one",
        "proc": None,
        "sys": None,
    }
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "modules/virtio.ko").stat().st_mode & 0o777 == 0o644
    assert archive == initramfs(b"\x7fELF agent", modules)


def test_the_ports_modules_come_in_order_and_unpacked(tmp_path: Path) -> None:
    tree = empty_tree(tmp_path)
    add_module(tree, "kernel/ring.ko.xz", exports=["ring_do"])
    add_module(tree, "kernel/virtio.ko.zst", exports=["virtio_do"], imports=["ring_do"])
    add_module(tree, "kernel/virtio_pci.ko.gz", imports=["virtio_do"])
    add_module(tree, "kernel/virtio_console.ko", imports=["virtio_do"])
    add_module(tree, "kernel/virtio_net.ko", imports=["virtio_do"])
    found = port_modules(database_of(tree), X86_64)
    assert [each.name for each in found] == ["ring", "virtio", "virtio_pci", "virtio_console"]
    ring = module_image(exports=["ring_do"], spec=None)
    assert all(each.image.startswith(b"\x7fELF") for each in found)
    assert len(found[0].image) >= len(ring) // 2
