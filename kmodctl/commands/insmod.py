# SPDX-License-Identifier: Apache-2.0
"""insmod: load one module file

Sends the file to the daemon and loads it as it is: nothing is searched, and no other module is
loaded for it.
"""

import errno

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.quoting import join_parameters
from kmodctl.unrun import tell_unrun
from kmodctl.uploading import insert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api

_WORDS = {
    errno.ENOEXEC: "Invalid module format",
    errno.ENOENT: "Unknown symbol in module",
    errno.ESRCH: "Module has wrong symbol version",
    errno.EINVAL: "Invalid parameters",
}
"""What insmod(8) says instead of the C library's text."""


def configure(parser: Parser) -> None:
    """Add insmod's arguments."""
    add = parser.add_argument
    add("-f", "--force", action="store_true", help="--force-vermagic and --force-modversion")
    add("--force-modversion", action="store_true", help="load despite other symbol versions")
    add("--force-vermagic", action="store_true", help="load despite another version magic")
    add("-s", "--syslog", action="store_true", help="send messages to syslog, not to stderr")
    add("-v", "--verbose", action="store_true", help="say what the kernel logs")
    add("words", metavar="FILE [PARAM=VALUE...]", nargs="*", help="the module file")


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for a file."""
    if not options.words:
        output.error("missing filename.")
        return False
    if options.words[0] == "-":
        output.error("this tool does not support loading from stdin!")
        return False
    return True


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Upload the file and load it."""
    file, *parameters = options.words
    try:
        module = insert(
            api,
            file,
            join_parameters(parameters),
            ignore_vermagic=bool(options.force or options.force_vermagic),
            ignore_modversions=bool(options.force or options.force_modversion),
        )
    except OSError as error:
        doing = "insert" if isinstance(error, IsADirectoryError) else "load"
        output.error(f"could not {doing} module {file}: {error.strerror}")
        output.failure(error)
        return 1
    except CallError as error:
        output.error(f"could not insert module {file}: {_words(error)}")
        output.leaks(error.module, error.leaks)
        if options.verbose and not options.kmod_exact:
            output.kernel_log(error.log_lines)
        output.failure(error)
        return 1
    if output.json:
        output.message(module)
    if module.why_not_run:
        tell_unrun(api, output, 1)
    return 0


def _words(error: CallError) -> str:
    return _WORDS.get(error.errno) or error.cause
