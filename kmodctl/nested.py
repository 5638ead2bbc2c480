# SPDX-License-Identifier: Apache-2.0
"""Calls from a command of modprobe.d, whose options are the configuration's own.

What a caller gave as parameters is in such a command's environment, and a shell makes words of it
where the command has the variable without quotes. None of them may become an option: the call has
the daemon's trust in its configuration, not in its callers.
"""

import os

from kmodctl.environment import environment
from kmodctl.sockets import SOCKET_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TOKEN_VARIABLE = "KMODD_TOKEN"
"""Where a command finds what its calls are to show."""

CALLERS_VARIABLES = ("CMDLINE_OPTS", "MODPROBE_MODULE")
"""Where a command finds what its caller has said: parameters, and what may be any name."""


TOKEN_KEY = "kmodd-token"
"""The key under which the calls of a command show their token."""


def metadata_for(path: str) -> tuple[tuple[str, str], ...]:
    """Return what calls on the socket ``path`` show beside themselves.

    A command that the daemon runs finds a token in its environment, and the socket to show it on.
    """
    token = environment().get(TOKEN_VARIABLE)
    theirs = os.path.abspath(environment().get(SOCKET_VARIABLE, ""))
    return ((TOKEN_KEY, token),) if token and path == theirs else ()


def refusal_of(option: str, operands: "Sequence[str]") -> str:
    """Return why a word that would be read as an option is none in a command's call.

    ``operands`` are the words before it that are none. Returns "" where it may be one.
    """
    if not os.environ.get(TOKEN_VARIABLE):
        return ""
    for variable in CALLERS_VARIABLES:
        given = os.environ.get(variable, "")
        if option == given or option in given.split():
            return f"it is in ${variable}"
    if operands and option != "--":
        return f"it stands behind '{operands[0]}', where $CMDLINE_OPTS may"
    return ""
