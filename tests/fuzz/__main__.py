# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.fuzz NAME``: run a fuzzer, or all, and keep what it finds."""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.fuzzer import NAMES
from tests.fuzz.running import Outcome, replay, run, shrink


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", choices=(*NAMES, "all"))
    parser.add_argument("--seconds", type=int, default=60, help="of each fuzzer (default: 60)")
    parser.add_argument("--runs", type=int, default=-1, help="at most so many inputs")
    parser.add_argument("--seed", type=int, default=0, help="of the first change (default: any)")
    parser.add_argument("--jobs", type=int, default=1, help="fuzzers at a time (default: 1)")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="where findings go")
    parser.add_argument("--kept", type=Path, help="where inputs that reach more code go")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="inputs to repeat")
    parser.add_argument(
        "--shrink", action="store_true", help="make the corpus anew, from it and --kept"
    )
    options = parser.parse_args()
    if options.replay:
        replay(options.name, options.replay)
        return
    names = NAMES if options.name == "all" else (options.name,)
    if options.shrink:
        for name in names:
            shrink(name, options.kept / name)
        return

    def fuzz(name: str) -> Outcome:
        return run(
            name,
            seconds=options.seconds,
            runs=options.runs,
            seed=options.seed,
            found=options.found / name,
            kept=options.kept / name if options.kept else None,
        )

    good = True
    with ThreadPoolExecutor(options.jobs) as threads:
        for name, outcome in zip(names, threads.map(fuzz, names), strict=True):
            print(f"{name}: {outcome.inputs} inputs, {len(outcome.findings)} findings", flush=True)
            if not outcome.is_good:
                good = False
                print(outcome.report)
            for file in outcome.findings:
                print(f"repeat it: python -m tests.fuzz {name} --replay {file}", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
