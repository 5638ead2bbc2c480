# SPDX-License-Identifier: Apache-2.0
"""The Debian package that sources make."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.support.release import clean_environment
from tests.support.require import require

UNREACHED = ("error sending request", "Temporary failure resolving", "Could not connect")
"""What uv and apt say where nobody answers."""


def build_package(source: Path, output: Path, *, umask: int = -1, **environment: str) -> Path:
    """Build the package of ``source`` into the directory ``output``, with this interpreter's tools.

    Skips where a tool is missing, or where what is downloaded cannot be had.
    """
    require("mmdebstrap", "a package's byte code is made in bare systems (mmdebstrap)")
    require("bwrap", "a bare system to run something in needs the package bubblewrap")
    require("dpkg-deb", "a Debian package is made by dpkg")
    require(find_spec("uv") is not None, "a package's environment is installed by uv")
    built = subprocess.run(
        [str(source / "systemd/package/build-deb"), "--output", str(output)],
        env={**clean_environment(), "PYTHON": sys.executable, **environment},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    said = built.stdout + built.stderr
    require(
        not any(each in said for each in UNREACHED), f"nothing can be downloaded: {said[-400:]}"
    )
    assert built.returncode == 0, said
    (package,) = output.glob("*.deb")
    assert built.stdout == f"{package}\n"
    return package
