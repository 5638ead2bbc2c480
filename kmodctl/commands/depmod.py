# SPDX-License-Identifier: Apache-2.0
"""depmod: rebuild the databases of a release's modules

The daemon does so by itself when a module comes, changes or goes; this makes it happen now, and
waits for the databases to be written. What names another directory or file, or only prints, needs
no daemon and is done with the caller's own rights.
"""

import os

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kmodctl.api import Api
    from kmodd.messages.database_service import Tree

_PRIVATE = {
    "base": "/",
    "module_directory": "/lib/modules",
    "output": "",
    "config": [],
    "symvers": "",
    "system_map": "",
    "report_symbols": False,
    "print_only": False,
    "warn_duplicates": False,
    "verbose": False,
    "symbol_prefix": None,
    "files": [],
}
"""The options that the shared daemon knows nothing of, and what they are when not given."""


def configure(parser: Parser) -> None:
    """Add depmod's arguments."""
    _add_actions(parser)
    _add_places(parser)
    parser.add_argument(
        "words", metavar="VERSION | FILE", nargs="*", help="the release, and module files"
    )


def _add_actions(parser: Parser) -> None:
    """Add the options that say what to do, and what to tell."""
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="look at all modules (always so)")
    add("-A", "--quick", action="store_true", help="only when something changed (always so)")
    add(
        *("-e", "--errsyms"),
        dest="report_symbols",
        action="store_true",
        help="report symbols that neither the modules nor the kernel have (with -E or -F)",
    )
    add(
        *("-n", "--show", "--dry-run"),
        dest="print_only",
        action="store_true",
        help="print the text databases and write nothing",
    )
    add(*("-P", "--symbol-prefix"), metavar="CHAR", help="a letter that symbols begin with")
    add("-v", "--verbose", action="store_true", help="print which module needs which, and why")
    add("-w", "--warn", dest="warn_duplicates", action="store_true", help="warn of duplicates")


def _add_places(parser: Parser) -> None:
    """Add the options that name other directories and files."""
    add = parser.add_argument
    add("-b", "--basedir", metavar="DIR", dest="base", default="/", help="a root to build for")
    add(
        *("-m", "--moduledir"),
        metavar="DIR",
        dest="module_directory",
        default="/lib/modules",
        help="where the root has its module trees",
    )
    add(
        *("-o", "--outdir"),
        metavar="DIR",
        dest="output",
        default="",
        help="a root to write the databases into",
    )
    add(
        *("-C", "--config"),
        metavar="PATH",
        action="append",
        default=[],
        help="a file or directory in place of depmod.d; may be repeated",
    )
    add("-E", "--symvers", metavar="FILE", default="", help="the kernel's Module.symvers")
    add(
        *("-F", "--filesyms"),
        metavar="FILE",
        dest="system_map",
        default="",
        help="the kernel's System.map",
    )


def is_private(options: CommandOptions) -> bool:
    """Tell whether what was asked for needs the caller's rights rather than the daemon's."""
    wanted = any(getattr(options, name, default) != default for name, default in _PRIVATE.items())
    return wanted or not all(map(_is_release, options.words))


def _is_release(word: str) -> bool:
    """Tell whether a word begins as a kernel release does: a number, a dot, and a digit."""
    number, _, rest = word.partition(".")
    digits = number + rest[:1]
    return bool(number and rest) and digits.isascii() and digits.isdecimal()


def run_private(options: CommandOptions, output: Output) -> int:
    """Build in this process; nothing here needs a daemon."""
    prefix = options.symbol_prefix
    if prefix is not None and len(prefix) != 1:
        output.fatal("-P only takes a single char")
        return 1
    if options.symvers and options.system_map:
        output.fatal("-E and -F are mutually exclusive")
        return 1
    reports = options.report_symbols and (options.symvers or options.system_map)
    if options.report_symbols and not reports:
        output.say("WARNING: -e needs -E or -F")
    words = list(options.words)
    release = words.pop(0) if words else os.uname().release
    if not _is_release(release):
        output.error(f"Bad version passed {release}")
        return 1
    files = () if options.all or options.quick else words
    for path in files:
        if not path.startswith("/"):
            output.fatal(f"{path}: not absolute path.")
            return 1
    from kmodd.oneshot.depmod import Order, depmod

    order: dict[str, Any] = {
        name: getattr(options, name, default) for name, default in _PRIVATE.items()
    }
    order |= {"report_symbols": bool(reports), "config": tuple(options.config)}
    order |= {"release": release, "files": tuple(files), "symbol_prefix": prefix or ""}
    order |= {"base": os.path.abspath(options.base)}
    order |= {"output": options.output and os.path.abspath(options.output)}
    return depmod(Order(**order))


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Have the daemon rebuild, and wait."""
    release = options.words[0] if options.words else ""
    try:
        tree = _rebuilt(release, api)
    except CallError as error:
        _complain(error, output)
        output.failure(error)
        return 1
    for line in tree.warnings:
        output.say(line)
    if output.json:
        output.message(tree)
    return 0


def _rebuilt(release: str, api: "Api") -> "Tree":
    """Have the daemon rebuild; a terminal is shown how far it is meanwhile."""
    from kmodctl.progress import Bar
    from kmodd.messages.database_service import RebuildDatabaseRequest, Tree

    tree, bar = Tree(), Bar("modules")
    try:
        for answer in api.databases.rebuild_database(RebuildDatabaseRequest(release=release)):
            if answer.tree is not None:
                tree = answer.tree
            elif answer.progress is not None:
                bar.draw(answer.progress.files_read, answer.progress.files_total)
    finally:
        bar.wipe()
    return tree


def _complain(error: CallError, output: Output) -> None:
    if error.reason == "TREE_NOT_FOUND":
        output.error(f"could not open directory {error.detail}: No such file or directory")
        output.fatal("could not search modules: No such file or directory")
        return
    for line in error.log_lines:
        output.say(line)
    if not error.log_lines:
        output.error(error.message)
