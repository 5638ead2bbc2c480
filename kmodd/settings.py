# SPDX-License-Identifier: Apache-2.0
"""What a daemon is told: its kernel, its root, its socket, its limits. Frozen once made."""

import os
from dataclasses import dataclass, field
from pathlib import Path

ADMIN_SOCKET = Path("/run/kmodd/admin/kmodd.sock")
"""Where the system's daemon listens for administrators."""

SYSTEM_SOCKETS = (ADMIN_SOCKET, Path("/run/kmodd/observer/kmodd.sock"))
"""Where clients look for the system's daemon, in this order."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what callers can make the daemon do. Sizes in bytes, times in seconds."""

    image_bytes: int = 256 << 20
    uploads_bytes: int = 512 << 20
    chunk_bytes: int = 1 << 20
    upload_idle: float = 30.0
    names_per_request: int = 1024
    concurrent_calls: int = 1024
    command: float = 60.0
    readers: int = 8
    mutations: int = 512
    streams: int = 64
    drain: float = 30.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How the daemon follows a directory. Times in seconds.

    A tree is rebuilt when it has been quiet for ``debounce``, or ``debounce_max`` after the first
    change where it never is. ``look`` is how often each file's time is looked at where events
    tell of changes, ``poll`` where they do not; the published files are looked at as often.
    """

    debounce: float = 0.3
    debounce_max: float = 5.0
    look: float = 10.0
    poll: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a daemon is started with.

    ``release`` is empty where the kernel decides it. ``publish`` is False where databases are
    only held in memory, ``watch`` where they are only rebuilt when somebody asks. ``state`` is a
    directory for what the next start can use.

    ``modprobe_config`` are directories and files to read in place of the root's modprobe.d, where
    there are any. ``run_commands`` allows the commands in there to be run. ``deny`` are patterns
    of modules that are never loaded, each with a reason. ``kmod_exact`` is kmod to the letter,
    without what is better here; then nothing is denied.
    """

    kernel: str = "emulated"
    root: Path = Path("/")
    release: str = ""
    state: Path | None = None
    socket: Path = ADMIN_SOCKET
    socket_mode: int = 0o600
    publish: bool = True
    watch: bool = True
    modprobe_config: tuple[Path, ...] = ()
    run_commands: bool = False
    deny: tuple[tuple[str, str], ...] = ()
    kmod_exact: bool = False
    limits: Limits = field(default_factory=Limits)
    timing: Timing = field(default_factory=Timing)


def default_state() -> Path | None:
    """Return where this user's daemon keeps its state; None for a user without a home."""
    given = os.environ.get("STATE_DIRECTORY")  # systemd's StateDirectory=
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/kmodd")
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "kmodd" if home.startswith("/") else None


def default_socket() -> Path | None:
    """Return where this user's daemon listens; None where the user has no run-time directory."""
    if os.geteuid() == 0:
        return ADMIN_SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "kmodd" / "kmodd.sock" if runtime else None
