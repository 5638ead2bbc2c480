# SPDX-License-Identifier: Apache-2.0
"""kmodctl run in the test's own process, which is much quicker than one of its own."""

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from kmodctl.cli import main


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command came to: its outputs, whatever bytes they have, and its exit status."""

    output: str
    errors: str
    status: int


def run_here(socket: Path | None, *arguments: str, **environment: str) -> Ran:
    """Run kmodctl with these arguments against the daemon on ``socket``.

    Nothing but ``environment`` is taken over from what programs look at of their environment.
    """
    outputs = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with (
        patch.dict(os.environ, _environment(socket, environment), clear=True),
        redirect_stdout(outputs[0]),
        redirect_stderr(outputs[1]),
    ):
        try:
            status = main(list(arguments))
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Ran(_text(outputs[0]), _text(outputs[1]), status)


def _environment(socket: Path | None, more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, **({"KMODD_SOCKET": str(socket)} if socket else {}), **more}


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode("utf-8", "surrogateescape")
