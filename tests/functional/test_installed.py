# SPDX-License-Identifier: Apache-2.0
"""What an installed wheel brings with it, beside the two programs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.release import build, clean_environment, install
from tests.support.sources import PROJECT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but the wheel in it."""
    directory = tmp_path_factory.mktemp("installed")
    return install(build(PROJECT, directory / "dist").wheel, directory / "venv")


def test_a_typed_program_can_use_the_client(installed: Path, tmp_path: Path) -> None:
    readme = (PROJECT / "README.md").read_text()
    example = re.search(r"```python\n(import kmodctl\n.*?)```", readme, re.DOTALL)
    assert example is not None
    program = tmp_path / "program.py"
    program.write_text(f"{example[1]}\nreveal_type(module)\nreveal_type(module.size_bytes)\n")
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
            *("--python-executable", str(installed / "bin/python")),
            *("--cache-dir", str(tmp_path / "cache"), program.name),
        ],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.findall(r'Revealed type is "(.*)"', checked.stdout) == [
        "kmodd.v1.module_service_pb2.Module",
        "int",
    ]
