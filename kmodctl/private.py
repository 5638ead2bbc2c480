# SPDX-License-Identifier: Apache-2.0
"""What is done for one call with the caller's own rights, most of it by a daemon.

Options that name another root or another configuration are not for a daemon that may be root:
it would read what its callers cannot. So kmodctl starts one of its own for them, which ends with
the call, however that ends.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from kmodctl.errors import KmodctlError, NoDaemonError

if TYPE_CHECKING:
    from kmodctl.client import Client
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
    those of this system. ``exact`` has everything done as kmod does it.
    """

    root: str
    release: str = ""
    config: tuple[str, ...] = ()
    exact: bool = False


def place_beside(
    connect: "Callable[[], Client]",
    root: str | None,
    release: str = "",
    config: tuple[str, ...] = (),
) -> PrivateRoot:
    """Return what a private daemon is to serve beside the one that ``connect`` finds.

    Without a ``root`` it is that one's; without a ``release`` that of its kernel, where the root
    has it. It does as that one does. Where no daemon answers, the place is as it is named.
    """
    try:
        with connect() as client:
            status = client.status()
    except NoDaemonError:
        return PrivateRoot(root or "/", release, config)
    if root is None:
        return PrivateRoot(status.root, release or status.release, config, status.kmod_exact)
    release = release or _release_of(status.release, root)
    return PrivateRoot(root, release, config, status.kmod_exact)


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
    if place.exact:
        words.append("--kmod-exact")
    release = place.release or _release_of(os.uname().release, place.root)
    if release:
        words += ["--release", release]
    for path in place.config or CONFIG_DIRECTORIES:
        words += ["--modprobe-config", os.path.abspath(path)]
    return words


def _release_of(release: str, root: str) -> str:
    """Return a kernel's ``release`` if ``root`` has its tree, or no tree at all, else ""."""
    trees = os.path.join(root or "/", "lib/modules")
    return release if release in _names(trees) or not _names(trees) else ""


def _names(directory: str) -> Sequence[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return ()
