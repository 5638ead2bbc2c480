# SPDX-License-Identifier: Apache-2.0
"""What is let through at one socket: ``caller.py SOCKET MODULE...`` prints it as JSON."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kmodctl import Client
from tests.realkernel.scenarios import Session


def main(arguments: Sequence[str]) -> None:
    """Ask for everything that a role can make a difference to."""
    socket, *modules = arguments
    with Client(socket) as client:
        session = Session(client, Path("/"))
        print(
            json.dumps(
                {
                    "list": session.attempt(client.list_modules),
                    "log": session.attempt(lambda: list(client.read_log())),
                    "load": {name: session.load(name) for name in modules},
                    "unload": {name: session.unload(name) for name in modules},
                }
            )
        )


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # how grpc's threads end with an interpreter is not what is asked here
