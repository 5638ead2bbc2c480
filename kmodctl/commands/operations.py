# SPDX-License-Identifier: Apache-2.0
"""operations: list what is under way, and who waits for whom

Each line is one operation with its number, who asked for it, and what it does at this moment. Only
administrators are told.
"""

from kmodctl.output import Output, shown_caller, shown_name
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodd.messages.daemon_service import Operation


def configure(_parser: Parser) -> None:
    """There is nothing to choose."""


def run(_options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the operations under way."""
    from kmodd.messages.daemon_service import ListOperationsRequest

    operations = api.daemon.list_operations(ListOperationsRequest()).operations
    if output.json:
        output.messages(operations)
        return 0
    for operation in operations:
        output.data(_line(operation))
    return 0


def _line(operation: "Operation") -> str:
    from kmodd.messages.module_service import OPERATION_ACTION

    action = shown_name(OPERATION_ACTION, operation.action)
    words = [f"{operation.number}: {action.replace('_', '-')} {operation.what}"]
    words.append(f"for {operation.origin or f'{operation.role} {operation.socket}'}".rstrip())
    if operation.caller is not None:
        words.append(f"by {shown_caller(operation.caller)}")
    if operation.parent:
        words.append(f"asked by a command of {operation.parent}")
    if operation.module:
        words.append(f"is at {operation.module}")
    if operation.command:
        words.append(f"runs the {operation.command}")
    if operation.waits_for_operation:
        words.append(
            f"waits for {operation.waits_for_module}, which {operation.waits_for_operation} is at"
        )
    elif operation.waits_for_module:
        words.append(f"waits for {operation.waits_for_module} to be unused")
    return ", ".join(words)
