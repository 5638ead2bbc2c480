# SPDX-License-Identifier: Apache-2.0
"""lsmod: list the loaded modules

Prints each module's name, its size in bytes, how many references it has, and the modules that use
it. With --json also its state, its taints, and whether its init function has run.
"""

from kmodctl.declarations import SUPPRESS
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api


def configure(parser: Parser) -> None:
    """Add lsmod's arguments."""
    add = parser.add_argument
    add("-s", "--syslog", action="store_true", help="send messages to syslog, not to stderr")
    add("-v", "--verbose", action="store_true", help="changes nothing")
    add("rest", nargs="*", help=SUPPRESS)


def check(options: CommandOptions, output: Output) -> bool:
    """Refuse operands: there is nothing to choose."""
    if options.rest:
        output.error("too many arguments provided.")
    return not options.rest


def only_asks(_options: CommandOptions) -> bool:
    """Tell that nothing is changed."""
    return True


def run(_options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the listing as lsmod(8) does."""
    from kmodd.messages.module_service import ListModulesRequest

    modules = api.modules.list_modules(ListModulesRequest()).modules
    if output.json:
        output.messages(modules)
        return 0
    output.data("Module                  Size  Used by")
    for module in modules:
        row = f"{module.name:<19} {module.size_bytes:8d}  {module.reference_count}"
        holders = ",".join(module.holders)
        output.data(f"{row} {holders}" if holders else row)
    return 0
