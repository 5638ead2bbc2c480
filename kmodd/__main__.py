# SPDX-License-Identifier: Apache-2.0
"""The command ``kmodd``: arguments into settings, then the daemon.

The daemon is imported when it is to run: it brings grpc, for which there is a choice to be made.
"""

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
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path

from kmodd import __version__
from kmodd.access.grants import Grants
from kmodd.access.trusted_files import check_files, first_untrusted
from kmodd.errors import KmoddError, Reason, RequestError
from kmodd.front.__main__ import main as run_front
from kmodd.host.ending import end
from kmodd.host.log import begin_logging
from kmodd.host.own_files import is_roots_service, own_files
from kmodd.host.signals import SignalInbox, caught
from kmodd.host.socket_checks import doubts, faults, unit_doubts
from kmodd.host.transport import choose_transport
from kmodd.host.unit import installed_unit
from kmodd.kernel.opening import KERNELS
from kmodd.settings import (
    LOG_LEVELS,
    Settings,
    SocketSettings,
    default_cache,
    default_config,
    default_runtime,
    default_socket,
    default_state,
    default_wishes,
)
from kmodd.settings.options import add_kernel, add_policy, add_upkeep
from kmodd.settings.toml import drop_ins_of, read_settings, settings_files, table_places
from kmodd.settings.values import CONFIG
from kmodd.settings.words import grant_words, socket_words
from kmodd.setup.options import add_arguments

EPILOG = """\
kmodd serve         run until SIGTERM; 'serve' may be left out
kmodd run [-- CMD]  run CMD, or a shell, with a private daemon, which insmod, lsmod,
                    modprobe, rmmod, modinfo, depmod and kmodctl find there;
                    the exit status is CMD's
kmodd check-config  say whether kmodd.toml is right, what is wrong where, and who may do
                    what at its sockets
kmodd setup         put kmodd on every road by which modules get in: what the kernel
                    asks for, devices, modules-load.d; 'kmodctl coverage' tells which
                    it is on
"""


CONFIG_HELP = (
    "the settings, see kmodd.toml(5) (default: /etc/kmodd/kmodd.toml for root, "
    "~/.config/kmodd/kmodd.toml for a user, neither of which kmodd run reads)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["front"]:  # which kmodd-public.service is
        return run_front()
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "serve")
    options = make_parser().parse_args(words)
    try:
        match options.action:
            case "check-config":
                return _check_config(options.config)
            case "setup":
                from kmodd.setup.command import set_up

                return set_up(options)
            case "run":
                end(_run(options))
            case _:
                end(_serve(options))
    except KmoddError as error:
        for line in error.message.splitlines():
            print(f"kmodd: {line}", file=sys.stderr)
    except OSError as error:
        print(f"kmodd: {error.filename or 'error'}: {error.strerror}", file=sys.stderr)
    return 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of kmodd's arguments."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", type=Path, help=CONFIG_HELP)
    add_kernel(common)
    common.add_argument(
        "--socket",
        metavar="PATH",
        type=Path,
        help="where to listen (default: /run/kmodd/admin/kmodd.sock for root, "
        "$XDG_RUNTIME_DIR/kmodd/kmodd.sock for a user, a place of its own for kmodd run)",
    )
    common.add_argument("--log-level", choices=LOG_LEVELS, help="how much to log")
    common.add_argument(
        "--no-publish",
        dest="publish",
        action="store_const",
        const=False,
        help="write no databases, serve them from memory",
    )
    add_policy(common)
    parser = argparse.ArgumentParser(
        prog="kmodd",
        description="Own a kernel module namespace: keep the databases of its module trees fresh, "
        "and load and unload modules for the clients of a Unix socket.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kmodd {__version__}")
    actions = parser.add_subparsers(
        dest="action", metavar="serve | run | check-config | setup", required=True
    )
    serving = actions.add_parser("serve", parents=[common], help="run until SIGTERM")
    add_upkeep(serving)
    checking = actions.add_parser(
        "check-config", help="say whether kmodd.toml is right, and who may do what by it"
    )
    checking.add_argument("--config", metavar="FILE", type=Path, help=CONFIG_HELP)
    setting_up = actions.add_parser(
        "setup", help="put kmodd on every road by which modules get into this machine's kernel"
    )
    add_arguments(setting_up)
    private = actions.add_parser(
        "run", parents=[common], help="run a command, or a shell, with a private daemon"
    )
    private.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    return parser


def _check_config(given: Path | None) -> int:
    """Read the settings and say what they come to; raises what ``read_settings`` does.

    A socket that no daemon could have is an error, too, with its line; what only keeps the service
    from having it is a warning, and so is a grant for a user or group that nobody has.
    """
    from kmodd.namespace.wish_sources import WishSources

    file = given or default_config()
    if file is None:
        raise RequestError(Reason.INVALID_REQUEST, "no user's directory; give --config FILE")
    settings = read_settings(file, Settings(desired_state=default_wishes(file)))
    _check_trust(file, settings.kernel)
    sources = WishSources(
        settings.desired_state,
        trusted_only=KERNELS[settings.kernel].traits.trusted_files_only,
    ).read()
    places = dict(zip(settings.sockets, table_places(file, "socket"), strict=False))
    problems = [
        f"{places.get(each, file)}: {why}" for each in settings.sockets for why in faults(each)
    ]
    problems += [problem for source in sources for problem in source.problems]
    if problems:
        raise RequestError(Reason.INVALID_REQUEST, "\n".join(problems))
    unit = installed_unit() if file == CONFIG or settings.kernel == "linux" else None
    if unit:
        for why in filter(None, map(first_untrusted, _files_of(file))):
            print(f"kmodd: warning: {file}: not for the linux kernel: {why}", file=sys.stderr)
    if settings.hotplug and file != CONFIG and settings.kernel != "linux":
        print(f"kmodd: warning: {file}: hotplug is for the linux kernel", file=sys.stderr)
    for each in settings.sockets:
        for why in (*doubts(each), *(unit_doubts(each, unit) if unit else ())):
            print(f"kmodd: warning: {places.get(each, file)}: {why}", file=sys.stderr)
    for grant, place in zip(settings.grants, table_places(file, "grant"), strict=False):
        for why in Grants((grant,)).unknown:
            print(f"kmodd: warning: {place}: {why}", file=sys.stderr)
    print(f"{file} is right")
    for each in settings.sockets:
        print(socket_words(each))
    for number, grant in enumerate(settings.grants, 1):
        print(f"grant {number}: {grant_words(grant)}")
    for source in sources:
        print(f"{source.name} is right: {len(source.document.wishes)} wishes")
    return 0


