# SPDX-License-Identifier: Apache-2.0
"""What is done for one call with the caller's own rights, most of it by a daemon.

Options that name another root or another configuration are not for a daemon that may be root:
it would read what its callers cannot. So kmodctl starts one of its own for them, which ends with
the call, however that ends.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from kmodctl.errors import KmodctlError

if TYPE_CHECKING:
    from kmodd.v1.database_service_pb2 import ModuleInfo

CONFIG_DIRECTORIES = tuple(
    f"{directory}/modprobe.d"
    for directory in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
"""Where modprobe's configuration is, whatever the root (modprobe.d(5))."""

# It tells where the daemon listens and then waits for its input to end, which it does with
# kmodctl. 'kmodd run' ends with its command.
_COMMAND = ("/bin/sh", "-c", 'echo "$KMODD_SOCKET" && exec cat >/dev/null')


class PrivateRoot(NamedTuple):
    """What a private daemon is to serve.

    ``root`` is the system root with the module trees. ``release`` is "" for the running kernel's
    where the root has it, else for the newest there. ``config`` are directories and files, () for
    those of this system.
    """

    root: str
    release: str = ""
    config: tuple[str, ...] = ()


@contextmanager
def private_daemon(place: PrivateRoot) -> Iterator[str]:
    """Run a daemon for ``place`` while the context is open; yields its socket's path.

    Raises KmodctlError with what the daemon says when it cannot start.
    """
    import subprocess

    daemon = subprocess.Popen(
        [sys.executable, "-P", "-m", "kmodd", "run", *_arguments(place), "--", *_COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    try:
        socket = daemon.stdout.readline().rstrip("\n")
        if not socket:
            said = daemon.communicate()[1].strip().rpartition("\n")[2]
            raise KmodctlError(said.removeprefix("kmodd: ") or "a private kmodd does not start")
        yield socket
    finally:
        if not daemon.stdin.closed:
            daemon.communicate()


def private_inspect(path: str) -> "ModuleInfo":
    """Return what the module file ``path`` says of itself, its symbols included.

    Raises OSError where the file cannot be read, and KmodctlError.
    """
    import subprocess

    from kmodd.v1.database_service_pb2 import InspectModuleResponse

    command = [sys.executable, "-P", "-m", "kmodd.oneshot.modinfo", path]
    with open(path, "rb") as file:
        ran = subprocess.run(command, stdin=file, capture_output=True, check=False)
    if ran.returncode != 0:
        raise KmodctlError(ran.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    return InspectModuleResponse.FromString(ran.stdout).module


def _arguments(place: PrivateRoot) -> list[str]:
    words = ["--no-publish", "--log-level", "error", "--root", place.root or "/"]
    release = place.release or _running_release(place.root)
    if release:
        words += ["--release", release]
    for path in place.config or CONFIG_DIRECTORIES:
        words += ["--modprobe-config", os.path.abspath(path)]
    return words


def _running_release(root: str) -> str:
    """Return the running kernel's release if ``root`` has its tree, or no tree at all."""
    release = os.uname().release
    trees = os.path.join(root or "/", "lib/modules")
    return release if release in _names(trees) or not _names(trees) else ""


def _names(directory: str) -> Sequence[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return ()
