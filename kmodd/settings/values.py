# SPDX-License-Identifier: Apache-2.0
"""What a daemon is told: its kernel, its root, its socket, its limits. Frozen once made."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmodd.access.caller import Role
from kmodd.access.grants import Grant

LOG_LEVELS = ("error", "warning", "info", "debug")

CONFIG = Path("/etc/kmodd/kmodd.toml")
"""The file of settings of the system's daemon."""

SYSTEM_RUNTIME = Path("/run/kmodd")
"""Where the system's daemon, which has the machine's own kernel, listens."""

ADMIN_SOCKET = SYSTEM_RUNTIME / "admin" / "kmodd.sock"
"""Where the system's daemon listens for administrators."""


def _number(default: Any, meaning: str) -> Any:
    """Return a field of a table of numbers; ``meaning`` is what kmodd.toml(5) says of it."""
    return field(default=default, metadata={"meaning": meaning})


VM_MEMORY = range(128, (1 << 20) + 1)
"""MiB that a virtual machine may have."""

VM_PROCESSORS = range(1, 257)
"""Processors that it may have."""

COMMAND_LINE_MAX = 4096
"""Bytes of the longest kernel command line; Linux itself takes 2048 on x86-64."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what callers can make the daemon do. Sizes in bytes, times in seconds."""

    image_bytes: int = _number(256 << 20, "the largest module image, decompressed")
    uploads_bytes: int = _number(512 << 20, "all uploads under way together")
    chunk_bytes: int = _number(1 << 20, "one message of an upload")
    upload_idle: float = _number(30.0, "how long an upload may pause")
    names_per_request: int = _number(1024, "the names in one request")
    upload: float = _number(600.0, "how long an upload may take")
    message_bytes: int = _number(4 << 20, "one message of a caller; 256 KiB but for admins")
    connections: int = _number(16384, "connections open at once, per socket")
    connection_idle: float = _number(3600.0, "how long a connection without a call stays open")
    ping_interval: float = _number(
        5.0, "how often a client may ping to keep its connection; one that does more is sent away"
    )
    concurrent_calls: int = _number(1024, "calls under way at once, per socket")
    client_idle: float = _number(
        30.0, "how long a call waits for the rest of its request, or for its answer to be taken"
    )
    command: float = _number(60.0, "how long a command of modprobe.d may take")
    readers: int = _number(
        8, "calls that look at the same time, per socket; more wait for their turn"
    )
    mutations: int = _number(512, "calls that change something at the same time, per socket")
    streams: int = _number(64, "streams open at the same time, per socket")
    drain: float = _number(
        30.0, "how long a stop takes at most; changes under way may go on until 5 s before"
    )
    holds: int = _number(32, "holds at the same time, per socket")
    user_share: float = _number(
        0.5,
        "the part of a socket's connections, calls, streams and holds that one user may have who "
        "is no admin, where others may connect, too",
    )
    user_bytes: int = _number(
        8 << 20, "what such a user may send in a second; more of it is read later"
    )
    connection_bytes: int = _number(
        4 << 20, "the same for each connection of those who are no admins"
    )
    events: int = _number(4096, "changes that are kept for those who follow them")


