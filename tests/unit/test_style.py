# SPDX-License-Identifier: Apache-2.0
"""The rules of style that a machine can check."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import PROJECT as ROOT
from tests.support.sources import sources

FOLDERS = {".ci", "kmodctl", "kmodd", "proto", "systemd", "tests"}
LICENSED = {".c", ".h", ".proto", ".py", ".sh"}
GENERATED = ("kmodctl/fleet/", "kmodd/v1/")


@pytest.fixture(scope="module", name="sources")
def project_sources() -> tuple[str, ...]:
    return sources()


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("ruff", "check", "."), id="ruff-check"),
        pytest.param(("ruff", "format", "--check", "."), id="ruff-format"),
        pytest.param(("mypy", "--strict"), id="mypy"),
    ],
)
def test_the_linters_find_nothing(command: tuple[str, ...]) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        pytest.fail(answer.stdout + answer.stderr, pytrace=False)


def test_every_source_names_its_licence(sources: tuple[str, ...]) -> None:
    silent = [path for path in sources if _is_licensed(path) and not _names_licence(path)]
    assert silent == []


def test_the_top_level_holds_only_the_folders_of_the_design(sources: tuple[str, ...]) -> None:
    assert {path.partition("/")[0] for path in sources if "/" in path} <= FOLDERS


def _is_licensed(path: str) -> bool:
    """Whether the file is a program's source; what a generator wrote has its licence in proto/."""
    if path.startswith(GENERATED) and Path(path).stem.endswith(("_pb2", "_pb2_grpc")):
        return False
    if Path(path).suffix in LICENSED:
        return True
    with (ROOT / path).open("rb") as file:
        return file.read(2) == b"#!"


def _names_licence(path: str) -> bool:
    """Whether one of the first three lines (a script's first is #!) has the SPDX tag."""
    with (ROOT / path).open(encoding="utf-8") as file:
        head = [line for line, _ in zip(file, range(3), strict=False)]
    return any("SPDX-License-Identifier: " in line and "Apache-2.0" in line for line in head)
