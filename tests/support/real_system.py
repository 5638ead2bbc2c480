# SPDX-License-Identifier: Apache-2.0
"""A bare Debian system that is changed: packages come and go in it, and what it was is kept.

It is a file system of its own over that of the system, in a mount namespace, and takes root.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.require import require

_PREPARE = """
mount -t tmpfs -o mode=755 tmpfs "$1" && mkdir "$1/upper" "$1/work" "$1/root" &&
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/root" &&
mount -t proc proc "$1/root/proc" && mount --rbind /dev "$1/root/dev" &&
mkdir -p "$1/root/packages" && mount --bind "$3" "$1/root/packages" || exit
echo ready
read -r _
"""

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
"""What a command finds."""


@dataclass(frozen=True, slots=True)
class RealSystem:
    """The system in its namespace, which the process ``keeper`` keeps; ``place`` is where it is
    mounted there.
    """

    keeper: int
    place: Path

    @property
    def root(self) -> Path:
        """Its root, as others see it."""
        return Path(f"/proc/{self.keeper}/root{self.place}/root")

    @property
    def changed(self) -> Path:
        """The directory of what is otherwise than it was."""
        return Path(f"/proc/{self.keeper}/root{self.place}/upper")

    def words(self, *command: str) -> tuple[str, ...]:
        """Return the command that runs one in the system."""
        entering = ("nsenter", f"--mount=/proc/{self.keeper}/ns/mnt")
        return (*entering, "chroot", f"{self.place}/root", *command)

    def run(
        self, *command: str, environment: Mapping[str, str] | None = None, status: int = 0
    ) -> str:
        """Run a command in the system; returns what it prints.

        Raises AssertionError with that where its exit status is another.
        """
        done = subprocess.run(
            self.words(*command),
            env=ENVIRONMENT | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{' '.join(command)}:\n{done.stdout}"
        return done.stdout

    def sh(self, script: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a shell script likewise."""
        return self.run("sh", "-euc", script, environment=environment)

    def files(self, below: str = "") -> Sequence[str]:
        """Return the changed files below a directory, by their paths, whether they are gone or not.

        A directory of a file that is there is none.
        """
        found = (path for path in (self.changed / below).rglob("*") if not path.is_dir())
        return sorted(str(path.relative_to(self.changed)) for path in found)


@contextmanager
def changing(system: Path, work: Path, packages: Path) -> Iterator[RealSystem]:
    """Give the system at the root ``system``, to be changed; it has ``packages`` in /packages.

    ``work`` is an empty directory. Skips where this process may not mount anything.
    """
    unshare = require("unshare", "a mount namespace needs unshare")
    require("nsenter", "a mount namespace is entered by nsenter")
    command = [unshare, "--mount", "sh", "-c", _PREPARE, "sh", *map(str, (work, system, packages))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if keeper.stdout.readline() != "ready\n":
            require(False, f"mount namespaces are not allowed: {keeper.stderr.read().strip()}")
        try:
            yield RealSystem(keeper.pid, work)
        finally:
            keeper.stdin.close()
