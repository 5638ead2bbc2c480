# SPDX-License-Identifier: Apache-2.0
"""events: print what has happened to the modules

Prints what kmodd has kept of the changes of the listing and of the operations behind them, a line
each, in UTC; with --json an object a line. With --follow it goes on until it is interrupted.
"""

import sys

from kmodctl.errors import CallError
from kmodctl.output import Output, as_json
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.client import Client
    from kmodd.v1 import module_service_pb2 as pb

BEGIN_ANEW = ("EVENTS_GONE", "READER_TOO_SLOW", "RESOURCE_EXHAUSTED")
"""Why a watch ends that can begin anew from what is kept by then."""


def configure(parser: Parser) -> None:
    """Add the arguments of events."""
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what happens from now on"
    )


def run(options: CommandOptions, client: "Client", output: Output) -> int:
    """Print the events."""
    import json

    for message in _kept(client) if not options.follow else _followed(client, output):
        if output.json:
            output.data(json.dumps(as_json(message)))
        else:
            for line in _lines(message):
                output.data(line)
        if options.follow:
            sys.stdout.flush()
    return 0


def _kept(client: "Client") -> "Iterator[pb.WatchModulesResponse]":
    """Yield what is kept of what has happened up to now."""
    status = client.status()
    if status.oldest_revision == status.newest_revision:
        return
    for message in client.watch_modules(status.epoch, status.oldest_revision):
        yield message
        if message.revision >= status.newest_revision:
            return


def _followed(client: "Client", output: Output) -> "Iterator[pb.WatchModulesResponse]":
    """Yield what is kept and what comes; where that breaks off, say so and begin anew."""
    while True:
        status = client.status()
        try:
            yield from client.watch_modules(status.epoch, status.oldest_revision)
        except CallError as error:
            if error.reason not in BEGIN_ANEW:
                raise
            output.warning(f"events are missing here: {error.message}")


def _lines(message: "pb.WatchModulesResponse") -> "Iterator[str]":
    """Yield a line for each thing that a message tells."""
    moment = message.time.ToDatetime().isoformat(sep=" ", timespec="milliseconds")
    if message.WhichOneof("content") == "operation":
        yield f"{moment} {_operation(message.operation)}"
    for change in message.changes.changes:
        yield f"{moment} {_change(change)}"


def _change(change: "pb.ModuleChange") -> str:
    from kmodd.v1 import module_service_pb2 as pb

    module = change.module
    kind = pb.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_").lower()
    if change.kind == pb.CHANGE_KIND_UNLOADED:
        return f"{kind} {module.name}"
    state = pb.ModuleState.Name(module.state).removeprefix("MODULE_STATE_").lower()
    users = f" by {','.join(module.holders)}" if module.holders else ""
    return f"{kind} {module.name}: {state}, used {module.reference_count}{users}"


def _operation(operation: "pb.FinishedOperation") -> str:
    from kmodd.v1 import module_service_pb2 as pb

    action = pb.OperationAction.Name(operation.action).removeprefix("OPERATION_ACTION_").lower()
    words = [f"operation {operation.number}: {action.replace('_', '-')} {operation.what}"]
    if operation.role:
        words.append(f"for {operation.role} {operation.socket}".rstrip())
    for what, names in (("loaded", operation.loaded), ("unloaded", operation.unloaded)):
        if names:
            words.append(f"{what} {' '.join(names)}")
    if operation.HasField("failure"):
        words.append(f"failed: {operation.failure.message}")
    words.append(f"{operation.duration.ToMicroseconds() / 1000:.1f} ms")
    return ", ".join(words)
