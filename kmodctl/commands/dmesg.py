# SPDX-License-Identifier: Apache-2.0
"""dmesg: print the kernel's log

Each line begins with the seconds since the kernel booted.
"""

import sys

from kmodctl.output import Output, as_json
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.client import Client


def configure(parser: Parser) -> None:
    """Add dmesg's arguments."""
    parser.add_argument(
        "-w", "--follow", action="store_true", help="go on with new lines as they come"
    )


def run(options: CommandOptions, client: "Client", output: Output) -> int:
    """Print the records; as JSON, one object a line."""
    import json

    for record in client.read_log(follow=options.follow):
        if output.json:
            output.data(json.dumps(as_json(record)))
        else:
            uptime = record.uptime
            output.data(f"[{uptime.seconds:5d}.{uptime.nanos // 1000:06d}] {record.text}")
        if options.follow:
            sys.stdout.flush()
    return 0
