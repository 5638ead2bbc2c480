# SPDX-License-Identifier: Apache-2.0
"""The list of the functions that modules import and that nobody has modelled."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian import DebianTree
from tests.support.modules import module_tree
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.abi.function_table import (  # noqa: E402
    DEFAULT_VERSION,
    FUNCTIONS,
    adopt,
)
from kmodd.trees import Trees  # noqa: E402
from tests.conformance.realkernel.coverage import main, missing_functions  # noqa: E402


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave this process with the functions of 6.1."""
    yield
    adopt(DEFAULT_VERSION, "6.1.0", {})


def test_a_function_counts_for_all_modules_that_hang_on_it(tmp_path: Path) -> None:
    tree = module_tree(tmp_path)
    database = Trees(tree.root, tree.release, publish=False).rebuild().database
    # greet and asker import it, and world needs greet.
    prototypes = {"param_array_ops": "ip.", "not_imported": "v4"}
    (missing,) = missing_functions(database, prototypes, ())
    assert str(missing) == "     3 param_array_ops (ip.)"
    assert list(missing_functions(database, prototypes, {"param_array_ops"})) == []


def test_a_function_that_is_modelled_as_another_kernel_has_it_says_so(tmp_path: Path) -> None:
    tree = module_tree(tmp_path)
    database = Trees(tree.root, tree.release, publish=False).rebuild().database
    adopt(DEFAULT_VERSION, "", {"_printk": "ip"})
    (missing,) = missing_functions(database, {"_printk": "ip"}, FUNCTIONS)
    assert str(missing).endswith(" _printk (ip, modelled with another prototype)")


def test_the_command_lists_a_distributions_functions_by_the_modules_that_want_them(
    debian_tree: DebianTree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(debian_tree.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    counts = [int(line.split()[0]) for line in lines]
    assert counts == sorted(counts, reverse=True)
    assert len(lines) > 1000
    assert not any(line.split()[1] == "_printk" for line in lines)


def test_a_root_without_an_image_or_a_tree_tells_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = module_tree(tmp_path / "root")
    assert main(["--root", str(tmp_path / "none")]) == 1
    assert main(["--root", str(tree.root)]) == 1
    assert "no image under" in capsys.readouterr().err
