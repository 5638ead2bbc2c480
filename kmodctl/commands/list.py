# SPDX-License-Identifier: Apache-2.0
"""list: list the modules that a tree has

All of them, or those whose names match a shell pattern, in which a dash is an underscore. It has
to be in quotes where it has a star. 'kmodctl lsmod' lists those that are loaded.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api


def configure(parser: Parser) -> None:
    """Add the arguments of list."""
    add = parser.add_argument
    add("-d", "--description", action="store_true", help="tell what each module is")
    add("-b", "--builtin", action="store_true", help="also those that are built into the kernel")
    add("-S", "--set-version", dest="release", metavar="VERSION", default="", help="the release")
    add("pattern", metavar="PATTERN", nargs="?", default="", help="what the names are to match")


def asks_about_files(_options: CommandOptions) -> bool:
    """Tell that the databases say it all, and the modules' files."""
    return True


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the names, one a line."""
    from kmodctl.finding import print_found
    from kmodd.messages.database_service import FindModulesRequest

    request = FindModulesRequest(
        release=options.release,
        pattern=options.pattern,
        builtin=options.builtin,
        descriptions=options.description or output.json,
    )
    what = f"'{options.pattern}' is no module's name" if options.pattern else "there is no module"
    return print_found(request, api, output, what)
