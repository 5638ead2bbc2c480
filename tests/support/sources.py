# SPDX-License-Identifier: Apache-2.0
"""Which files are the project's."""

import subprocess
from pathlib import Path

import pytest

from tests.support.require import require

PROJECT = Path(__file__).parents[2]


def sources() -> tuple[str, ...]:
    """Return the paths of all files that git tracks, or would track if they were added now.

    The test or fixture that calls is skipped where the project is not a checkout of git's.
    """
    if not (PROJECT / ".git").exists():
        pytest.skip("not a checkout: git cannot tell the project's files from others")
    git = require("git", "the project's files are those that git lists")
    # A checkout of another user's, as in a container, is one that git would refuse.
    trust = ["-c", f"safe.directory={PROJECT}"]
    listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run([git, *trust, *listing], cwd=PROJECT, check=True, capture_output=True)
    paths = answer.stdout.decode().split("\0")
    return tuple(path for path in paths if path and (PROJECT / path).is_file())
