# SPDX-License-Identifier: Apache-2.0
"""The guest's only program: its source, how it is compiled, and what comes of that."""

from pathlib import Path

_HERE = Path(__file__).parent


def agent_of(architecture: str) -> Path:
    """Return the file of the agent for an architecture, by its name (``uname -m``).

    There is none where the file does not exist.
    """
    return _HERE / f"agent.{architecture}"
