# SPDX-License-Identifier: Apache-2.0
"""cat: read files that modules have made in the emulated kernel's /dev, /proc and /sys

The module's own code is run, as when cat(1) reads the file on a machine: it is opened, read until
there is no more, and closed. A read that waits goes on when something else lets it, and Ctrl-C ends
it. 'kmodctl ls -l' tells which files can be read. A character device without a name is
/dev/char/MAJOR:MINOR.
"""

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodd.messages.emulation_service import FileData


def configure(parser: Parser) -> None:
    """Add the arguments of cat."""
    from kmodctl.file_use import add_nonblock

    add_nonblock(parser)
    parser.add_argument("paths", metavar="PATH", nargs="+", help="an absolute path")


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print what is in the files; as JSON, one object a line for each read."""
    from kmodctl.file_use import tell_failure, used
    from kmodctl.uploading import sendable
    from kmodd.messages.emulation_service import FileOpening, FileReading, UseFileRequest

    status = 0
    for path in options.paths:
        opening = FileOpening(path=sendable(path), reads=True, nonblocking=options.nonblock)
        try:
            for answer in used(api, opening, [UseFileRequest(read=FileReading(to_end=True))]):
                if answer.data is not None:
                    _tell(path, answer.data, output)
        except CallError as error:
            status = tell_failure(output, error, in_line=True)
    return status


def _tell(path: str, data: "FileData", output: Output) -> None:
    if output.json:
        output.message_line(data)
    elif data.data:
        output.raw(data.data.decode("utf-8", "surrogateescape"))
    if data.returned:
        more = data.returned - len(data.data)
        output.warning(f"{path}: the read returned {more} bytes more than it was asked for")
