# SPDX-License-Identifier: Apache-2.0
"""A daemon whose root has its kernel's image."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kernel_image import bz_image, pack, vmlinux_sections, write_vmlinux
from tests.support.tree import ModuleTree


@pytest.fixture
def image(modules_root: ModuleTree) -> Path:
    """Put an image beside the modules of tests/modules; it exports next to nothing."""
    path = modules_root.root / "boot" / f"vmlinuz-{modules_root.release}"
    path.parent.mkdir()
    path.write_bytes(bz_image(pack(write_vmlinux(vmlinux_sections(modules_root.release)), "xz")))
    return path


def run(tree: ModuleTree, cache: Path, script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kmodd", "run", "--root", str(tree.root)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        [*command, "--", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_the_image_is_read_once_and_tells_what_the_kernel_exports(
    modules_root: ModuleTree, image: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    for _ in range(2):
        ran = run(modules_root, cache, "kmodctl status; kmodctl modprobe hello")
        assert f"symbols:   {image}\n" in ran.stdout
        assert "Unknown symbol" in ran.stderr
        (kept,) = cache.glob("kmodd/*.image")
        first = kept.stat().st_ino
    assert kept.stat().st_ino == first


def test_what_others_could_have_written_is_read_anew(
    modules_root: ModuleTree, image: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert run(modules_root, cache, "true").stderr == ""
    (kept,) = cache.glob("kmodd/*.image")
    kept.write_bytes(kept.read_bytes().replace(b"_printk", b"_prints"))
    assert "is dropped" in run(modules_root, cache, "true").stderr
    kept.chmod(0o606)
    ran = run(modules_root, cache, "kmodctl status")
    assert f"{kept} is dropped: others may write it" in ran.stderr
    assert f"symbols:   {image}\n" in ran.stdout
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_damaged_image_is_told_of_and_the_daemon_serves(
    modules_root: ModuleTree, image: Path, tmp_path: Path
) -> None:
    image.write_bytes(image.read_bytes()[:1500])
    ran = run(modules_root, tmp_path / "cache", "kmodctl modprobe hello && kmodctl lsmod")
    assert ran.returncode == 0
    assert f"the kernel's image tells nothing: {image}: " in ran.stderr
    assert "hello" in ran.stdout
