# SPDX-License-Identifier: Apache-2.0
"""A kernel for one command: a daemon of kmodd's that ends with this process."""

import os
import subprocess
import sys
import tempfile
from typing import Self

from kmodctl.errors import KmodctlError

_LIVES = 'echo "$KMODD_SOCKET" && exec cat >/dev/null'
"""What the daemon is run for: it tells its socket, and ends once nobody has its input any more."""


class PrivateKernelError(KmodctlError):
    """The daemon has not begun; it has said why on stderr."""

    reason = "NO_KERNEL"


class PrivateKernel:
    """``kmodd run`` with a kernel of a release, while the context is open.

    Its modules are those that the system root ``root`` has of the ``release``, of the newest where
    that is "". Without a root it is this machine's, or one with nothing but ``build``, where this
    machine has that directory's headers not as those of the release. It writes no databases.
    ``socket`` waits until it is there. It has a session of its own, so that the terminal's Ctrl-C
    does not reach it before what is to be taken out is out.
    """

    def __init__(self, kernel: str, release: str = "", root: str = "", build: str = "") -> None:
        self._kernel = kernel
        self._release = release
        self._given_root = root
        self._build = build
        self._socket = ""

    def __enter__(self) -> Self:
        self._place = tempfile.TemporaryDirectory(prefix="kmodctl-")
        options = ["--kernel", self._kernel, "--no-publish", "--root", self._root()]
        options += ["--release", self._release] if self._release else []
        # With -P the directory that this is called in has no say in which kmodd is run.
        command = [sys.executable, "-P", "-m", "kmodd", "run", *options]
        self._daemon = subprocess.Popen(
            [*command, "--", "sh", "-c", _LIVES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon.communicate()
        self._place.cleanup()

    @property
    def socket(self) -> str:
        """The daemon's socket; raises PrivateKernelError where it ends before it listens."""
        if not self._socket:
            assert self._daemon.stdout is not None
            self._socket = os.fsdecode(self._daemon.stdout.readline().removesuffix(b"\n"))
        if not self._socket:
            of = f" of {self._release}" if self._release else ""
            raise PrivateKernelError(f"no {self._kernel} kernel{of}")
        return self._socket

    def _root(self) -> str:
        """Return a system root in which the kernel finds what it is of."""
        if self._given_root or not self._build:
            return self._given_root or "/"
        for modules in ("/lib/modules", "/usr/lib/modules"):
            build = f"{modules}/{self._release}/build"
            if os.path.realpath(build) == os.path.realpath(self._build):
                return "/"
        tree = os.path.join(self._place.name, "lib/modules", self._release)
        os.makedirs(tree)
        os.symlink(self._build, os.path.join(tree, "build"))
        return self._place.name
