# SPDX-License-Identifier: Apache-2.0
"""Colours of what our own commands print on a terminal: failures, states and what stands beside."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

GOOD, BAD, ODD, FAINT, PLAIN = "32", "31", "33", "2", ""
"""Green, red, yellow, faint and none of these, as parameters of ECMA-48's SGR."""


class Styled:
    """A piece of a line that is shown in a style. The text need not be escaped."""

    __slots__ = ("style", "text")

    def __init__(self, text: str, style: str) -> None:
        self.text = text
        self.style = style


def is_coloured(when: str, stream: "TextIO") -> bool:
    """Tell whether ``stream`` gets colours; ``when`` is "auto", "always" or "never".

    "auto" is for a terminal that is not dumb, unless NO_COLOR is set to anything (no-color.org).
    """
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def styled(text: str, style: str) -> str:
    """Return ``text``, which is escaped already, between the codes of a style."""
    return f"\x1b[{style}m{text}\x1b[0m" if text and style else text


_KINDS = {"FATAL": BAD, "ERROR": BAD, "WARNING": ODD}
"""How the kinds of messages are shown."""


def with_style(message: str, when: str, stream: "TextIO") -> str:
    """Return an escaped message with the word that tells its kind in that kind's style."""
    kind, colon, rest = message.partition(":")
    if kind not in _KINDS or not is_coloured(when, stream):
        return message
    return f"{styled(kind, _KINDS[kind])}{colon}{rest}"
