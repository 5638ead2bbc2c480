# SPDX-License-Identifier: Apache-2.0
"""open: have a file of the emulated kernel open while a command runs

As a shell's redirection has it: the module's own code is run when the file is opened, and once more
when it is closed, at COMMAND's end. Meanwhile the module is in use, as 'kmodctl lsmod' tells, and
is not unloaded. The file is opened for reading unless --write says otherwise. The exit status is
COMMAND's; 127 where there is no such command, 126 where it cannot be executed, 128 + N where signal
N ended it.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.client import Client
    from kmodd.v1 import emulation_service_pb2


def configure(parser: Parser) -> None:
    """Add the arguments of open."""
    from kmodctl.file_use import add_nonblock

    add_nonblock(parser)
    parser.add_argument("-w", "--write", action="store_true", help="open it for writing")
    parser.add_argument("path", metavar="PATH", help="an absolute path")
    parser.behind = "command"


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for a command."""
    if not options.command:
        output.error("missing '-- COMMAND...'.")
    return bool(options.command)


def needs_client(_options: CommandOptions) -> bool:
    """Tell that a call stays open while the command runs."""
    return True


def run_with_client(options: CommandOptions, client: "Client", output: Output) -> int:
    """Have the file open while the command runs; returns its exit status."""
    import threading

    from kmodctl.errors import KmodctlError
    from kmodctl.held_command import run_command

    over = threading.Event()

    def nothing() -> "Iterator[emulation_service_pb2.UseFileRequest]":
        over.wait()
        yield from ()

    answers = client.use_file(
        options.path,
        nothing(),
        reads=not options.write,
        writes=options.write,
        nonblocking=options.nonblock,
        tells_opened=True,
    )
    try:
        next(answers)
        status = run_command(options.command, output)
    finally:
        over.set()
    try:
        for _ in answers:  # until it is closed
            pass
    except KmodctlError as error:  # the daemon has gone, and the file with it
        output.warning(str(error))
    return status
