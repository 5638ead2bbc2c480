# SPDX-License-Identifier: Apache-2.0
"""Text of strangers as textual's widgets may have it, and kmodctl's words as lines."""

from rich.text import Text

from kmodctl.output import Output
from kmodd.escapes import escaped

STYLES = {"": "", "2": "dim", "31": "red", "32": "green", "33": "yellow"}
"""kmodctl's styles as rich calls them."""

KINDS = {"FATAL": "31", "ERROR": "31", "WARNING": "33"}
"""How a line is shown that begins with such a word."""


def shown(text: str, style: str = "", *, wraps: bool = False) -> Text:
    """Return ``text`` escaped, in one of kmodctl's styles, as what is no markup."""
    made = Text(escaped(text).expandtabs(), style=STYLES.get(style, style))
    if not wraps:
        made.no_wrap, made.overflow = True, "ellipsis"
    return made


def as_line(line: str) -> Text:
    """Return a message of kmodctl's, in the style of its kind."""
    return shown(line, KINDS.get(line.partition(":")[0], ""), wraps=True)


class Words(Output):
    """A voice whose messages are kept as ``lines``."""

    def __init__(self) -> None:
        super().__init__("kmodctl top")
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep a message."""
        self.lines.append(line)

    def data(self, *pieces: object) -> None:
        """Keep a line."""
        self.lines.append("".join(map(str, pieces)))
