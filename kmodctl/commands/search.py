# SPDX-License-Identifier: Apache-2.0
"""search: find modules by what is said of them

All the words are to be in a module's name, its description or one of its aliases, in capitals or
not. Those come first that have one in the name, then those that have one in the description. What
is built into the kernel is found, too.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api


def configure(parser: Parser) -> None:
    """Add the arguments of search."""
    add = parser.add_argument
    add("-S", "--set-version", dest="release", metavar="VERSION", default="", help="the release")
    add("words", metavar="WORD", nargs="+", help="what is said of the module")


def asks_about_files(_options: CommandOptions) -> bool:
    """Tell that the databases say it all, and the modules' files."""
    return True


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print each module with what it is."""
    from kmodctl.finding import print_found
    from kmodd.messages.database_service import FindModulesRequest

    request = FindModulesRequest(
        release=options.release, words=options.words, builtin=True, descriptions=True
    )
    return print_found(request, api, output, f"of no module is said '{' '.join(options.words)}'")
