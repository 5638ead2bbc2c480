# SPDX-License-Identifier: Apache-2.0
"""Lines of the source, from the debug information of files that are still to be linked."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from kmodd.modulefile.source_lines import source_lines
from tests.support.require import require

HEADER = """\
static inline int doubled(int number) {
    extern int ask(int);
    return 2 * ask(number);
}
"""
SOURCE = """\
#include "inlined.h"
extern int ask(int);
int twice(int number)
{
    int first = ask(number);

    return first + doubled(first);
}
__attribute__((section(".init.text"))) int begin(void)
{
    return ask(1)
        + 1;
}
"""


@pytest.fixture(scope="module", params=["4", "5"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An object with two sections of code that both begin at 0, in a version of DWARF."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "inlined.h").write_text(HEADER)
    (folder / "twice.c").write_text(SOURCE)
    gcc = require("gcc", "debug information comes from a compiler")
    options = ["-c", "-O2", "-fcf-protection=none", f"-gdwarf-{request.param}"]
    subprocess.run([gcc, *options, "twice.c"], cwd=folder, check=True)
    return (folder / "twice.o").read_bytes()


def returns(image: bytes, folder: Path) -> dict[str, list[int]]:
    """Return where the calls in each function return to, by objdump."""
    objdump = require("objdump", "what is at which address is asked of another program")
    (folder / "twice.o").write_bytes(image)
    command = [objdump, "-d", "--no-show-raw-insn", "twice.o"]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    found: dict[str, list[int]] = {}
    name, start, follows = "", 0, False
    for line in said.splitlines():
        if line.endswith(">:"):
            address, _, rest = line.partition(" <")
            name, start = rest.removesuffix(">:"), int(address, 16)
            found[name] = []
        elif ":\t" in line:
            at = int(line.partition(":")[0], 16)
            if follows:
                found[name].append(at - start)
            follows = "call" in line or "jmp" in line
    return found


def test_calls_have_the_lines_of_their_own_source(image: bytes, tmp_path: Path) -> None:
    twice = returns(image, tmp_path)["twice"]
    lines = source_lines(image, [("twice", each) for each in twice[:2]])
    assert [(Path(each.file).name, each.line) for each in lines if each] == [
        ("twice.c", 5),
        ("twice.c", 7),  # which calls what the header has in line
    ]
    assert Path(lines[0].file).is_absolute() if lines[0] else False


def test_sections_that_begin_at_the_same_address_are_told_apart(image: bytes) -> None:
    of_init, of_text = source_lines(image, [("begin", 0), ("twice", 1)])
    assert of_init is not None
    assert of_text is not None
    assert (of_init.line, of_text.line) == (11, 5)


@pytest.mark.parametrize("places", [[], [("nosuch", 1)], [("", 0)]])
def test_what_is_not_there_has_no_line(image: bytes, places: Sequence[tuple[str, int]]) -> None:
    assert source_lines(image, places) == (None,) * len(places)


def test_what_makes_no_sense_has_no_lines(image: bytes) -> None:
    start = image.index(b".debug_line") // 2
    for damaged in (b"", b"\x7fELF", image[: len(image) // 2], image[:start] + bytes(4096)):
        assert source_lines(damaged, [("twice", 1)]) == (None,)
