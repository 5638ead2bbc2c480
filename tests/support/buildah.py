# SPDX-License-Identifier: Apache-2.0
"""Images built by buildah, where it can: without a registry, and with a store of its own."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.require import find_tool

BARE = "localhost/bare"
"""The image that others begin with."""

_NEEDLESS = (
    *(
        "usr/src",
        "usr/include",
        "usr/lib/gcc",
        "usr/libexec/gcc",
        "usr/share/doc",
        "usr/share/perl",
    ),
    *("var/cache", "var/lib/apt", "dev", "proc", "sys", "tmp"),
)
"""What of a bare system is in no image."""


class Buildah:
    """Builds into a store below ``work``."""

    def __init__(self, work: Path) -> None:
        """Raises OSError where there is no buildah that can build here."""
        self._work = work
        found = find_tool("buildah")
        if found is None:
            raise FileNotFoundError("there is no buildah")
        places = ["--root", f"{work}/store", "--runroot", f"{work}/run"]
        self._words = [found, *places, "--storage-driver", "overlay"]
        probe = work / "probe"
        probe.mkdir(parents=True)
        (probe / "Containerfile").write_text("FROM scratch\nCOPY Containerfile /\n")
        probed = self._tried("build", "--isolation", "chroot", "-t", "probe", str(probe))
        if probed.returncode != 0:
            raise OSError(probed.stderr)

    def add_base(self, root: Path) -> None:
        """Make the image BARE of the system below ``root``."""
        context = self._work / "bare"
        context.mkdir()
        left = [f"--exclude=./{each}/*" for each in _NEEDLESS]
        subprocess.run(["tar", "-C", root, *left, "-cf", context / "root.tar", "."], check=True)
        (context / "Containerfile").write_text("FROM scratch\nADD root.tar /\n")
        self._done("build", "--isolation", "chroot", "-t", BARE, str(context))

    def build(self, sources: Path, target: str, volumes: Mapping[Path, str]) -> None:
        """Build a stage of the Containerfile in ``sources`` as the image of that name."""
        words = ["--isolation", "chroot", "--pull-never", "--build-arg", f"BASE={BARE}"]
        words += [f"--volume={path}:{place}:ro" for path, place in volumes.items()]
        self._done("build", *words, "--target", target, "-t", target, str(sources))

    def run(
        self, image: str, command: Sequence[str], volumes: Mapping[Path, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in an image, with the image's user and environment."""
        container = self._done("from", "--pull-never", f"localhost/{image}").stdout.strip()
        mounted = [f"--volume={path}:{place}" for path, place in volumes.items()]
        return self._tried("run", "--isolation", "chroot", *mounted, container, "--", *command)

    def _done(self, *words: str) -> subprocess.CompletedProcess[str]:
        ran = self._tried(*words)
        assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
        return ran

    def _tried(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*self._words, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)
