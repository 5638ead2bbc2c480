# SPDX-License-Identifier: Apache-2.0
"""lsmod: list the loaded modules

Prints each module's name, its size in bytes, how many references it has, and the modules that use
it. With --json also its state, its taints, and whether its init function has run.
"""

import argparse
from typing import TYPE_CHECKING

from kmodctl.output import Output

if TYPE_CHECKING:
    from kmodctl.client import Client


def configure(_parser: argparse.ArgumentParser) -> None:
    """There is nothing to choose."""


def run(_options: argparse.Namespace, client: "Client", output: Output) -> int:
    """Print the listing as lsmod(8) does."""
    modules = client.list_modules()
    if output.json:
        output.messages(list(modules))
        return 0
    output.data("Module                  Size  Used by")
    for module in modules:
        row = f"{module.name:<19} {module.size_bytes:8d}  {module.reference_count}"
        holders = ",".join(module.holders)
        output.data(f"{row} {holders}" if holders else row)
    return 0
