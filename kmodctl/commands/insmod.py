# SPDX-License-Identifier: Apache-2.0
"""insmod: load one module file

Sends the file to the daemon and loads it as it is: nothing is searched, and no other module is
loaded for it.
"""

import argparse
import errno
from typing import TYPE_CHECKING

from kmodctl.errors import CallError
from kmodctl.output import Output, strerror

if TYPE_CHECKING:
    from kmodctl.client import Client

_WORDS = {
    errno.ENOEXEC: "Invalid module format",
    errno.ENOENT: "Unknown symbol in module",
    errno.ESRCH: "Module has wrong symbol version",
    errno.EINVAL: "Invalid parameters",
}
"""What insmod(8) says instead of the C library's text."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add insmod's arguments."""
    force = parser.add_argument_group("forcing")
    force.add_argument(
        "-f", "--force", action="store_true", help="--force-vermagic and --force-modversion"
    )
    force.add_argument(
        "--force-vermagic", action="store_true", help="load despite another version magic"
    )
    force.add_argument(
        "--force-modversion", action="store_true", help="load despite other symbol versions"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say what the kernel logs")
    parser.add_argument("file", metavar="FILE", help="the module file")
    parser.add_argument(
        "parameters", metavar="PARAM=VALUE", nargs="*", help="the module's parameters"
    )


def run(options: argparse.Namespace, client: "Client", output: Output) -> int:
    """Upload the file and load it."""
    if options.file == "-":
        output.error("this tool does not support loading from stdin!")
        return 1
    try:
        client.insert(
            options.file,
            " ".join(options.parameters),
            ignore_vermagic=options.force or options.force_vermagic,
            ignore_modversions=options.force or options.force_modversion,
        )
    except OSError as error:
        output.error(f"could not load module {options.file}: {error.strerror}")
    except CallError as error:
        words = _WORDS.get(error.errno) or (strerror(error.errno) if error.errno else str(error))
        output.error(f"could not insert module {options.file}: {words}")
        if options.verbose:
            output.kernel_log(error)
    else:
        return 0
    return 1
