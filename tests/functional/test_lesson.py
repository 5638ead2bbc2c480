# SPDX-License-Identifier: Apache-2.0
"""The lesson of the README, as pasted."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.support.debian import headers
from tests.support.require import require

ROOT = Path(__file__).parents[2]


def test_the_lesson_shows_what_it_says(tmp_path: Path) -> None:
    require("gcc", "building modules needs gcc")
    require("make", "building modules needs make")
    require(find_spec("unicorn") is not None, "running code needs the extra 'emulator'")
    found = headers()
    require(found.name.endswith("-amd64"), "the lesson is for x86-64")
    readme = (ROOT / "README.md").read_text()
    lesson = re.search(r"## A first lesson.*?```sh\n(.*?)```", readme, re.DOTALL)
    assert lesson is not None
    programs = Path(sys.executable).parent
    told = subprocess.run(
        ["sh", "-c", lesson[1].replace(".venv/bin/kmodd", str(programs / "kmodd"))],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path), "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [re.sub(r"^\[ *[\d.]+\] ", "", line) for line in told.stdout.splitlines()]
    assert "insmod: ERROR: could not insert module halfway.ko: Input/output error" in told.stderr
    assert "rmmod: WARNING: leaky leaks 100 bytes of memory, taken in leaky_init+0x" in told.stderr
    assert "Hello, world: the module is in the kernel" in lines
    assert "Goodbye, world: the module leaves the kernel" in lines
    assert [line for line in lines if line.startswith("halfway: gave")] == [
        "halfway: gave the device numbers back",
        "halfway: gave the buffer back",
    ]
