# SPDX-License-Identifier: Apache-2.0
"""help: tell what commands there are, or how one is used

The same as --help, before a command's name or after it. Needs no daemon.
"""

from kmodctl.commands import COMMANDS
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser


def configure(parser: Parser) -> None:
    """Add help's argument."""
    add = parser.add_argument
    add("command", metavar="COMMAND", nargs="?", choices=COMMANDS, help="a command's name")


def is_private(_options: CommandOptions) -> bool:
    """Tell that no daemon is needed."""
    return True


def run_private(options: CommandOptions, _output: Output) -> int:
    """Print the help, and end the program."""
    from kmodctl import cli

    if options.command is None:
        cli.show_main_help(cli.main_parser())
    cli.show_help(cli.command_parser(options.command))
