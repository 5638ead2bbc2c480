# SPDX-License-Identifier: Apache-2.0
"""apply: have the machine have what a file wishes

Sends FILE, in which each [[module]] says how one is to be (kmodd-state(7)), to the daemon, which
takes it over in place of what the same source wished before, keeps it over restarts, and sees to
it. A source is called after its file, or by --source; with --remove it is taken away, and with it
what was loaded for it alone. Printed is what is still to be done, and why what is not as wished
stays so, as diff has it. The exit status is 1 where a wish of the file cannot be, or where anything
is wrong with the file, of which then nothing is taken over.
"""

from kmodctl.applying import add_source, applied, check_source
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.standings import differences, tell_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api


def configure(parser: Parser) -> None:
    """Add the arguments of apply."""
    add = parser.add_argument
    add("-n", "--dry-run", action="store_true", help="tell what would be done, and do nothing")
    add("--remove", action="store_true", help="take the source away; FILE need not exist")
    add_source(parser)
    add("file", metavar="FILE", help="a TOML file, or - for stdin")


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for a name where the file has none."""
    return check_source(options, output)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Send the file, and print what comes of it."""
    from kmodd.messages import state_service as pb

    answer = applied(options, api, output, dry_run=bool(options.dry_run))
    if answer is None:
        return 1
    if output.json:
        output.message(answer)
    else:
        for line in differences(answer.modules):
            output.data(line)
        tell_problems(answer.sources, output)
    own = (each for each in answer.modules if each.wish and each.wish.source == options.source)
    return int(any(each.standing == pb.STANDING_IMPOSSIBLE for each in own))
