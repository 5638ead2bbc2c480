# SPDX-License-Identifier: Apache-2.0
"""hold: keep modules loaded while a command runs

Loads the modules with what they need, runs COMMAND, and lets go of them when it has ended. Until
then nobody unloads them through kmodd. Where the daemon ends meanwhile, COMMAND runs on, and the
modules are held again once there is a daemon. The exit status is COMMAND's; 127 where there is no
such command, 126 where it cannot be executed, 128 + N where signal N ended it. Administrators see
the holds of others, and whose they are, with --list and end them with --end.
"""

from kmodctl.output import Output, shown_caller, shown_moment
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodctl.client import Client


def configure(parser: Parser) -> None:
    """Add hold's arguments."""
    add = parser.add_argument
    add("-u", "--unload", action="store_true", help="unload what was loaded for holds, as the last")
    add("-b", "--use-blacklist", action="store_true", help="mind the blacklist for names, too")
    add("-l", "--list", action="store_true", help="list the holds there are")
    add("-e", "--end", metavar="NUMBER", type=int, help="end the hold of this number")
    add("modules", metavar="MODULE", nargs="*", help="a module's name or alias")
    parser.behind = "command"


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for modules and a command, or for neither."""
    if options.list or options.end is not None:
        if options.modules or options.command:
            output.error("too many arguments provided.")
        return not (options.modules or options.command)
    if not options.modules:
        output.error("missing module name.")
    elif not options.command:
        output.error("missing '-- COMMAND...'.")
    return bool(options.modules and options.command)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """List the holds, or end one."""
    from kmodd.messages.module_service import EndHoldRequest

    if options.list:
        _list(api, output)
    else:
        api.modules.end_hold(EndHoldRequest(hold=options.end))
    return 0


def needs_client(options: CommandOptions) -> bool:
    """Tell whether a call is to stay open while something else is done."""
    return not options.list and options.end is None


def run_with_client(options: CommandOptions, client: "Client", output: Output) -> int:
    """Hold the modules while the command runs; returns its exit status."""
    import shlex
    from contextlib import closing
    from functools import partial

    from kmodctl.held_command import run_command
    from kmodctl.lasting_hold import LastingHold

    take = partial(
        client.hold,
        *options.modules,
        unload=options.unload,
        note=shlex.join(options.command),
        use_blacklist=options.use_blacklist,
    )
    with closing(LastingHold(take, output.warning)):
        return run_command(options.command, output)


def _list(api: "Api", output: Output) -> None:
    from kmodd.messages.module_service import ListHoldsRequest
    from kmodd.messages.well_known import Timestamp

    holds = api.modules.list_holds(ListHoldsRequest()).holds
    if output.json:
        output.messages(holds)
        return
    for hold in holds:
        since = shown_moment(hold.began_time or Timestamp(), "seconds")
        modules = " ".join(hold.modules)
        holder = f"  {shown_caller(hold.caller)}" if hold.caller is not None else ""
        who = f"{hold.role} {hold.socket}{holder}"
        output.data(f"{hold.hold}  {since}  {who}  {modules}  {hold.note}")
