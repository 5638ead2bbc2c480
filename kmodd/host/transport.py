# SPDX-License-Identifier: Apache-2.0
"""How grpc reads the daemon's sockets, which it looks up in the environment when it is imported."""

import os
import sys
from importlib.metadata import version

VARIABLE = "GRPC_EXPERIMENTS"

CHOICE = "-event_engine_listener"
"""Have the threads that wait for calls read the sockets.

Otherwise others read them and wake those: six switches of threads a call more, and a quarter of
its time (``python -m tests.bench calls``).
"""

CHOOSING = ("1.84.", "1.85.")
"""The versions of grpcio that know the choice; later ones are to lose it (grpc/grpc#43350), and
complain of what they do not know."""


def choose_transport() -> None:
    """Import grpc with the choice made, unless whoever starts the daemon has made one."""
    if "grpc" in sys.modules:
        raise RuntimeError("grpc has been imported already")
    if VARIABLE in os.environ or not version("grpcio").startswith(CHOOSING):
        return
    os.environ[VARIABLE] = CHOICE
    try:
        import grpc  # noqa: F401
    finally:
        del os.environ[VARIABLE]  # the daemon's commands may have another grpc
