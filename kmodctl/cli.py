# SPDX-License-Identifier: Apache-2.0
"""Arguments into one command, and whom it asks."""

import os
import sys

from kmodctl.api import Api
from kmodctl.commands import (
    COMMANDS,
    HIDDEN,
    KMOD,
    KMODS_OUTPUT,
    command_module,
    description,
    summary,
)
from kmodctl.declarations import DeclarationGroup
from kmodctl.environment import environment
from kmodctl.errors import CallError, KmodctlError, NoDaemonError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.sockets import SOCKET_VARIABLE, find_socket
from kmodd.escapes import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import NoReturn

    from kmodctl.local import Place
    from kmodd.messages.channel import Channel

KMOD_VERSION = 34
"""The version of kmod whose words and ways these are."""

COLORS = ("auto", "always", "never")
"""When there are colours, as ls(1) has it."""


class Invocation:
    """One run of kmodctl: the command, its words, and what was said before it.

    ``tool`` tells that the command was called by its own name, as kmod's tools are.
    """

    __slots__ = (
        *("color", "command", "exact", "json", "no_pager", "socket", "timeout", "tool", "words"),
    )

    def __init__(
        self,
        command: str,
        words: "Sequence[str]",
        socket: str | None = None,
        timeout: float | None = None,
        *,
        json: bool = False,
        color: str = "auto",
        no_pager: bool = False,
        exact: bool = False,
        tool: bool = False,
    ) -> None:
        self.command = command
        self.words = words
        self.socket = socket
        self.timeout = timeout
        self.json = json
        self.color = color
        self.no_pager = no_pager
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
    if arguments is None:
        _name_process(os.path.basename(sys.argv[0]))
    try:
        status = _run(_parse(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _name_process(program: str) -> None:
    """Have the process be called by its program, not its interpreter: the daemon tells who asked.

    The name is at most 15 bytes (proc_pid_comm(5)); a system without it does without.
    """
    try:
        comm = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(comm, os.fsencode("kmodctl" if program == "__main__.py" else program))
    except OSError:
        pass
    finally:
        os.close(comm)


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
        show_main_help(parser)
    command, *words = operands
    if command not in COMMANDS and command not in HIDDEN:
        _unknown_command(parser, command)
    return Invocation(
        command,
        words,
        options.socket,
        options.timeout,
        json=options.json,
        color=options.color,
        no_pager=options.no_pager,
        exact=options.exact,
    )


def _run(invocation: Invocation) -> int:
    """Read the command's own words and run it."""
    command = command_module(invocation.command)
    words = command.words(invocation.words) if hasattr(command, "words") else invocation.words
    parser = command_parser(invocation.command)
    parser.exact = invocation.exact
    with Api(lambda: _channel_to_daemon(invocation)) as daemon:
        options = CommandOptions(
            kmod_exact=invocation.exact, daemon=daemon, socket=invocation.socket
        )
        options = parser.parse_args(words, options)
        output = _output(invocation, options, parser.prog)
        if getattr(options, "syslog", False):
            output.use_syslog()
        if hasattr(command, "check") and not command.check(options, output):
            return 1
        if not getattr(options, "follow", False):
            output.page()
        try:
            try:
                return _do(invocation, command, options, output)
            finally:
                output.finish()
        except CallError as error:
            output.error(error.message)
            output.failure(error)
        except KmodctlError as error:
            output.failure(error)
            program = "kmodctl" if invocation.command in KMODS_OUTPUT else parser.prog
            print(f"{program}: {escaped(str(error))}", file=sys.stderr)
        except UnicodeEncodeError as error:
            # The API's strings are UTF-8, and words of a command line may be any bytes.
            output.error(f"not UTF-8: {error.object!r}")
    return 1


def _output(invocation: Invocation, options: CommandOptions, program: str) -> Output:
    """Return the voice of the command, as what stands before and after its name has it."""
    json = invocation.json or options.json
    if invocation.command in KMODS_OUTPUT:
        return Output(program, json=json, exact=True)
    color = options.color or invocation.color
    pages = not (options.no_pager or invocation.no_pager)
    return Output(program, json=json, color=color, pages=pages)


def _do(
    invocation: Invocation, command: "ModuleType", options: CommandOptions, output: Output
) -> int:
    """Run the command; returns the exit status.

    By the name of a kmod tool it is the real one where there is no daemon, but for what only asks,
    which is answered as that one would.
    """
    if _says(command, "is_private", options):
        return int(command.run_private(options, output))
    if invocation.tool and not _has_daemon(options.daemon):
        if _says(command, "only_asks", options):
            options.daemon = Api(_absent_channel)
            options.kmod_exact = True
            return int(command.run(options, _local_api(_place(command, options)), output))
        from kmodctl.fallback import execute_real_kmod

        execute_real_kmod(invocation.command, invocation.words)
    return _ask(invocation, command, options, output)


def _says(command: "ModuleType", question: str, options: CommandOptions) -> bool:
    """Return what the command answers to a question about its options, False where it has none."""
    return hasattr(command, question) and bool(getattr(command, question)(options))


def _has_daemon(daemon: Api) -> bool:
    """Tell whether there is a daemon that kmod's tool may ask by that tool's own name.

    One that the environment names is meant, and missed if it is not there. Any other one has to
    have the running kernel: who calls modprobe does not expect an emulated one.
    """
    if SOCKET_VARIABLE in environment():
        return True
    from kmodd.messages.daemon_service import KERNEL_KIND_LINUX

    try:
        return daemon.status().kernel == KERNEL_KIND_LINUX
    except KmodctlError:
        return False


def _ask(
    invocation: Invocation, command: "ModuleType", options: CommandOptions, output: Output
) -> int:
    """Run the command with what answers its calls; returns the exit status.

    That is the daemon, or the files of the place that the options name. A command that does more
    than one thing at a time has a ``Client``, and grpc with it.
    """
    place = _place(command, options)
    if place is not None:
        return int(command.run(options, _local_api(place), output))
    if not _says(command, "needs_client", options):
        try:
            return int(command.run(options, options.daemon, output))
        except NoDaemonError:
            named = invocation.socket is not None or SOCKET_VARIABLE in os.environ
            if named or not _says(command, "asks_about_files", options):
                raise
            return int(command.run(options, _local_api(), output))
    path = find_socket(invocation.socket)
    from kmodctl.client import Client

    with Client(path, timeout=invocation.timeout) as client:
        return int(command.run_with_client(options, client, output))


def _place(command: "ModuleType", options: CommandOptions) -> "Place | None":
    """Return where the options have the command look in place of asking a daemon, or None."""
    place: Place | None = command.place(options) if hasattr(command, "place") else None
    return place


def _local_api(place: "Place | None" = None) -> Api:
    """Return what answers from files: those of the running system, where no place is named."""
    from kmodctl.local import LocalChannel, Place

    return Api(lambda: LocalChannel(place or Place()))


def _channel_to_daemon(invocation: Invocation) -> "Channel":
    from kmodctl.direct import DirectChannel

    return DirectChannel(invocation.socket, timeout=invocation.timeout)


def _absent_channel() -> "Channel":
    from kmodctl.direct import AbsentChannel

    return AbsentChannel()


def main_parser() -> Parser:
    """Return the parser of what comes before the command."""
    parser = Parser(
        prog="kmodctl",
        usage="%(prog)s [options] COMMAND [command's options]",
        description="Load, list and unload kernel modules through kmodd.",
        keeps_lines=True,
        suggests=True,
    )
    add = parser.add_argument
    add("--socket", metavar="PATH", help="the daemon's socket")
    add(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="how long to wait for an answer; the work goes on",
    )
    _add_shown(parser, color="auto")
    _add_json(parser)
    add(
        "--kmod-exact",
        dest="exact",
        action="store_true",
        help="do as kmod does, without what is better here",
    )
    add("-V", "--version", action=_show_version, help="show the version and exit")
    add("-h", "--help", action=show_main_help, help="show this help and exit")
    return parser


def command_parser(name: str) -> Parser:
    """Return the parser of the command ``name``.

    kmod's tools keep their names, words and options; ours are called by two words and help where
    one is misspelt.
    """
    command = command_module(name)
    is_ours = name not in KMODS_OUTPUT
    parser = Parser(
        prog=f"kmodctl {name}" if is_ours else name,
        description=summary(command),
        epilog=description(command),
        suggests=is_ours,
    )
    command.configure(parser)
    known = {option for action in parser.options() for option in action.option_strings}
    _add_json(parser if is_ours else parser.extensions)
    if is_ours:
        _add_shown(parser, color=None)
    for letter, option, action, text in (
        ("-V", "--version", _show_version, "show the version and exit"),
        ("-h", "--help", show_help, "show this help and exit"),
    ):
        if option not in known:
            names = (option,) if letter in known else (letter, option)
            parser.add_argument(*names, action=action, help=text)
    return parser


def _add_json(to: DeclarationGroup) -> None:
    """Add what all commands have, before their name and after it."""
    to.add_argument("--json", action="store_true", help="print JSON")


def _add_shown(to: DeclarationGroup, color: str | None) -> None:
    """Add what our own commands have, before their name and after it; ``color`` is the default."""
    add = to.add_argument
    add(
        "--color",
        metavar="WHEN",
        choices=COLORS,
        default=color,
        help="auto, always or never; auto is for a terminal, unless NO_COLOR is set",
    )
    add("--no-pager", action="store_true", help="print all at once, however long it is")


def _unknown_command(parser: Parser, word: str) -> "NoReturn":
    """End the program for a command that there is not, with those that may have been meant."""
    from kmodctl.suggestions import did_you_mean

    parser.complain(f"unknown command '{word}'{did_you_mean(word, COMMANDS) or '. See -h.'}")


def show_help(parser: Parser) -> "NoReturn":
    """Print the help on stdout and exit."""
    from kmodctl.help import help_of

    sys.stdout.write(help_of(parser))
    raise SystemExit(0)


def show_main_help(parser: Parser) -> "NoReturn":
    """Print the help with the list of commands and exit."""
    lines = [f"  {name:<14}{summary(command_module(name))}" for name in COMMANDS]
    parser.epilog = "\n".join(["commands:", *lines, "", "'kmodctl help COMMAND' tells of one."])
    show_help(parser)


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
