# SPDX-License-Identifier: Apache-2.0
"""rmmod: unload modules, and nothing that they needed

Goes on with the next module when one cannot be unloaded.
"""

import argparse
import os
from typing import TYPE_CHECKING

from kmodctl.errors import CallError
from kmodctl.output import Output, strerror

if TYPE_CHECKING:
    from kmodctl.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add rmmod's arguments."""
    parser.add_argument(
        "-f", "--force", action="store_true", help="unload even what is in use; dangerous"
    )
    parser.add_argument("modules", metavar="MODULE", nargs="*", help="a module's name or file")


def run(options: argparse.Namespace, client: "Client", output: Output) -> int:
    """Unload each module."""
    if not options.modules:
        output.error("missing module name.")
        return 1
    failures = [not _remove(name, options.force, client, output) for name in options.modules]
    return int(any(failures))


def _remove(name: str, force: bool, client: "Client", output: Output) -> bool:
    """Unload one module; an argument that is a file stands for the module it holds."""
    module = os.path.basename(name).partition(".")[0] if os.path.exists(name) else name
    try:
        client.remove(module, force=force)
    except CallError as error:
        output.error(_words(module.replace("-", "_"), error))
        return False
    return True


def _words(module: str, error: CallError) -> str:
    match error.reason:
        case "MODULE_NOT_LOADED" | "INVALID_NAME":
            return f"Module {module} is not currently loaded"
        case "MODULE_BUILTIN":
            return f"Module {module} is builtin."
        case "MODULE_IN_USE" if error.detail:
            return f"Module {module} is in use by: {error.detail}"
        case "MODULE_IN_USE":
            return f"Module {module} is in use"
    cause = strerror(error.errno) if error.errno else str(error)
    return f"could not remove module {module}: {cause}"
