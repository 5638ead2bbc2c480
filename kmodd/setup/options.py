# SPDX-License-Identifier: Apache-2.0
"""The options of ``kmodd setup``, which a daemon that starts has no time to import the rest for."""

import argparse
import sys
from pathlib import Path

MODPROBE = "/sbin/modprobe"
"""What the kernel calls where nobody has told it otherwise, and what programs call."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``kmodd setup``."""
    parser.add_argument(
        "--dry-run", action="store_true", help="show the differences, and change nothing"
    )
    parser.add_argument("--undo", action="store_true", help="take away what setup has made")
    parser.add_argument(
        "--divert",
        action="store_true",
        help=f"have {MODPROBE} be kmodctl, too, by dpkg-divert(1)",
    )
    parser.add_argument(
        "--only-rule",
        action="store_true",
        help="make udev's rule anew, if there is one that setup has made, and nothing else",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        default=Path("/"),
        help="the system root to change (default: /)",
    )
    parser.add_argument(
        "--programs",
        metavar="DIR",
        type=Path,
        default=Path(sys.executable).parent,
        help="where kmodd and kmodctl are installed there (default: where this one is)",
    )
