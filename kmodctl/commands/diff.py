# SPDX-License-Identifier: Apache-2.0
"""diff: show how the machine differs from what is wished

Without a file it is what the daemon's wishes say; with FILE what they would say if that was
applied. A line for each thing that is to be done: '+' loads, '-' unloads or ends a hold, '~' sets a
parameter or loads anew, and '!' tells why something is not as wished and stays so. The exit status
is 1 where there is any such line, and 0 where all is as wished.
"""

from kmodctl.applying import add_source, applied, check_source
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.standings import differences, tell_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api


def configure(parser: Parser) -> None:
    """Add the arguments of diff."""
    add_source(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", help="a TOML file, or - for stdin")


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for a name where the file has none."""
    return options.file is None or check_source(options, output)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print what differs."""
    from kmodd.messages.state_service import GetStateRequest

    if options.file is not None:
        answer = applied(options, api, output, dry_run=True)
        if answer is None:
            return 1
        modules, sources = answer.modules, answer.sources
    else:
        found = api.state.get_state(GetStateRequest())
        modules, sources = found.modules, found.sources
    lines = list(differences(modules))
    if output.json:
        output.messages([each for each in modules if any(differences([each]))])
    else:
        for line in lines:
            output.data(line)
    is_wrong = tell_problems(sources, output)
    return int(is_wrong or bool(lines))