@dataclass(frozen=True, slots=True)
class Timing:
    """How the daemon follows a directory. Times in seconds."""

    debounce: float = _number(
        0.3,
        "how long a tree must be quiet before it is read anew; where no file is being written,"
        " no longer than things have come so far, but a tenth of it",
    )
    debounce_removal: float = _number(
        3.0, "the same for a tree that only loses files: nothing is written into it before"
    )
    debounce_max: float = _number(5.0, "how long after the first change that is put off at most")
    look: float = _number(
        10.0,
        "how often the time of each file is looked at where the file system may not tell of all"
        " changes; a sixth as often, and by directory, where it does",
    )
    poll: float = _number(2.0, "the same for a tree that has changed without being told of")


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSettings:
    """A socket to listen on.

    ``owner`` and ``group`` are names or numbers, None for the daemon's own. ``allow`` and ``deny``
    are patterns of modules for a loader or steward, ``parameters`` whether it may give them any,
    ``source`` what a steward's wishes are called.

    With ``grants`` each caller has the role that the rules give him, at most ``role``, and
    ``default`` where none is for him. ``name`` is what a service manager that made the socket
    calls it.
    """

    path: Path
    role: Role = Role.ADMIN
    mode: int = 0o600
    owner: str | int | None = None
    group: str | int | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    parameters: bool = False
    source: str = ""
    grants: bool = False
    default: Role = Role.NONE
    name: str = ""

    @property
    def is_shared(self) -> bool:
        """Whether others than its owner may connect."""
        return bool(self.mode & 0o022)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a daemon is started with.

    ``release`` is empty where the kernel decides it. ``publish`` is False where databases are
    only held in memory, ``watch`` where they are only rebuilt when somebody asks. ``state`` is a
    directory for what the next start can use, ``runtime`` one for what it can use until the machine
    reboots. ``kernel_command_line`` is for a kernel that is not the machine's; with ``run_code`` an
    emulated one runs modules' own code, where the emulator's library is installed. A guest boots
    ``kernel_image`` in place of the root's, with ``vm_accel`` (auto, kvm or tcg), ``vm_memory`` MiB
    and ``vm_processors``, 0 for as many as there are.

    ``modprobe_config`` are directories and files to read in place of the root's modprobe.d, where
    there are any. ``run_commands`` allows the commands in there to be run. ``deny`` are patterns
    of modules that are never loaded, each with a reason, and ``deny_builds`` the build ids of such,
    in lower hexadecimal digits. ``grants`` are the rules that give a caller a role, where a socket
    goes by them; the first that fits counts. ``kmod_exact`` is kmod to the letter, without what is
    better here; then nothing is denied. ``load_at_start`` honours modules-load.d, and with
    ``hotplug`` what devices want is loaded in udev's place. With ``publish_deny`` others find
    in modprobe.d what is never loaded, and the kernel is sealed ``seal_after`` seconds after the
    start, 0 for never. ``audit_file`` gets a line for each operation, where there is one, and
    ``metrics_file`` what is counted. ``front`` is the socket of the unit that reads what others
    than admins send; without one kmodd starts that process itself. ``desired_state`` is the
    directory whose files say what the machine is to have, and ``labels`` are what they may choose
    by.
    """

    kernel: str = "emulated"
    root: Path = Path("/")
    release: str = ""
    kernel_command_line: str = ""
    run_code: bool = True
    kernel_image: Path | None = None
    vm_accel: str = "auto"
    vm_memory: int = 512
    vm_processors: int = 0
    state: Path | None = None
    runtime: Path | None = None
    sockets: tuple[SocketSettings, ...] = (SocketSettings(path=ADMIN_SOCKET),)
    publish: bool = True
    watch: bool = True
    modprobe_config: tuple[Path, ...] = ()
    run_commands: bool = False
    deny: tuple[tuple[str, str], ...] = ()
    deny_builds: tuple[tuple[str, str], ...] = ()
    grants: tuple[Grant, ...] = ()
    kmod_exact: bool = False
    load_at_start: bool = False
    hotplug: bool = False
    publish_deny: bool = False
    seal_after: float = 0.0
    audit_file: Path | None = None
    metrics_file: Path | None = None
    front: Path | None = None
    desired_state: Path | None = None
    labels: tuple[tuple[str, str], ...] = ()
    log_level: str = "info"
    limits: Limits = field(default_factory=Limits)
    timing: Timing = field(default_factory=Timing)


def check_command_line(text: str) -> str:
    """Return a kernel command line as it is; raises ValueError for what cannot be one."""
    if "\n" in text or "\0" in text or len(os.fsencode(text)) > COMMAND_LINE_MAX:
        raise ValueError(f"is one line of at most {COMMAND_LINE_MAX} bytes")
    return text


def default_state() -> Path | None:
    """Return where this user's daemon keeps its state; None for a user without a home."""
    given = os.environ.get("STATE_DIRECTORY")  # systemd's StateDirectory=
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/kmodd")
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "kmodd" if home.startswith("/") else None


def default_cache() -> Path | None:
    """Return where a user's private daemons share what they read; None for one without a home."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "kmodd" if home.startswith("/") else None


def default_runtime() -> Path | None:
    """Return where this user's daemon keeps what a reboot may take; None where there is no place.

    What systemd's RuntimeDirectory= made comes as paths with colons between them.
    """
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return ADMIN_SOCKET.parents[1]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "kmodd" if runtime else None


def default_config() -> Path | None:
    """Return this user's file of settings, whether or not there is one."""
    if os.geteuid() == 0:
        return CONFIG
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / "kmodd" / "kmodd.toml" if home.startswith("/") else None


def default_wishes(config: Path | None) -> Path | None:
    """Return the directory that says what the machine is to have, beside the file of settings."""
    return config.absolute().with_name("state.d") if config is not None else None


def default_socket() -> Path | None:
    """Return where this user's daemon listens; None where the user has no run-time directory."""
    if os.geteuid() == 0:
        return ADMIN_SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "kmodd" / "kmodd.sock" if runtime else None
