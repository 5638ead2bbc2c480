# SPDX-License-Identifier: Apache-2.0
"""depmod: rebuild the databases of a release's modules

The daemon does so by itself when a module comes, changes or goes; this makes it happen now, and
waits for the databases to be written.
"""

import argparse
import re
import sys
from typing import TYPE_CHECKING

from kmodctl.errors import CallError
from kmodctl.output import Output

if TYPE_CHECKING:
    from kmodctl.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add depmod's arguments."""
    parser.add_argument("-a", "--all", action="store_true", help="look at all modules (always so)")
    parser.add_argument("release", metavar="VERSION", nargs="?", default="", help="the release")


def run(options: argparse.Namespace, client: "Client", output: Output) -> int:
    """Rebuild and wait."""
    if options.release and not re.match(r"[0-9]+\.[0-9]+", options.release):
        output.error(f"Bad version passed {options.release}")
        return 1
    show = _progress if sys.stderr.isatty() else None
    try:
        tree = client.rebuild_database(options.release, progress=show)
    except CallError as error:
        _complain(error, output)
        return 1
    finally:
        if show is not None:
            print("\r\033[K", end="", file=sys.stderr)
    for line in tree.warnings:
        output.say(line)
    if output.json:
        output.message(tree)
    return 0


def _complain(error: CallError, output: Output) -> None:
    if error.reason == "TREE_NOT_FOUND":
        output.error(f"could not open directory {error.detail}: No such file or directory")
        output.fatal("could not search modules: No such file or directory")
        return
    for line in error.log_lines:
        output.say(line)
    if not error.log_lines:
        output.error(error.message)


def _progress(read: int, total: int) -> None:
    """Draw how far the rebuild is, on a terminal."""
    width = 40
    filled = width * read // max(total, 1)
    bar = "=" * filled + " " * (width - filled)
    print(f"\r[{bar}] {read}/{total} modules", end="", file=sys.stderr, flush=True)
