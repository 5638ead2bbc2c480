# SPDX-License-Identifier: Apache-2.0
"""completion: print what completes kmodctl's command line in a shell

For the shell that is named; an installed kmodd has the same in share/, where shells look for it.
Needs no daemon.
"""

import os

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

SHELLS = {"bash": "kmodctl.bash", "zsh": "_kmodctl", "fish": "kmodctl.fish"}
"""Each shell's file in kmodctl/share/completions."""

_DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(__file__)), "share", "completions")


def configure(parser: Parser) -> None:
    """Add the arguments of completion."""
    add = parser.add_argument
    add("shell", choices=tuple(SHELLS), metavar="|".join(SHELLS), help="the shell")


def is_private(_options: CommandOptions) -> bool:
    """Tell that no daemon is needed."""
    return True


def run_private(options: CommandOptions, output: Output) -> int:
    """Print the shell's file as it is."""
    with open(os.path.join(_DIRECTORY, SHELLS[options.shell]), encoding="utf-8") as file:
        script = file.read()
    if output.json:
        output.document({"shell": options.shell, "script": script})
        return 0
    output.raw(script)
    return 0
