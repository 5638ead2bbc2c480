# SPDX-License-Identifier: Apache-2.0
"""Module trees as the packages of distributions lay them out, without the system around them."""

from pathlib import Path

import pytest

from kmodd.kernel.emulated import VmlinuxSource
from kmodd.places import modules_directory
from kmodd.trees import Trees
from tests.support.kernel_image import (
    EXPORTS,
    RELEASE,
    bz_image,
    pack,
    vmlinux_sections,
    write_vmlinux,
)

IMAGE = bz_image(pack(write_vmlinux(vmlinux_sections()), "zstd"))
CONFIG = b"CONFIG_MODULES=y\nCONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n"

LAYOUTS = {
    "Debian 12": ("lib/modules", "boot/vmlinuz-{}", "boot/config-{}", "boot/System.map-{}"),
    "Debian 13": ("usr/lib/modules", "boot/vmlinuz-{}", "boot/config-{}", "boot/System.map-{}"),
    "Debian from Linux 7.2 on": (
        "usr/lib/modules",
        "usr/lib/modules/{}/vmlinuz",
        "usr/lib/modules/{}/config",
        "usr/lib/modules/{}/System.map",
    ),
    "Fedora": (
        "lib/modules",
        "lib/modules/{}/vmlinuz",
        "lib/modules/{}/config",
        "lib/modules/{}/System.map",
    ),
    "Arch": (
        "usr/lib/modules",
        "usr/lib/modules/{}/vmlinuz",
        "usr/lib/modules/{}/build/.config",
        "usr/lib/modules/{}/build/System.map",
    ),
}
"""Where each has its trees, the image, the configuration and System.map."""


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_kernel_of_a_package_is_known(name: str, tmp_path: Path) -> None:
    trees, image, config, system_map = LAYOUTS[name]
    for place, data in ((image, IMAGE), (config, CONFIG), (system_map, b"ffffffff T _printk\n")):
        path = tmp_path / place.format(RELEASE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    directory = tmp_path / trees / RELEASE
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "modules.builtin").touch()
    assert modules_directory(str(tmp_path)) == str(tmp_path / trees)
    found = Trees(tmp_path, RELEASE, publish=False)
    assert found.releases() == (RELEASE,)
    assert found.rebuild().database.modules == {}
    vmlinux = VmlinuxSource(tmp_path, RELEASE, found.directory, dict)()
    assert vmlinux.source == str(tmp_path / image.format(RELEASE))
    assert vmlinux.symbols.keys() == {each.name for each in EXPORTS}
    assert vmlinux.options.signatures_enforced
