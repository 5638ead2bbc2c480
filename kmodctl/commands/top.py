# SPDX-License-Identifier: Apache-2.0
"""top: watch the modules, the kernel log and what happens, full-screen

Shows the loaded modules with their sizes, uses and origins, who uses and who holds them; beside
them what is told of the one that the cursor is on; below the kernel's log and the events. Keys,
which the last line shows, filter as one types, sort, load, unload, hold, reload, and set a
parameter: what each would do is shown first, and done once it is agreed to. Only what the caller
may do is offered. Holds end with the program. Where the daemon goes, the next one on its socket is
waited for. This needs textual, of the extra 'tui'.
"""

import sys

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api


def configure(_parser: Parser) -> None:
    """There is nothing to choose."""


def check(_options: CommandOptions, output: Output) -> bool:
    """Ask for a terminal."""
    if output.json:
        output.error("top has no JSON; 'kmodctl lsmod --json' and 'kmodctl events --json' have.")
        return False
    if not all(each.isatty() for each in (sys.stdin, sys.stdout, sys.stderr)):
        output.error("top needs a terminal.")
        return False
    return True


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Show all until it is left."""
    from importlib.util import find_spec

    if find_spec("textual") is None:
        output.error("top needs textual; install it with: pip install 'kmodd[tui]'")
        return 1
    from kmodctl.sockets import find_socket
    from kmodd.messages.daemon_service import WhoAmIRequest

    api.daemon.who_am_i(WhoAmIRequest())  # raises where there is no daemon to begin with
    from kmodctl.top.app import Top

    app = Top(find_socket(options.socket))
    app.run()
    return app.return_code or 0
