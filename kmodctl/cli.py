# SPDX-License-Identifier: Apache-2.0
"""Arguments into one command. grpc is imported by the command, once there is something to ask."""

import gc
import os
import sys

from kmodctl.commands import COMMANDS, KMOD, command_module, description, summary
from kmodctl.errors import CallError, KmodctlError, NoDaemonError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.sockets import SOCKET_VARIABLE, find_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import NoReturn

    from kmodctl.client import Client

KMOD_VERSION = 34
"""The version of kmod whose words and ways these are."""


class Invocation:
    """One run of kmodctl: the command, its words, and what was said before it.

    ``tool`` tells that the command was called by its own name, as kmod's tools are.
    """

    __slots__ = ("command", "exact", "json", "socket", "timeout", "tool", "words")

    def __init__(
        self,
        command: str,
        words: "Sequence[str]",
        socket: str | None = None,
        timeout: float | None = None,
        *,
        json: bool = False,
        exact: bool = False,
        tool: bool = False,
    ) -> None:
        self.command = command
        self.words = words
        self.socket = socket
        self.timeout = timeout
        self.json = json
        self.exact = exact
        self.tool = tool


def run() -> "NoReturn":
    """Run the program's own command and end the process at once.

    Taking the interpreter and grpc's threads apart takes 10 ms more, a tenth of a short command.
    """
    try:
        status = main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run one command; returns the exit status."""
    _fill_standard_streams()
    try:
        status = _run(_parse(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _fill_standard_streams() -> None:
    """Open /dev/null for the standard streams that there are not.

    The kernel starts modprobe without a single open file. Then Python's streams are None, and the
    numbers 0 to 2 would go to the first files that are opened.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(null, True)
    os.close(null)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _parse(arguments: "Sequence[str] | None") -> Invocation:
    """Return what is asked for; ``arguments`` are the program's own unless they are given."""
    if arguments is None:
        name = os.path.basename(sys.argv[0])
        if name in KMOD:
            return Invocation(name, sys.argv[1:], tool=True)
        if name == "kmod" and sys.argv[1:2] == ["list"]:
            return Invocation("lsmod", sys.argv[2:])
        arguments = sys.argv[1:]
    parser = main_parser()
    options, operands = parser.read(arguments, operands_end=True)
    if not operands:
        parser.error("missing command")
    command, *words = operands
    if command not in COMMANDS:
        parser.error(f"unknown command '{command}'")
    return Invocation(
        command,
        words,
        options.socket,
        options.timeout,
        json=options.json,
        exact=options.exact,
    )


def _run(invocation: Invocation) -> int:
    """Read the command's own words and run it; most mistakes are told without grpc."""
    command = command_module(invocation.command)
    words = command.words(invocation.words) if hasattr(command, "words") else invocation.words
    parser = command_parser(invocation.command)
    parser.exact = invocation.exact
    options = parser.parse_args(
        words, CommandOptions(kmod_exact=invocation.exact, connect=lambda: _connect(invocation))
    )
    output = Output(invocation.command, json=invocation.json)
    if getattr(options, "syslog", False):
        output.use_syslog()
    if hasattr(command, "check") and not command.check(options, output):
        return 1
    try:
        private = hasattr(command, "is_private") and command.is_private(options)
        if invocation.tool and not _has_daemon(invocation):
            _fall_back(invocation, private=private)
        if private:
            return int(command.run_private(options, output))
        return _ask(invocation, command, options, output)
    except CallError as error:
        output.error(error.message)
    except KmodctlError as error:
        print(f"kmodctl: {error}", file=sys.stderr)
    except UnicodeEncodeError as error:
        # The API's strings are UTF-8, and words of a command line may be any bytes.
        output.error(f"not UTF-8: {error.object!r}")
    return 1