def _serve(options: argparse.Namespace) -> int:
    place = options.socket or default_socket()
    serving: list[str] = []  # the kernel, once it is chosen: that is for no later file to change

    def read() -> Settings:
        file = options.config or default_config()
        settings = Settings(
            state=default_state(),
            runtime=default_runtime(),
            sockets=_sockets(place),
            desired_state=default_wishes(file),
        )
        is_read = file is not None and (options.config or file.exists())
        if file is not None and is_read:
            settings = read_settings(file, settings)
        settings = _with_options(settings, options)
        if file is not None and is_read:
            _check_trust(file, *(serving or [settings.kernel]))
        serving[:] = serving or [settings.kernel]
        logging.getLogger().setLevel(settings.log_level.upper())
        return settings

    begin_logging()
    settings = read()
    if not settings.sockets:
        print("kmodd: XDG_RUNTIME_DIR is not set; give --socket PATH", file=sys.stderr)
        return 1
    faulthandler.enable()  # the watchdog's SIGABRT then tells what every thread was doing
    _import_daemon()
    from kmodd.daemon import serve

    if is_roots_service() and KERNELS[settings.kernel].traits.trusted_files_only:
        check_files(own_files())
    serve(settings, read)
    return 0


def _run(options: argparse.Namespace) -> int:
    """Run a command with a daemon of its own; returns its exit status."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    settings = Settings(log_level="warning", desired_state=default_wishes(options.config))
    if options.config:
        settings = read_settings(options.config, settings)
    settings = _with_options(settings, options)
    if options.config:
        _check_trust(options.config, settings.kernel)
    begin_logging()
    logging.getLogger().setLevel(settings.log_level.upper())
    if settings.log_level == "warning":  # what is refused, the command itself is told
        logging.getLogger("kmodd.audit").setLevel(logging.ERROR)
    _import_daemon()
    from kmodd.daemon import running

    with tempfile.TemporaryDirectory(prefix="kmodd-") as directory:
        sockets = _sockets(options.socket or Path(directory, "kmodd.sock"))
        with running(replace(settings, sockets=sockets), images=default_cache()) as daemon:
            if not command:
                command = [os.environ.get("SHELL") or "/bin/sh"]
                print(f"kmodd: a shell on {daemon.kernel}; 'exit' ends both", file=sys.stderr)
            return _run_command(command, daemon.socket)


def _import_daemon() -> None:
    """Import what the daemon consists of, grpc with the choice made.

    What is imported stays: to look for cycles in it meanwhile takes a twelfth of the time.
    """
    from kmodd.database.collector import collector_paused

    with collector_paused():
        choose_transport()
        import_module("kmodd.daemon")


def _sockets(place: Path | None) -> tuple[SocketSettings, ...]:
    """Return the sockets of a daemon that is told of none: one, for its owner alone."""
    return (SocketSettings(path=place.absolute()),) if place else ()


def _check_trust(file: Path, kernel: str) -> None:
    """Raise TreeError where settings that were read are for a real kernel, and not root's alone.

    Who could have made a drop-in and removed it again would have had to write their directory.
    """
    if KERNELS[kernel].traits.trusted_files_only:
        check_files(_files_of(file))


def _files_of(file: Path) -> tuple[Path, ...]:
    """Return what settings are read from, the directory of the drop-ins among it."""
    return (drop_ins_of(file), *settings_files(file))


def _with_options(settings: Settings, options: argparse.Namespace) -> Settings:
    """Return ``settings`` with what the command line says, which counts for more."""
    given = {
        name: value
        for each in fields(Settings)
        if (value := getattr(options, name := each.name, None)) is not None
    }
    given["deny"] = (*settings.deny, *options.deny)
    if options.modprobe_config:
        given["modprobe_config"] = tuple(options.modprobe_config)
    if options.command_time:
        given["limits"] = replace(settings.limits, command=options.command_time)
    if options.socket:
        given["sockets"] = _sockets(options.socket)
    return replace(settings, **given)


def _run_command(command: Sequence[str], socket: Path) -> int:
    from kmodd.namespace.tool_paths import TOOLS_DIRECTORY

    environment = {
        **os.environ,
        "KMODD_PYTHON": sys.executable,
        "KMODD_SOCKET": str(socket),
        "KMODD_TOKEN": "",  # its calls belong to no operation, whatever kmodd itself was called by
        "PATH": f"{TOOLS_DIRECTORY}{os.pathsep}{_search_path()}",
    }
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
