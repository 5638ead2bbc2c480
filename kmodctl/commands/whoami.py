# SPDX-License-Identifier: Apache-2.0
"""whoami: tell whom the daemon takes one for, and what one may do

The user, the groups and the process are those that the kernel names for the connection; the role
comes from the socket, or from the grants of kmodd.toml. For a loader the modules that it may have
are told, and for everybody the methods of the API that one may call.
"""

from kmodctl.output import Output, shown_name, shown_process
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.api import Api
    from kmodd.messages.daemon_service import WhoAmIResponse


def configure(_parser: Parser) -> None:
    """There is nothing to choose."""


def run(_options: CommandOptions, api: "Api", output: Output) -> int:
    """Print who the caller is, a fact a line."""
    from kmodd.messages.daemon_service import WhoAmIRequest

    answer = api.daemon.who_am_i(WhoAmIRequest())
    if output.json:
        output.message(answer)
        return 0
    for name, value in _facts(answer):
        output.data(f"{name + ':':<11} {value}")
    return 0


def _facts(answer: "WhoAmIResponse") -> "Iterator[tuple[str, str]]":
    from kmodd.messages.caller import Caller
    from kmodd.messages.policy import ROLE

    caller = answer.caller or Caller()
    name = f" ({caller.user})" if caller.user else ""
    yield "user", f"{caller.uid}{name}"
    yield "groups", " ".join(map(str, caller.gids))
    if caller.pid:
        yield "process", shown_process(caller)
    yield "socket", answer.socket
    yield "role", shown_name(ROLE, answer.role)
    if answer.allowed_modules:
        yield "modules", " ".join(answer.allowed_modules)
    if answer.denied_modules:
        yield "but not", " ".join(answer.denied_modules)
    if answer.allowed_modules:
        yield "parameters", "yes" if answer.may_give_parameters else "no"
    if answer.wish_source:
        yield "wishes as", answer.wish_source
    yield "may call", " ".join(method.rpartition("/")[2] for method in answer.methods)
