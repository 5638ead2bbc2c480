# SPDX-License-Identifier: Apache-2.0
"""The kernel's scanf, as far as modules use it (lib/vsprintf.c, vsscanf)."""

import re

from kmodd.kernel.emulated.functions.numerals import parse_integer

_DIRECTIVE = re.compile(rb"%(\*)?(\d+)?(hh|h|ll|l|L|z)?([diuxXosc%n])")
_SIZES = {b"hh": 1, b"h": 2, b"l": 8, b"ll": 8, b"L": 8, b"z": 8, b"": 4, None: 4}
_BASES = {b"d": 10, b"u": 10, b"x": 16, b"X": 16, b"o": 8, b"i": 0}
_SPACE = b" \t\n\v\f\r"


def scan(text: bytes, template: bytes) -> list[tuple[int, int | bytes]]:
    """Return what ``template`` finds in ``text``: for each the bytes of the number, and its value."""
    found = list[tuple[int, int | bytes]]()
    at = place = 0
    while place < len(template):
        letter = template[place : place + 1]
        if letter in _SPACE:
            at = len(text) - len(text[at:].lstrip(_SPACE))
            place += 1
            continue
        directive = _DIRECTIVE.match(template, place)
        if directive is None or directive[4] == b"%":
            if text[at : at + 1] != letter:
                return found
            at, place = at + 1, place + (2 if directive else 1)
            continue
        place = directive.end()
        if directive[4] == b"n":
            found.append((4, at))
            continue
        value, at = _take(text, at, directive)
        if value is None:
            return found
        if not directive[1]:
            found.append((_SIZES[directive[3]], value))
    return found


def _take(text: bytes, at: int, directive: re.Match[bytes]) -> tuple[int | bytes | None, int]:
    """Return what one directive finds at ``at``, None for nothing, and where that ends."""
    width, kind = int(directive[2] or 0), directive[4]
    if kind == b"c":
        end = at + max(width, 1)
        return (text[at:end] if end <= len(text) else None), end
    at = len(text) - len(text[at:].lstrip(_SPACE))
    piece = text[at : at + width] if width else text[at:]
    if kind == b"s":
        word = re.match(rb"[^ \t\n\v\f\r]*", piece)
        taken = word[0] if word else b""
        return taken or None, at + len(taken)
    number, length = parse_integer(piece, _BASES[kind])
    return number, at + length
