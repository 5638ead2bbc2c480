# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.conformance.realkernel [--of NAME] [--root ROOT] [TABLE]``: run it and tell."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kmodd.errors import KmoddError
from tests.conformance.realkernel.compare import compare, report
from tests.conformance.realkernel.recordings import RECORDINGS, recording
from tests.conformance.realkernel.replay import Replay
from tests.conformance.realkernel.table import read_table
from tests.support.debian import tree_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the agreement; returns 0 when the table was run, however far the two agree."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.realkernel",
        description="Load the modules of a table on the emulated kernel and print how far it "
        "agrees with the kernel that the table was recorded on: NAME PERCENT% (N/M), a line for "
        "each column, then every disagreement by its cause.",
    )
    parser.add_argument(
        "--of",
        choices=[each.name for each in RECORDINGS],
        default=RECORDINGS[0].name,
        help="the kernel whose table that is checked in is meant (default: %(default)s)",
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="ROOT",
        help="a root with the table's release in ROOT/lib/modules (default: the package "
        "of the suite that the kernel is of, as it is now, downloaded into tests/.cache)",
    )
    parser.add_argument("--release", default="", help="the release (default: the newest in ROOT)")
    parser.add_argument(
        "table",
        type=Path,
        metavar="TABLE",
        nargs="?",
        help="a table of the form that README.md describes (default: the rows that are tested of "
        "the one that is checked in)",
    )
    options = parser.parse_args(arguments)
    try:
        meant = recording(options.of)
        rows = read_table(options.table) if options.table else meant.tested()
        replay = Replay(options.root or tree_of(meant.suite).root, options.release)
    except (KmoddError, OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    try:
        columns = compare(replay.run(rows))
    finally:
        replay.close()
    print("\n".join(report(columns)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
