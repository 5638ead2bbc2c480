# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.realkernel [COUNT [SEED]]``: boot the first guest with so many modules drawn.

Prints in what kmodd, modprobe, the emulated kernel and the one in a virtual machine differ; 200
modules take ten minutes.
"""

import argparse
import tempfile
from pathlib import Path

from tests.realkernel.boots import boot_kernel, emulate, virtualise
from tests.realkernel.drawn import (
    differences_in_a_guest,
    differences_to_emulation,
    differences_to_modprobe,
    summary,
)
from tests.realkernel.layout import lay_out
from tests.realkernel.lessons import build_lessons
from tests.realkernel.reloads import build_chain
from tests.support.debian import headers, unpacked_tree
from tests.support.modules import build

SECONDS_EACH = 60.0
"""How long the guest may take, by module."""


def main() -> None:
    """Boot, wait, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.realkernel")
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kmodd-realkernel-") as directory:
        place = Path(directory)
        build(place / "built", headers())
        build_chain(place / "chain", headers())
        build_lessons(place / "lessons", headers())
        debian = unpacked_tree()
        layout = lay_out(debian, place, place / "lessons", seed=options.seed, count=options.count)
        (place / "machine").mkdir()
        seconds = SECONDS_EACH * max(options.count, 10)
        real = boot_kernel(debian, layout, place / "machine", seconds=seconds)
        found = real.of("by_kmodd_and_by_modprobe")
        emulated = emulate(layout).of("load_each")
        virtual = virtualise(debian, layout).of("load_each")
    for difference in (
        *differences_to_modprobe(found),
        *differences_in_a_guest(found, virtual),
        *differences_to_emulation(found, emulated, real.of("status")["in_proc"]),
    ):
        print(difference)
    print(summary(found, emulated))


if __name__ == "__main__":
    main()
