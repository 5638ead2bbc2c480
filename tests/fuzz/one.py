# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.fuzz.one NAME FOUND ARGUMENT...``: a fuzzer's process.

What is found goes into the directory FOUND; the arguments are libFuzzer's. It ends without ending
anything else: whoever starts it ends the group of its processes.
"""

import hashlib
import os
import sys
import traceback
from pathlib import Path

import atheris

from tests.fuzz.fuzzer import Target, fuzzer_of
from tests.fuzz.guard import guarded
from tests.fuzz.mutation import mutator


def main() -> None:
    name, found, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["kmodd"]):
        fuzzer = fuzzer_of(name)
    with fuzzer.opened() as target:
        # Setup puts another Mutate in place of the one that there is before.
        change = fuzzer.format and mutator(fuzzer.format, lambda *given: atheris.Mutate(*given))
        options = {"custom_mutator": change} if change else {}
        watched = keeping(guarded(fuzzer, target), Path(found))
        itself = f"{sys.executable} -m tests.fuzz.one {name} {found}"  # which it runs to merge
        atheris.Setup([itself, f"-artifact_prefix={found}/", *arguments], watched, **options)
        atheris.Fuzz()


def keeping(target: Target, found: Path) -> Target:
    """Return ``target``, whose first error ends the process, with the input in ``found``.

    libFuzzer would do so once Python has come to its end, which it does not where threads go on.
    """
    inputs = 0

    def watched(data: bytes) -> None:
        nonlocal inputs
        inputs += 1
        try:
            target(data)
        except BaseException:
            (found / f"input-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
            traceback.print_exc()
            print(f"stat::number_of_executed_units: {inputs}", file=sys.stderr, flush=True)
            os._exit(1)

    return watched


if __name__ == "__main__":
    main()
