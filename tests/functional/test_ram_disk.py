# SPDX-License-Identifier: Apache-2.0
"""kmodctl beneath the tools that make initial RAM disks, with a daemon and with none.

mkinitramfs asks modprobe what modules need, modinfo for each one's firmware, and depmod for the
image's databases: 796 calls for a whole image, of which ``python -m tests.bench initramfs`` tells
the cost. dracut follows dependencies itself, and calls modinfo and depmod once.
"""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.daemon import running_daemon
from tests.support.debian import DebianTree
from tests.support.links import install_links
from tests.support.ram_disk import (
    Sandbox,
    contents,
    dracut,
    mkinitramfs,
    programs_with_links,
    settings_with,
)
from tests.support.require import require

MODULES = ("ext4", "f2fs", "isofs", "nvme", "qla2xxx")
"""What the images are for. None has two ``softdep`` lines, which add up here and not with kmod."""

NEEDED = {"jbd2", "nvme-core", "crc32c_generic"}
"""Some that those need."""

FOLDERS = ("arch", "block", "crypto", "drivers/md", "drivers/nvme", "drivers/scsi", "fs", "lib")
"""Where Debian has these and what they need."""

MAKERS = ("mkinitramfs", "dracut")


class Images:
    """Makes images of the same modules in ``work``."""

    def __init__(self, debian: DebianTree, work: Path) -> None:
        depmod = require("depmod", "images are made with databases that are there")
        tree = debian.copy(work / "root", *(f"kernel/{folder}" for folder in FOLDERS))
        subprocess.run([depmod, "-b", str(tree.root), tree.release], check=True)
        boot = debian.root / "boot"
        self.real = Sandbox(tree, boot)
        self.linked = Sandbox(tree, boot, programs_with_links(install_links(work), work / "sbin"))
        self.settings = settings_with(work / "settings", "".join(f"{name}\n" for name in MODULES))
        self.work = work

    def make(
        self, maker: str, name: str, sandbox: Sandbox, **environment: str
    ) -> Mapping[str, object]:
        """Make an image in a sandbox, and return what is in it."""
        image = self.work / f"{maker}-{name}.img"
        ran = subprocess.run(
            self._command(maker, sandbox, image),
            env={"PATH": "/usr/sbin:/usr/bin", "TMPDIR": str(self.work), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return contents(image, image.with_suffix(""))

    def _command(self, maker: str, sandbox: Sandbox, image: Path) -> Sequence[str]:
        if maker == "dracut":
            return dracut(sandbox, image, " ".join(MODULES))
        return mkinitramfs(sandbox, image, self.settings)


@pytest.fixture(scope="module")
def images(debian_tree: DebianTree, tmp_path_factory: pytest.TempPathFactory) -> Images:
    return Images(debian_tree, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module", params=MAKERS)
def maker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def expected(maker: str, images: Images) -> Mapping[str, object]:
    """What is in an image with kmod beneath."""
    made = images.make(maker, "kmod", images.real)
    modules = {Path(name).stem for name in made if name.endswith(".ko")}
    assert modules >= {*MODULES, *NEEDED}
    return made


def test_an_image_has_the_same_files_where_no_daemon_answers(
    maker: str, images: Images, expected: Mapping[str, object]
) -> None:
    assert images.make(maker, "alone", images.linked) == expected


def test_an_image_has_the_same_files_where_a_daemon_is_asked(
    maker: str, images: Images, expected: Mapping[str, object]
) -> None:
    words = ("--release", images.linked.tree.release, "--no-watch", "--no-publish")
    with running_daemon(Path("/"), *words, through=images.linked.through()) as daemon:
        environment = {"KMODD_SOCKET": str(daemon.socket)}
        assert images.make(maker, "asked", images.linked, **environment) == expected
