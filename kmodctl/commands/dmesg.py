# SPDX-License-Identifier: Apache-2.0
"""dmesg: print the kernel's log

Each line begins with the seconds since the kernel booted.
"""

import sys

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodd.messages.kernel_log_service import LogRecord


def configure(parser: Parser) -> None:
    """Add dmesg's arguments."""
    parser.add_argument(
        "-w", "--follow", action="store_true", help="go on with new lines as they come"
    )


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the records; as JSON, one object a line."""
    from kmodd.messages.kernel_log_service import ReadLogRequest

    answers = api.kernel_log.read_log(ReadLogRequest(follow=options.follow))
    for record in (record for answer in answers for record in answer.records):
        if output.json:
            output.message_line(record)
        else:
            output.data(line_of(record))
        if options.follow:
            sys.stdout.flush()
    return 0


def line_of(record: "LogRecord") -> str:
    """Return a record as a line for people: when it was logged, and its text."""
    from kmodd.messages.well_known import Duration

    uptime = record.uptime or Duration()
    return f"[{uptime.seconds:5d}.{uptime.nanos // 1000:06d}] {record.text}"
