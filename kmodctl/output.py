# SPDX-License-Identifier: Apache-2.0
"""How a command speaks: data on stdout, messages on stderr in kmod's form."""

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from kmodctl.errors import CallError


class Output:
    """The voice of one command. ``tool`` is the name that its messages begin with."""

    def __init__(self, tool: str, *, json: bool = False, quiet: bool = False) -> None:
        self._tool = tool
        self.json = json
        self.quiet = quiet

    def data(self, line: str) -> None:
        """Print a line of what was asked for."""
        print(line)

    def messages(self, messages: "list[Message]") -> None:
        """Print messages of the API as a JSON list."""
        print(json.dumps([as_json(message) for message in messages], indent=2))

    def message(self, message: "Message") -> None:
        """Print one message of the API as JSON."""
        print(json.dumps(as_json(message), indent=2))

    def error(self, line: str) -> None:
        """Say that something failed."""
        self.say(f"ERROR: {line}")

    def fatal(self, line: str) -> None:
        """Say that the whole command failed."""
        self.say(f"FATAL: {line}")

    def kernel_log(self, error: "CallError") -> None:
        """Repeat what the kernel logged about a failure."""
        for line in error.log_lines:
            self.say(f"kernel: {line}")

    def say(self, line: str) -> None:
        """Print a message that says itself what kind it is."""
        if not self.quiet:
            sys.stdout.flush()
            print(f"{self._tool}: {line}", file=sys.stderr)


def as_json(message: "Message") -> dict[str, object]:
    """Return a message of the API as JSON has it: every field, under its name in the proto."""
    from google.protobuf.json_format import MessageToDict

    return dict(
        MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    )


def strerror(code: int) -> str:
    """Return the C library's text for an errno."""
    return os.strerror(code)