def _has_daemon(invocation: Invocation) -> bool:
    """Tell whether there is a daemon that kmod's tool may ask by that tool's own name.

    One that the environment names is meant, and missed if it is not there. Any other one has to
    have the running kernel: who calls modprobe does not expect an emulated one.
    """
    if SOCKET_VARIABLE in os.environ:
        return True
    try:
        path = find_socket()
    except NoDaemonError:
        return False
    try:
        client_class = _client_class()
        from kmodd.v1.daemon_service_pb2 import KERNEL_KIND_LINUX

        with client_class(path, timeout=invocation.timeout) as client:
            return client.status().kernel == KERNEL_KIND_LINUX
    except (KmodctlError, ImportError):  # another Python may find no grpc that is made for it
        return False


def _fall_back(invocation: Invocation, *, private: bool) -> None:
    """Become the real kmod, unless there is none and ``private`` says that no daemon is needed."""
    from kmodctl.fallback import execute_real_kmod

    try:
        execute_real_kmod(invocation.command, invocation.words)
    except KmodctlError:
        if not private:
            raise


def _connect(invocation: Invocation) -> "Client":
    """Connect to the daemon that kmodctl finds, which is found before grpc is imported."""
    path = find_socket(invocation.socket)
    return _client_class()(path, timeout=invocation.timeout)


def _client_class() -> "type[Client]":
    """Import the client, and grpc with it: what that brings along stays until the process ends.

    The collector would look through it again and again, for 4 ms of 75.
    """
    gc.disable()
    try:
        from kmodctl.client import Client
    finally:
        gc.freeze()
        gc.enable()
    return Client


def _ask(
    invocation: Invocation, command: "ModuleType", options: CommandOptions, output: Output
) -> int:
    """Run the command with a client of the daemon that it is for; returns the exit status.

    Where the options ask for a private daemon, ``options.connect`` connects to the other one.
    """
    place = command.place(options) if hasattr(command, "place") else None
    if place is None:
        with _connect(invocation) as client:
            return int(command.run(options, client, output))
    from kmodctl.private import private_daemon

    with (
        private_daemon(place) as path,
        _client_class()(path, timeout=invocation.timeout) as client,
    ):
        return int(command.run(options, client, output))


def main_parser() -> Parser:
    """Return the parser of what comes before the command."""
    parser = Parser(
        prog="kmodctl",
        usage="%(prog)s [options] COMMAND [command's options]",
        description="Load, list and unload kernel modules through kmodd.",
        keeps_lines=True,
    )
    add = parser.add_argument
    add("--socket", metavar="PATH", help="the daemon's socket")
    add(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="how long to wait for an answer; the work goes on",
    )
    add("--json", action="store_true", help="print JSON")
    add(
        "--kmod-exact",
        dest="exact",
        action="store_true",
        help="do as kmod does, without what is better here",
    )
    add("-V", "--version", action=_show_version, help="show the version and exit")
    add("-h", "--help", action=_show_main_help, help="show this help and exit")
    return parser


def command_parser(name: str) -> Parser:
    """Return the parser of the command ``name``."""
    command = command_module(name)
    parser = Parser(prog=name, description=summary(command), epilog=description(command))
    command.configure(parser)
    known = {option for action in parser.options() for option in action.option_strings}
    for letter, option, action, text in (
        ("-V", "--version", _show_version, "show the version and exit"),
        ("-h", "--help", _show_help, "show this help and exit"),
    ):
        if option not in known:
            names = (option,) if letter in known else (letter, option)
            parser.add_argument(*names, action=action, help=text)
    return parser


def _show_help(parser: Parser) -> "NoReturn":
    """Print the help on stdout and exit."""
    from kmodctl.help import help_of

    sys.stdout.write(help_of(parser))
    raise SystemExit(0)


def _show_main_help(parser: Parser) -> "NoReturn":
    """Print the help with the list of commands and exit."""
    lines = [f"  {name:<14}{summary(command_module(name))}" for name in COMMANDS]
    parser.epilog = "\n".join(["commands:", *lines, "", "'kmodctl COMMAND -h' tells of one."])
    _show_help(parser)


def _show_version(_parser: Parser) -> "NoReturn":
    """Print the version, which is the daemon package's, and exit."""
    from kmodd import __version__

    print(f"kmodctl {__version__} (as kmod version {KMOD_VERSION})")
    raise SystemExit(0)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError(text)
    return value
