# SPDX-License-Identifier: Apache-2.0
"""No function of the emulated kernel is without a test: each family has a file of tests here."""

import re
from pathlib import Path

import pytest

from tests.support.require import require_emulator
from tests.support.sources import PROJECT, sources

require_emulator()

import kmodd.kernel.emulated.functions.everything  # noqa: E402  # declares all functions
from kmodd.kernel.emulated.abi import function_table  # noqa: E402

HERE = Path(__file__).parent
DECLARATION = re.compile(
    r"^@?(?:function|machine_code|alike|pairs|makers)\(|^ +@function\(", re.MULTILINE
)
NAMED_SHARE = 0.99
"""Of all functions, those that a test names; the rest are thunks that no code can call."""


def families() -> list[str]:
    """Return the names of the files that declare functions."""
    files = Path(kmodd.kernel.emulated.functions.__file__).parent.rglob("*.py")
    return sorted(each.stem for each in files if DECLARATION.search(each.read_text()))


@pytest.mark.parametrize("family", families())
def test_a_family_has_tests_of_its_own(family: str) -> None:
    assert (HERE / f"test_{family}.py").is_file()


def test_no_function_is_declared_elsewhere() -> None:
    works = [each.work for each in function_table.FUNCTIONS.values() if each.work is not None]
    homes = {work.__module__.rpartition(".")[2] for work in works}
    assert homes - {function_table.__name__.rpartition(".")[2]} <= set(families())


def test_nearly_every_function_is_named_in_a_test() -> None:
    words = {
        word
        for path in sources()
        if path.startswith("tests/") and path.endswith(".py")
        for word in re.findall(r"\w+", (PROJECT / path).read_text())
    }
    unnamed = sorted(name for name in function_table.FUNCTIONS if name not in words)
    named = len(function_table.FUNCTIONS) - len(unnamed)
    assert named >= NAMED_SHARE * len(function_table.FUNCTIONS), unnamed
