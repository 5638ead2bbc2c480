# SPDX-License-Identifier: Apache-2.0
"""Files of the emulated kernel as the commands use them: opened, something done, and closed."""

from kmodctl.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kmodctl.api import Api
    from kmodctl.errors import CallError
    from kmodctl.parser import Parser
    from kmodd.messages.emulation_service import FileOpening, UseFileRequest, UseFileResponse
    from kmodd.messages.errors import Failure

CHUNK = 64 << 10
"""Bytes that are written at once."""


def add_nonblock(parser: "Parser") -> None:
    """Add the option for a file that is not to be waited for."""
    parser.add_argument(
        "--nonblock", action="store_true", help="fail rather than wait (O_NONBLOCK)"
    )


def used(
    api: "Api", opening: "FileOpening", actions: "Iterable[UseFileRequest]"
) -> "Iterator[UseFileResponse]":
    """Open a file, and yield what becomes of each of the actions.

    Raises CallError for the first that fails, once the file is closed, and where it cannot be
    opened.
    """
    failures: list[Failure] = []
    for answer in api.emulation.use_file(_requests(opening, actions, failures)):
        if answer.failure is not None:
            failures.append(answer.failure)
        elif answer.opened is None and not failures:
            yield answer
    if failures:
        from kmodctl.failures import error_of

        raise error_of(failures[0])


def _requests(
    opening: "FileOpening", actions: "Iterable[UseFileRequest]", failures: "list[Failure]"
) -> "Iterator[UseFileRequest]":
    from kmodd.messages.emulation_service import UseFileRequest

    yield UseFileRequest(open=opening)
    for action in actions:
        if failures:
            return
        yield action


def tell_failure(output: Output, error: "CallError", *, in_line: bool = False) -> int:
    """Tell why a file could not be used, in a line where JSON has those; returns the status."""
    output.error(error.message)
    output.kernel_log(error.log_lines)
    if in_line and output.json:
        output.line(output.failed(error))
    else:
        output.failure(error)
    return 1
