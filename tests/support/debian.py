# SPDX-License-Identifier: Apache-2.0
"""Debian's own kernel modules, downloaded and unpacked without being installed.

The release is the one that the metapackage of a suite points at today, so nothing here goes stale.
The package is kept in tests/.cache, unpacked, for every later run.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.apt import ARCHITECTURE, Apt, apt_of, machine_architecture, unpack
from tests.support.require import require
from tests.support.tree import ModuleTree

CACHE = Path(__file__).parents[1] / ".cache"

SUITES = ("bookworm", "trixie", "sid")
"""Those whose kernels are tested: Linux 6.1, 6.12, and what is newest."""


@dataclass(frozen=True, slots=True)
class DebianTree(ModuleTree):
    """An unpacked kernel image package, as it is packed: ``lib`` may be in ``usr`` alone.

    Shared by all tests: nobody writes into it. ``copy`` gives a tree to write into.
    """

    @property
    def kernel_image(self) -> Path:
        """The bootable kernel (vmlinuz)."""
        in_boot = self.root / "boot" / f"vmlinuz-{self.release}"
        return in_boot if in_boot.exists() else self.directory / "vmlinuz"


def debian_release() -> str:
    """Return the release of Debian's current kernel, "6.1.0-56-amd64"; skips without apt."""
    return Apt().newest("linux-image", machine_architecture())


def headers() -> Path:
    """Return the installed headers of Debian's current kernel; skips where there are none."""
    release = Apt().newest("linux-headers", machine_architecture())
    directory = Path("/usr/src") / f"linux-headers-{release}"
    require(directory.is_dir(), f"building modules needs the package linux-headers-{release}")
    return directory


def unpacked_tree(cache: Path = CACHE) -> DebianTree:
    """Return Debian's current kernel package, unpacked in ``cache``; the first call downloads it.

    Skips where apt cannot name or fetch the package. Safe to call from several processes: the
    first one works, the others wait for it.
    """
    with locked(cache):
        return _unpacked(Apt(), machine_architecture(), cache)


def tree_of(suite: str, cache: Path = CACHE) -> DebianTree:
    """Return the same of the current kernel of one of Debian's suites, for x86-64."""
    with locked(cache):
        return _unpacked(apt_of(suite, cache), ARCHITECTURE, cache)


def _unpacked(apt: Apt, architecture: str, cache: Path) -> DebianTree:
    release = apt.newest("linux-image", architecture)
    package = f"linux-image-{release}"
    root = cache / apt.file_name(package).removesuffix(".deb")
    if not root.exists():
        # From Linux 7.2 on it only needs others, which have -RELEASE in the end, too.
        parts = [each for each in apt.needed(package) if each.endswith(f"-{release}")]
        _unpack_packages(apt, [package, *parts], root)
    return DebianTree(root=root, release=release)


def _unpack_packages(apt: Apt, packages: list[str], root: Path) -> None:
    """Download ``packages`` and unpack them as ``root``, which appears whole or not at all."""
    work = Path(tempfile.mkdtemp(dir=root.parent, prefix="unpacking-"))
    try:
        unpack([apt.download(each, work) for each in packages], work / "tree")
        (work / "tree").rename(root)
    finally:
        shutil.rmtree(work)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, alone among all processes; the directory is made if missing."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
