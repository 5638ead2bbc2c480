# SPDX-License-Identifier: Apache-2.0
"""The completion of ``kmodd``, by what is known of its commands and options.

That is in share/completions/kmodd.json, which is made from its parser: kmodctl imports nothing of
the daemon.
"""

import json
import os

from kmodctl.candidates import Names
from kmodctl.completing import COMMAND, FILES, Line, for_option_or
from kmodctl.declarations import Declaration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_WORDS = os.path.join(os.path.dirname(__file__), "share", "completions", "kmodd.json")

RUN = "run"
"""The command behind whose options there is another command line."""


def completed_daemon(before: "Sequence[str]", word: str) -> "Iterator[str]":
    """Yield the lines for ``word`` behind the words ``before`` it; see ``completing``."""
    with open(_WORDS, encoding="utf-8") as file:
        known = json.load(file)
    options = _options(known["options"])
    line = Line(before, options, operands_end=True)
    if not line.operands:
        commands = [(name, each["help"]) for name, each in known["commands"].items()]
        yield from for_option_or(line, word, options, Names({}), lambda: commands)
        return
    command = line.operands[0]
    if command not in known["commands"]:
        return
    options = _options(known["commands"][command]["options"])
    ends = command == RUN
    line = Line(line.rest, options, operands_end=ends)
    if ends and (line.operands or line.behind is not None):
        yield FILES if line.operands or line.behind else COMMAND
        return
    given = {**line.given, "dirname": line.given.get("root", "/")}
    names = Names({})
    if line.awaiting is not None and line.awaiting.dest == "release":
        found = names.releases(given)
        yield from (name for name, _ in found if name.startswith(word))
        return
    yield from for_option_or(line, word, options, names, lambda: [COMMAND] if ends else [])


def _options(known: "list[dict[str, Any]]") -> list[Declaration]:
    return [
        Declaration(
            *each["names"],
            is_extension=False,
            metavar=each["value"],
            nargs=None if each["value"] else 0,
            choices=each["choices"],
            help=each["help"].replace("%", "%%"),
        )
        for each in known
    ]
