# SPDX-License-Identifier: Apache-2.0
"""What is let through at sockets: ``caller.py SOCKET,... MODULE...`` prints it as JSON.

One process asks at all of them: it is its start that takes seconds in the guest.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kmodctl import Client
from tests.realkernel.scenarios import Record, Session


def main(arguments: Sequence[str]) -> None:
    """Ask each for everything that a role can make a difference to."""
    sockets, *modules = arguments
    print(json.dumps({socket: asked(socket, modules) for socket in sockets.split(",")}))


def asked(socket: str, modules: Sequence[str]) -> Record:
    """What became of each question at a socket."""
    with Client(socket) as client:
        session = Session(client, Path("/"))
        return {
            "list": session.attempt(client.list_modules),
            "log": session.attempt(lambda: list(client.read_log())),
            "load": {name: session.load(name) for name in modules},
            "unload": {name: session.unload(name) for name in modules},
        }


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # how grpc's threads end with an interpreter is not what is asked here
