# SPDX-License-Identifier: Apache-2.0
"""A server of grpc's that does nothing but answer: ``python -m tests.bench.bare_server SOCKET``.

It says "ready" once it listens, and ends with its input.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

METHOD = "/bare.Bare/Call"
"""What it answers, whatever it is sent."""

ANSWER = bytes(64)
"""About as much as a load of what is loaded is answered."""

THREADS = 64


def main(socket: str) -> None:
    """Serve at ``socket`` until there is no more input."""
    service, _, method = METHOD[1:].partition("/")
    handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: ANSWER)
    server = grpc.server(ThreadPoolExecutor(THREADS))
    server.add_registered_method_handlers(service, {method: handler})
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
