# SPDX-License-Identifier: Apache-2.0
"""Sends a file of wishes as a source that has a name."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodctl.output import Output
    from kmodctl.parser import CommandOptions, Parser
    from kmodd.messages.state_service import ApplyStateResponse


def add_source(parser: "Parser") -> None:
    """Add the option that names the source."""
    parser.add_argument(
        "--source",
        metavar="NAME",
        help="what to call the source (default: the file's name without .toml)",
    )


def check_source(options: "CommandOptions", output: "Output") -> bool:
    """Name the source after the file where no option does; tell whether it has a name."""
    if options.source is None and options.file != "-":
        options.source = os.path.basename(options.file).removesuffix(".toml")
    if options.source is None:
        output.error("what comes from stdin has no name; give --source NAME")
        return False
    return True


def applied(
    options: "CommandOptions", api: "Api", output: "Output", *, dry_run: bool
) -> "ApplyStateResponse | None":
    """Send the file; where that fails, say why and return None."""
    from kmodctl.errors import CallError
    from kmodd.messages.state_service import ApplyStateRequest

    try:
        document = b"" if getattr(options, "remove", False) else _read(options.file)
        request = ApplyStateRequest(source=options.source, document=document, dry_run=dry_run)
        return api.state.apply_state(request)
    except OSError as error:
        output.error(f"{options.file}: {error.strerror}")
    except CallError as error:
        if error.reason != "INVALID_REQUEST":
            raise
        for line in error.message.splitlines():
            output.error(line)
    return None


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    with open(file, "rb") as stream:
        return stream.read()
