# SPDX-License-Identifier: Apache-2.0
"""complete: tell what the last word of a command line may become

For the shells' completion, with all words of a line and its program as the first of them. What
cannot be found out is not said, and nothing is an error.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser


def configure(parser: Parser) -> None:
    """Add the words of the line."""
    parser.add_argument("line", metavar="WORD", nargs="*", help="a word of the line")


def is_private(_options: CommandOptions) -> bool:
    """Tell that the daemon is that of the line, and not missed."""
    return True


def run_private(options: CommandOptions, output: Output) -> int:
    """Print a line for each candidate."""
    from kmodctl.completing import completed

    if len(options.line) < 2:
        return 1
    for line in completed(options.line):
        output.raw(f"{line}\n")
    return 0
