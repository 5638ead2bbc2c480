# SPDX-License-Identifier: Apache-2.0
"""The machine's own modprobe as an oracle, on a root of ours and, if need be, a kernel of ours.

modprobe asks the kernel through files alone: /sys/module for what is loaded, /proc/cmdline for
its command line. In a mount namespace of its own it finds ours there.
"""

import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.require import require

_IN_NAMESPACE = 'mount --bind "$1" /sys/module; mount --bind "$2" /proc/cmdline; set +e; eval "$3"'
_AFTER_EACH = "printf '\\0%d\\0' $?; printf '\\0' >&2"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run of modprobe came to."""

    lines: tuple[str, ...]
    errors: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Modprobe:
    """modprobe for the tree of ``release`` under ``root``, with ``config`` as its configuration.

    ``shell`` is the command that runs a script where modprobe sees the kernel it shall see.
    """

    root: Path
    release: str
    config: Path
    program: str
    shell: tuple[str, ...]

    def run(self, *arguments: str) -> Answer:
        """Run it; nothing is loaded or unloaded as long as the arguments do not ask for that."""
        return self.run_all([arguments])[0]

    def run_all(self, cases: Sequence[Sequence[str]]) -> list[Answer]:
        """Run it for each of these arguments, all in one shell, which is much quicker."""
        begin = (self.program, "-C", self.config, "-d", self.root, "-S", self.release)
        runs = [shlex.join(str(word) for word in (*begin, *arguments)) for arguments in cases]
        answer = subprocess.run(
            [*self.shell, "\n".join(f"{run}; {_AFTER_EACH}" for run in runs)],
            capture_output=True,
            check=True,
        )
        outputs = _text(answer.stdout).split("\0")[:-1]
        errors = _text(answer.stderr).split("\0")[:-1]
        return [
            Answer(tuple(output.split("\n")[:-1]), error, status != "0")
            for output, status, error in zip(outputs[::2], outputs[1::2], errors, strict=True)
        ]


def _text(output: bytes) -> str:
    """The text as it is: in text mode subprocess would turn a carriage return into a line end."""
    return output.decode("utf-8", "surrogateescape")


def host_modprobe(root: Path, release: str, config: Path) -> Modprobe:
    """Return the machine's modprobe, which sees the machine's kernel; skips without one."""
    path = require("modprobe", "the comparison is with kmod's modprobe")
    return Modprobe(root, release, config, path, ("sh", "-c"))


def isolated_modprobe(root: Path, release: str, config: Path, kernel: Path) -> Modprobe:
    """Return the machine's modprobe, which sees the kernel of ``kernel`` (see write_kernel).

    Skips where a user may not have namespaces of their own.
    """
    path = require("modprobe", "the comparison is with kmod's modprobe")
    unshare = require("unshare", "a mount namespace needs unshare")
    inside = ("sh", "-ec", _IN_NAMESPACE, "sh", str(kernel / "module"), str(kernel / "cmdline"))
    shell = (unshare, "--map-root-user", "--mount", *inside)
    tried = subprocess.run([*shell, ":"], capture_output=True, text=True, check=False)
    require(tried.returncode == 0, f"mount namespaces are not allowed: {tried.stderr.strip()}")
    return Modprobe(root, release, config, path, shell)


def write_kernel(
    kernel: Path, *, loaded: Iterable[tuple[str, int, tuple[str, ...]]] = (), command_line: str = ""
) -> None:
    """Write what a kernel would say that has these modules (name, refcount, holders) live."""
    modules = kernel / "module"
    modules.mkdir(parents=True)
    for name, refcount, holders in loaded:
        for holder in holders:
            (modules / name / "holders" / holder).mkdir(parents=True)
        (modules / name / "holders").mkdir(parents=True, exist_ok=True)
        (modules / name / "refcnt").write_text(f"{refcount}\n")
        (modules / name / "initstate").write_text("live\n")
    (kernel / "cmdline").write_bytes(command_line.encode("utf-8", "surrogateescape"))
