# SPDX-License-Identifier: Apache-2.0
"""The API's proto files, from which any language makes a client: ``python -m kmodctl.protos``."""

from pathlib import Path

API = Path("kmodd", "v1")
"""Where they are below the directory that protoc is given with ``-I``."""


def directory() -> Path:
    """Return the directory with ``kmodd/v1/*.proto``: the installed one, else the sources' own."""
    installed = Path(__file__).parent
    if (installed / API).is_dir():
        return installed
    return Path(__file__).resolve().parents[2] / "proto"
