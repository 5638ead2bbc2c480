# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.bench NAME``: run a benchmark and print its table."""

import argparse
import importlib

BENCHMARKS = (
    *("boot", "calls", "change", "depmod", "drop-in", "fleet", "growth", "idle", "initramfs"),
    *("kernels", "listing", "modules", "plan", "storm"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--repeat", type=int, default=7, help="runs of each row (default: 7)")
    length = "length of a storm, or of doing nothing (default: 60)"
    parser.add_argument("--seconds", type=int, default=60, help=length)
    options = parser.parse_args()
    amount = options.seconds if options.name in ("fleet", "idle", "storm") else options.repeat
    name = options.name.replace("-", "_")
    importlib.import_module(f"tests.bench.{name}").run(amount)


if __name__ == "__main__":
    main()
