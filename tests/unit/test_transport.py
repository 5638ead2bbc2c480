# SPDX-License-Identifier: Apache-2.0
"""The choice that is made for grpc before it is imported."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from kmodd.host.transport import CHOICE, CHOOSING, VARIABLE

CHOOSE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from kmodd.host.transport import choose_transport
choose_transport()
"""

EXPECTED = CHOICE if version("grpcio").startswith(CHOOSING) else ""


def run(script: str, directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run ``script`` with the modules of ``directory`` before all others."""
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return subprocess.run(
        [sys.executable, "-c", script, str(directory)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_grpc_knows_the_choice_and_nothing_of_it_is_left_behind(tmp_path: Path) -> None:
    serve = f"""
import grpc
from concurrent.futures import ThreadPoolExecutor
grpc.server(ThreadPoolExecutor(1)).start()
print({VARIABLE!r} in os.environ)
"""
    told = run(CHOOSE + serve, tmp_path)
    assert (told.stdout, told.stderr) == ("False\n", "")


def test_grpc_sees_the_choice_or_what_the_user_chose(tmp_path: Path) -> None:
    (tmp_path / "grpc.py").write_text(f"import os\nseen = os.environ.get({VARIABLE!r}, '')\n")
    script = CHOOSE + "import grpc\nprint(grpc.seen)"
    assert run(script, tmp_path).stdout == f"{EXPECTED}\n"
    assert run(script, tmp_path, GRPC_EXPERIMENTS="mine").stdout == "mine\n"


def test_it_is_too_late_once_grpc_is_there(tmp_path: Path) -> None:
    late = run("import grpc\n" + CHOOSE, tmp_path)
    assert late.returncode == 1
    assert "grpc has been imported already" in late.stderr
