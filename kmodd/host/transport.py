# SPDX-License-Identifier: Apache-2.0
"""How grpc reads sockets, which it looks up in the environment when it is imported, and how a call
of its is ended: what grpc itself offers no way to."""

import os
import sys
from contextlib import suppress
from typing import Any

TOKEN_KEY = "kmodd-token"
"""The metadata of a call that a command makes, which show what operation runs the command."""

STATUS_KEY = "grpc-status-details-bin"
"""The metadata behind a call that have the details of its status (google.rpc.Status)."""

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
    if VARIABLE in os.environ:
        return
    os.environ |= transport_environment()
    try:
        import grpc  # noqa: F401
    finally:
        os.environ.pop(VARIABLE, None)  # the daemon's commands may have another grpc


def transport_environment() -> dict[str, str]:
    """Return the environment of a process that is to read sockets as this one does."""
    given = os.environ.get(VARIABLE)
    if given is None and installed_version("grpcio").startswith(CHOOSING):
        given = CHOICE
    return {} if given is None else {VARIABLE: given}


def installed_version(project: str) -> str:
    """Return the version of an installed project, "" where none is found.

    The name of the directory NAME-VERSION.dist-info in sys.path has it ('Recording installed
    projects' of packaging.python.org). ``importlib.metadata`` looks there, too, and takes a tenth
    of a daemon's start to be imported.
    """
    for place in sys.path:
        with suppress(OSError):
            for entry in os.listdir(place or "."):
                stem, _, kind = entry.rpartition(".")
                name, _, version = stem.partition("-")
                if kind in ("dist-info", "egg-info") and name.lower() == project:
                    return version
    return ""


_ABSTRACT = "unix-abstract:"


def abstract_peer(name: str) -> str:
    """Return what grpc calls a peer that is bound to an abstract name (unix(7))."""
    return f"{_ABSTRACT}{name}"


def abstract_name(peer: str) -> str:
    """Return the abstract name that a peer is bound to which grpc calls so."""
    return peer.removeprefix(_ABSTRACT)


def cancel_call(context: Any, code: int, message: str) -> None:
    """End the call of a grpc.ServicerContext from outside its own thread; may be called twice.

    grpc offers cancel() for that, after which the client sees CANCELLED and learns of no reason.
    The call beneath the context takes a status too, though no details, and sends it past what the
    client has not read. The context has had it under this name since grpcio 1.0; where it has not
    any more, the call is ended all the same, without the reason.
    """
    try:
        call = context._rpc_event.call
    except AttributeError:
        context.cancel()
    else:
        call.cancel(code, message)
