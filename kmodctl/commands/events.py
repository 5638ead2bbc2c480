# SPDX-License-Identifier: Apache-2.0
"""events: print what has happened to the modules

Prints what kmodd has kept of the changes of the listing and of the operations behind them, a line
each, in UTC; with --json an object a line. With --follow it goes on until it is interrupted.
Administrators are told who asked for an operation, too.
"""

import sys

from kmodctl.errors import CallError
from kmodctl.output import Output, shown_caller, shown_moment, shown_name
from kmodctl.parser import CommandOptions, Parser
from kmodctl.styles import BAD, Styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.api import Api
    from kmodd.messages import module_service as pb

BEGIN_ANEW = ("EVENTS_GONE", "READER_TOO_SLOW", "RESOURCE_EXHAUSTED")
"""Why a watch ends that can begin anew from what is kept by then."""


def configure(parser: Parser) -> None:
    """Add the arguments of events."""
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what happens from now on"
    )


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the events."""
    for message in _kept(api) if not options.follow else _followed(api, output):
        if output.json:
            output.message_line(message)
        else:
            for pieces in event_lines(message):
                output.data(*pieces)
        if options.follow:
            sys.stdout.flush()
    return 0


def _kept(api: "Api") -> "Iterator[pb.WatchModulesResponse]":
    """Yield what is kept of what has happened up to now."""
    from kmodd.messages.module_service import WatchModulesRequest

    status = api.status()
    if status.oldest_revision == status.newest_revision:
        return
    request = WatchModulesRequest(epoch=status.epoch, revision=status.oldest_revision)
    for message in api.modules.watch_modules(request):
        yield message
        if message.revision >= status.newest_revision:
            return


def _followed(api: "Api", output: Output) -> "Iterator[pb.WatchModulesResponse]":
    """Yield what is kept and what comes; where that breaks off, say so and begin anew."""
    from kmodd.messages.daemon_service import GetStatusRequest
    from kmodd.messages.module_service import WatchModulesRequest

    while True:
        status = api.daemon.get_status(GetStatusRequest())
        request = WatchModulesRequest(epoch=status.epoch, revision=status.oldest_revision)
        try:
            yield from api.modules.watch_modules(request)
        except CallError as error:
            if error.reason not in BEGIN_ANEW:
                raise
            output.warning(f"events are missing here: {error.message}")


def event_lines(message: "pb.WatchModulesResponse") -> "Iterator[tuple[str | Styled, ...]]":
    """Yield a line, in pieces, for each thing that a message tells."""
    from kmodd.messages.module_service import ModuleChanges
    from kmodd.messages.well_known import Timestamp

    moment = shown_moment(message.time or Timestamp(), "milliseconds")
    if message.operation is not None:
        operation = _operation(message.operation)
        failed = message.operation.failure is not None
        yield f"{moment} ", Styled(operation, BAD) if failed else operation
    for change in (message.changes or ModuleChanges()).changes:
        yield (f"{moment} {_change(change)}",)


def _change(change: "pb.ModuleChange") -> str:
    from kmodd.messages import module_service as pb

    module = change.module or pb.Module()
    kind = shown_name(pb.CHANGE_KIND, change.kind)
    if change.kind == pb.CHANGE_KIND_UNLOADED:
        return f"{kind} {module.name}"
    state = shown_name(pb.MODULE_STATE, module.state)
    users = f" by {','.join(module.holders)}" if module.holders else ""
    others = " by others" if change.by_others else ""
    return f"{kind} {module.name}{others}: {state}, used {module.reference_count}{users}"


def _operation(operation: "pb.FinishedOperation") -> str:
    from kmodd.messages.module_service import OPERATION_ACTION
    from kmodd.messages.well_known import Duration

    action = shown_name(OPERATION_ACTION, operation.action)
    words = [f"operation {operation.number}: {action.replace('_', '-')} {operation.what}"]
    if operation.origin:
        words.append(" ".join(filter(None, (f"for {operation.origin}", operation.device))))
    elif operation.role:
        words.append(f"for {operation.role} {operation.socket}".rstrip())
    if operation.caller is not None:
        words.append(f"by {shown_caller(operation.caller)}")
    for what, names in (("loaded", operation.loaded), ("unloaded", operation.unloaded)):
        if names:
            words.append(f"{what} {' '.join(names)}")
    if operation.failure is not None:
        words.append(f"failed: {operation.failure.message}")
    took = operation.duration or Duration()
    words.append(f"{took.seconds * 1000 + took.nanos / 1e6:.1f} ms")
    return ", ".join(words)
