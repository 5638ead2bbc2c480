# SPDX-License-Identifier: Apache-2.0
"""Debian's own kernel modules, downloaded and unpacked without being installed.

The release is the one that the metapackage of the machine's architecture points at today, so
nothing here goes stale. The package is kept in tests/.cache, unpacked, for every later run.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.require import require
from tests.support.tree import ModuleTree

CACHE = Path(__file__).parents[1] / ".cache"
NEED = "Debian's kernel modules need apt-get and dpkg, and package lists (apt-get update)"


@dataclass(frozen=True, slots=True)
class DebianTree(ModuleTree):
    """An unpacked kernel image package: ``lib/modules/<release>`` and ``boot`` below ``root``.

    Shared by all tests: nobody writes into it. ``copy`` gives a tree to write into.
    """

    @property
    def kernel_image(self) -> Path:
        """The bootable kernel (vmlinuz)."""
        return self.root / "boot" / f"vmlinuz-{self.release}"


def debian_release() -> str:
    """Return the release of Debian's current kernel, "6.1.0-56-amd64"; skips without apt."""
    return _current("linux-image")


def headers() -> Path:
    """Return the installed headers of Debian's current kernel; skips where there are none."""
    release = _current("linux-headers")
    directory = Path("/usr/src") / f"linux-headers-{release}"
    require(directory.is_dir(), f"building modules needs the package linux-headers-{release}")
    return directory


def unpacked_tree(cache: Path = CACHE) -> DebianTree:
    """Return Debian's current kernel package, unpacked in ``cache``; the first call downloads it.

    Skips where apt cannot name or fetch the package. Safe to call from several processes: the
    first one works, the others wait for it.
    """
    release = debian_release()
    package = _package_file(f"linux-image-{release}")
    root = cache / package.removesuffix(".deb")
    with _locked(cache):
        if not root.exists():
            _unpack_package(f"linux-image-{release}", root)
    return DebianTree(root=root, release=release)


def _current(kind: str) -> str:
    """The release that the metapackage ``kind``-<architecture> depends on."""
    architecture = _output("dpkg", "--print-architecture").strip()
    listing = _output("apt-cache", "depends", "--important", f"{kind}-{architecture}")
    return _found(rf"Depends: {kind}-(\d\S+)", listing)


def _package_file(package: str) -> str:
    """The file name of the package's current version, which tells one build from the next."""
    listing = _output("apt-get", "download", "--print-uris", package)
    return _found(r"' (\S+\.deb) ", listing)


def _unpack_package(package: str, root: Path) -> None:
    """Download ``package`` and unpack it as ``root``, which appears whole or not at all."""
    work = Path(tempfile.mkdtemp(dir=root.parent, prefix="unpacking-"))
    try:
        # As root, apt downloads as a user of its own, who cannot write here.
        sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        command = ["apt-get", "-qq", *sandbox, "download", package]
        answer = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        require(answer.returncode == 0, f"cannot download {package}: {answer.stderr.strip()}")
        (archive,) = work.glob("*.deb")
        tree = work / "tree"
        subprocess.run(["dpkg", "-x", str(archive), str(tree)], check=True)
        if not (tree / "lib").exists():
            # From Debian 13 on the packages name the directory that /lib is a link to.
            (tree / "lib").symlink_to("usr/lib")
        tree.rename(root)
    finally:
        shutil.rmtree(work)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, alone among all processes; the directory is made if missing."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _found(pattern: str, listing: str) -> str:
    """The pattern's group in what apt said; skips where apt did not say it."""
    found = re.search(pattern, listing)
    require(found is not None, NEED)
    return found[1] if found else ""


def _output(tool: str, *arguments: str) -> str:
    """What a packaging tool prints, "" where it fails."""
    command = [require(tool, NEED), *arguments]
    environment = os.environ | {"LC_ALL": "C"}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return answer.stdout if answer.returncode == 0 else ""
