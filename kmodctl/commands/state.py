# SPDX-License-Identifier: Apache-2.0
"""state: show what the machine is wished to have, and how each wish fares

A line for each module: what is wished, how it is, how the wish fares, since when, and from which
file and line it is, with why it is not as wished. 'done' is as wished; 'pending' is about to be;
'waiting' is until nothing uses the module; 'drifted' was changed by hand, or takes a reload that is
not wished; 'impossible' cannot be. With --watch it goes on with what changes, until it is
interrupted; with --json that is an object a line. What is wrong with a source is a warning.
"""

import sys

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.standings import HEAD, row, standing_row, tell_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api


def configure(parser: Parser) -> None:
    """Add the arguments of state."""
    parser.add_argument("-w", "--watch", action="store_true", help="go on with what changes")


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print how the wishes fare."""
    from kmodd.messages.state_service import GetStateRequest

    if options.watch:
        return _watch(api, output)
    answer = api.state.get_state(GetStateRequest())
    if output.json:
        output.message(answer)
        return 0
    if answer.modules:
        output.data(row(HEAD))
    for standing in answer.modules:
        output.data(standing_row(standing))
    tell_problems(answer.sources, output)
    return 0


def _watch(api: "Api", output: Output) -> int:
    """Print how they fare, and what changes of that."""
    from kmodd.messages.state_service import WatchStateRequest

    if not output.json:
        output.data(row(HEAD))
    for message in api.state.watch_state(WatchStateRequest()):
        if output.json:
            output.message_line(message)
        else:
            for standing in message.modules:
                output.data(standing_row(standing))
            for name in message.gone:
                output.data(row((name, "-", "", "", "", "not wished any more")))
            tell_problems(message.sources, output)
        sys.stdout.flush()
    return 0
