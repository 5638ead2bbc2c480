# SPDX-License-Identifier: Apache-2.0
"""write: write to a file that a module has made in the emulated kernel's /dev, /proc or /sys

The module's own code is run, as when echo(1) writes to the file on a machine: it is opened, written
to until all is taken, and closed. A newline is put behind TEXT. Without TEXT it is what stdin has.
"""

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.api import Api
    from kmodd.messages.emulation_service import UseFileRequest


def configure(parser: Parser) -> None:
    """Add the arguments of write."""
    from kmodctl.file_use import add_nonblock

    add_nonblock(parser)
    parser.add_argument("-n", dest="bare", action="store_true", help="put no newline behind TEXT")
    parser.add_argument("path", metavar="PATH", help="an absolute path")
    parser.add_argument("text", metavar="TEXT", nargs="?", help="what to write")


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Write; as JSON, tell how many bytes were taken."""
    from kmodctl.file_use import tell_failure, used
    from kmodctl.uploading import sendable
    from kmodd.messages.emulation_service import FileOpening, FileWritten

    opening = FileOpening(path=sendable(options.path), writes=True, nonblocking=options.nonblock)
    size = 0
    try:
        for answer in used(api, opening, _writings(options)):
            size += answer.written.size if answer.written is not None else 0
    except CallError as error:
        return tell_failure(output, error)
    if output.json:
        output.message(FileWritten(size=size))
    return 0


def _writings(options: CommandOptions) -> "Iterator[UseFileRequest]":
    import sys

    from kmodctl.file_use import CHUNK
    from kmodd.messages.emulation_service import FileWriting, UseFileRequest

    if options.text is None:
        while chunk := sys.stdin.buffer.read(CHUNK):
            yield UseFileRequest(write=FileWriting(data=chunk, all=True))
        return
    data = options.text.encode("utf-8", "surrogateescape") + b"\n" * (not options.bare)
    for at in range(0, len(data), CHUNK) or (0,):
        yield UseFileRequest(write=FileWriting(data=data[at : at + CHUNK], all=True))
