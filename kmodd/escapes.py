# SPDX-License-Identifier: Apache-2.0
"""Text that a stranger may have chosen, as it may be shown to people."""


def escaped(text: str, keep: str = "\t") -> str:
    r"""Return ``text`` with all that does more to a terminal or a log than to be seen written out.

    That is what Unicode does not call printable: control characters, line ends, marks that change
    the direction, what has no width, blanks that are none. A byte that is no UTF-8, as
    ``surrogateescape`` has it, and what is below 256 become ``\xNN``, others ``\uNNNN`` or
    ``\UNNNNNNNN``. What is in ``keep`` stays. It is for reading, and cannot be undone: a
    backslash stays one.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else _escape(ord(letter))
        for letter in text
    )


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
