# SPDX-License-Identifier: Apache-2.0
"""What a test needs of the machine: skip without it, but fail where everything is required.

A developer's machine may lack a kernel's headers, and the test that needs them is skipped with its
reason. The machine that decides about a change has everything: there KMODD_REQUIRE_ALL=1 turns a
silent skip into a failure.
"""

import os
import shutil
from importlib.util import find_spec

import pytest

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def find_tool(name: str) -> str | None:
    """Return the path of a program on PATH or where Debian keeps root's programs, or None."""
    return shutil.which(name, path=_PATH)


def require(needed: str | bool, reason: str) -> str:
    """Go on only where the program called ``needed`` is installed, or that condition holds.

    Gives the program's path, "" for a condition. Otherwise the test, fixture or test module that
    calls is skipped for ``reason``, or failed where the environment has KMODD_REQUIRE_ALL=1.
    """
    found = find_tool(needed) if isinstance(needed, str) else needed
    if found:
        return found if isinstance(found, str) else ""
    if os.environ.get("KMODD_REQUIRE_ALL") == "1":
        pytest.fail(f"required here, and missing: {reason}", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def require_emulator() -> None:
    """Go on only where modules' own code can run."""
    require(find_spec("unicorn") is not None, "running modules' code needs the extra 'emulator'")
