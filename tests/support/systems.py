# SPDX-License-Identifier: Apache-2.0
"""Bare systems of Debian's suites: with a compiler and a kernel's headers, or to be booted.

mmdebstrap makes one, which is kept in tests/.cache until the suite has another kernel. Nothing is
written into it later: a command has what it writes into in /tmp.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.apt import ARCHITECTURE, apt_of, output, sources_of
from tests.support.debian import CACHE, locked
from tests.support.require import require

PROJECT = Path(__file__).parents[2]

COMPILING = ("binutils", "gcc", "libc6-dev", "linux-headers-amd64", "make", "python3-venv")
"""What a lesson in writing modules takes, and an installation of kmodd."""

BOOTING = ("kmod", "passwd", "python3", "systemd-sysv")
"""What a guest takes that has kmodd as a service."""

PACKAGES = {"bookworm": BOOTING, "trixie": (*COMPILING, *BOOTING, "dkms")}
"""What is in a system, where it is not what compiles alone."""


@dataclass(frozen=True, slots=True)
class DebianSystem:
    """A system below ``root``, with the headers of ``release``."""

    root: Path
    release: str

    @property
    def headers(self) -> str:
        """The headers, as the system has them."""
        return f"/usr/src/linux-headers-{self.release}"

    def run(
        self,
        command: Sequence[str],
        directories: Mapping[str, Path],
        *,
        cwd: str = "/tmp",  # the system's own
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the system, without a network.

        ``directories`` are had by their names in /tmp, or by an absolute path that the system has;
        all else that is written is lost.
        """
        bwrap = require("bwrap", "a system to run something in needs the package bubblewrap")
        words = [bwrap, "--unshare-all", "--die-with-parent", "--ro-bind", str(self.root), "/"]
        words += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/root"]
        for name, directory in directories.items():
            words += ["--bind", str(directory), os.path.join("/tmp", name)]
        plain = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            [*words, "--chdir", cwd, *command],
            env=plain | dict(environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )


def system_of(suite: str, cache: Path = CACHE) -> DebianSystem:
    """Return a bare system of the suite; the first call makes it, in some minutes.

    Skips where that cannot be done.
    """
    require(os.geteuid() == 0, "a bare system of Debian's is made by root")
    require("mmdebstrap", "a bare system of Debian's needs the package mmdebstrap")
    with locked(cache):
        release = apt_of(suite, cache).newest("linux-headers", ARCHITECTURE)
        packages = PACKAGES.get(suite, COMPILING)
        digest = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]
        root = cache / f"system-{suite}-{release}-{digest}"
    # It takes minutes, in which others get other things from the cache.
    with locked(cache / f"making-{suite}"):
        if not root.exists():
            _make(suite, packages, root)
    return DebianSystem(root, release)


def download_wheels(system: DebianSystem, directory: Path) -> None:
    """Download what kmodd needs in a system, for its version of Python, and to be built there."""
    version = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    python = system.run(["python3", "-c", version], {}).stdout.strip()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extra = project["project"]["optional-dependencies"]["emulator"]
    wanted = project["project"]["dependencies"] + extra + project["build-system"]["requires"]
    tags = [f"manylinux{each}_x86_64" for each in ("1", "2010", "2014", "_2_17", "_2_28")]
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:"]
    command += ["--implementation=cp", f"--python-version={python}", "-d", str(directory)]
    command += [f"--platform={tag}" for tag in tags]
    answer = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
    require(answer.returncode == 0, f"cannot download for Python {python}: {answer.stderr.strip()}")


def _make(suite: str, packages: Sequence[str], root: Path) -> None:
    """Make the system at ``root``, which appears whole or not at all."""
    work = Path(tempfile.mkdtemp(dir=root.parent, prefix="system-"))
    # A mirror may be as it was some time ago, where the machine's apt takes that.
    valid = output("apt-config", "dump", "--format", "%v", "Acquire::Check-Valid-Until").strip()
    settings = {"Acquire::Check-Valid-Until": valid or "true", "Acquire::Languages": "none"}
    command = [
        *("mmdebstrap", "--quiet", "--variant=apt", f"--architectures={ARCHITECTURE}"),
        *(f'--aptopt={name} "{value}"' for name, value in settings.items()),
        *(f"--include={','.join(packages)}", suite, str(work / "root"), *sources_of(suite)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        require(done.returncode == 0, f"no system of {suite}: {done.stderr.strip()[-400:]}")
        (work / "root").rename(root)
    finally:
        shutil.rmtree(work)
