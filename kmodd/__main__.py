# SPDX-License-Identifier: Apache-2.0
"""The command ``kmodd``: arguments into settings, then the daemon."""

import argparse
import faulthandler
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kmodd import __version__
from kmodd.daemon import running, serve
from kmodd.errors import KmoddError
from kmodd.settings import Limits, Settings, default_socket, default_state
from kmodd.signals import SignalInbox, caught
from kmodd.systemd import log_handler

LOG_LEVELS = ("error", "warning", "info", "debug")

EPILOG = """\
kmodd serve        run until SIGTERM; 'serve' may be left out
kmodd run -- CMD   run CMD with a private daemon, whose socket it finds in KMODD_SOCKET;
                   the exit status is CMD's
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "serve")
    options = make_parser().parse_args(words)
    # Not set_defaults(): the two actions share the option, and the last default would be both's.
    level = options.log_level or ("warning" if options.action == "run" else "info")
    logging.basicConfig(level=level.upper(), handlers=[log_handler()])
    logging.getLogger("watchdog").setLevel(logging.INFO)  # it tells of every event otherwise
    settings = Settings(
        kernel=options.kernel,
        root=options.root,
        release=options.release or "",
        publish=not options.no_publish,
        modprobe_config=tuple(options.modprobe_config),
        run_commands=options.allow_commands,
        deny=tuple(options.deny),
        kmod_exact=options.kmod_exact,
        limits=Limits(command=options.command_time),
    )
    try:
        if options.action == "run":
            return _run(replace(settings, socket=options.socket), options.command)
        return _serve(settings, options)
    except KmoddError as error:
        print(f"kmodd: {error.message}", file=sys.stderr)
    except OSError as error:
        print(f"kmodd: {error.filename or 'error'}: {error.strerror}", file=sys.stderr)
    return 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of kmodd's arguments."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--kernel",
        choices=("emulated", "linux"),
        default="emulated",
        help="the kernel that modules are loaded into: one of kmodd's own, or the one that this "
        "machine runs (default: %(default)s)",
    )
    common.add_argument(
        "--root",
        metavar="DIR",
        type=_directory,
        default=Path("/"),
        help="a system root: module trees are in DIR/lib/modules (default: /)",
    )
    common.add_argument(
        "--release",
        metavar="VERSION",
        help="the kernel's release (default: the newest in DIR/lib/modules, or the running one's)",
    )
    common.add_argument(
        "--socket", metavar="PATH", type=Path, help="where to listen (default: see the README)"
    )
    common.add_argument("--log-level", choices=LOG_LEVELS, help="how much to log")
    common.add_argument(
        "--no-publish", action="store_true", help="write no databases, serve them from memory"
    )
    _add_policy(common)
    parser = argparse.ArgumentParser(
        prog="kmodd",
        description="Own a kernel module namespace: keep the databases of its module trees fresh, "
        "and load and unload modules for the clients of a Unix socket.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kmodd {__version__}")
    actions = parser.add_subparsers(dest="action", metavar="serve | run", required=True)
    serving = actions.add_parser("serve", parents=[common], help="run until SIGTERM")
    serving.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        help="where to keep what was read of the trees (default: /var/lib/kmodd for root, "
        "~/.local/state/kmodd for a user)",
    )
    serving.add_argument(
        "--no-watch",
        dest="watch",
        action="store_false",
        help="rebuild databases only when asked to",
    )
    private = actions.add_parser("run", parents=[common], help="run a command's private daemon")
    private.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    return parser


def _add_policy(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how modules are loaded."""
    parser.add_argument(
        "--modprobe-config",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="a directory or file to read in place of DIR's modprobe.d; may be given again",
    )
    parser.add_argument(
        "--allow-commands",
        action="store_true",
        help="run the install and remove commands of modprobe.d",
    )
    parser.add_argument(
        "--command-time",
        metavar="SECONDS",
        type=float,
        default=Limits().command,
        help="how long such a command may take (default: %(default)s)",
    )
    parser.add_argument(
        "--deny",
        metavar="PATTERN[=REASON]",
        type=_denial,
        action="append",
        default=[],
        help="never load modules of these names; may be given again",
    )
    parser.add_argument(
        "--kmod-exact", action="store_true", help="do as kmod does, without what is better here"
    )


def _denial(text: str) -> tuple[str, str]:
    pattern, _, reason = text.partition("=")
    return pattern, reason


def _directory(text: str) -> Path:
    path = Path(text).absolute()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a directory")
    return path


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    place = options.socket or default_socket()
    if place is None:
        print("kmodd: XDG_RUNTIME_DIR is not set; give --socket PATH", file=sys.stderr)
        return 1
    state = options.state or default_state()
    faulthandler.enable()  # the watchdog's SIGABRT then tells what every thread was doing
    serve(replace(settings, socket=place.absolute(), state=state, watch=options.watch))
    return 0


def _run(settings: Settings, command: Sequence[str]) -> int:
    """Run ``command`` with a daemon of its own; returns its exit status."""
    command = command[1:] if command[:1] == ["--"] else command
    if not command:
        print("kmodd run: a command is missing (kmodd run -- COMMAND)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="kmodd-") as directory:
        socket = settings.socket or Path(directory, "kmodd.sock")
        with running(replace(settings, socket=socket.absolute())) as daemon:
            return _run_command(command, daemon.socket)


def _run_command(command: Sequence[str], socket: Path) -> int:
    environment = {**os.environ, "KMODD_SOCKET": str(socket), "PATH": _search_path()}
    with caught((signal.SIGTERM, signal.SIGINT)) as inbox:
        try:
            child = subprocess.Popen(command, env=environment)
        except OSError as error:
            print(f"kmodd: {command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        threading.Thread(target=_forward, args=(inbox, child), daemon=True).start()
        status = child.wait()
    return 128 - status if status < 0 else status


def _forward(inbox: SignalInbox, child: "subprocess.Popen[bytes]") -> None:
    """Hand SIGTERM on to the child; SIGINT it gets from the terminal itself."""
    while (number := inbox.wait()) is not None:
        if number is signal.SIGTERM:
            child.send_signal(number)


def _search_path() -> str:
    """PATH, with the directory of this installation's kmodctl behind it where it has none."""
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("kmodctl", path=path):
        return path
    return f"{path}{os.pathsep}{Path(sys.executable).parent}"


if __name__ == "__main__":
    sys.exit(main())
