# SPDX-License-Identifier: Apache-2.0
"""The kernel's printf (lib/vsprintf.c, Documentation/core-api/printk-formats.rst).

Arguments that are not what a format says end in text such as ``(efault)``, never in an exception.
"""

import errno
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from kmodd.kernel.emulated.abi.failing import KERNEL_ERRNOS
from kmodd.kernel.emulated.hardware.memory import BadAddress, Memory

LENGTH_MAX = 8192
"""Characters of the longest text that is made; a record of the log has room for 1 KiB."""

_DIRECTIVE = re.compile(
    rb"%(?P<flags>[-+ #0]*)(?P<width>\d+|\*)?(?:\.(?P<precision>\d+|\*)?)?"
    rb"(?P<length>hh|h|ll|l|L|z|t|j)?(?P<kind>[diuxXocspn%])"
)
_SIZES = {b"hh": 1, b"h": 2, b"l": 8, b"ll": 8, b"L": 8, b"z": 8, b"t": 8, b"j": 8}
_NESTING = re.compile(rb"%[-+ #0-9.*hlLztj]*pV")
_ERRNO_NAMES = {
    **errno.errorcode,
    **{number: name for name, number in KERNEL_ERRNOS.items()},
    errno.EDEADLK: "EDEADLK",
    errno.EOPNOTSUPP: "EOPNOTSUPP",
}
"""Errnos by number; of two names that one has, the kernel's (lib/errname.c)."""

_SHORT_ESCAPES = dict(
    zip(b"\n\r\t\v\f\a\x1b\0", (b"\\%c" % each for each in b"nrtvfae0"), strict=True)
)
_POINTER_WORDS = re.compile(rb"[a-zA-Z0-9]*")


class Symbols(Protocol):
    """Names addresses."""

    memory: Memory

    def symbol(self, address: int, *, offset: bool) -> str:
        """Return what is at ``address``, with offset and size where they are wanted."""


class Arguments:
    """The arguments behind a format, one after the other."""

    def __init__(self, words: Iterator[int]) -> None:
        self._words = words

    def next(self) -> int:
        """Return the next one, as a register would have it."""
        return next(self._words, 0)


def format_text(symbols: Symbols, template: bytes, arguments: Arguments) -> bytes:
    """Return what printf makes of ``template``."""
    parts = list[bytes]()
    at, length = 0, 0
    while at < len(template) and length < LENGTH_MAX:
        percent = template.find(b"%", at)
        if percent < 0:
            parts.append(template[at:])
            break
        parts.append(template[at:percent])
        directive = _DIRECTIVE.match(template, percent)
        if directive is None:
            # The kernel gives up at what it does not know.
            parts.append(template[percent:])
            break
        text, at = _convert(symbols, template, directive, arguments)
        parts.append(text)
        length += len(parts[-1]) + len(parts[-2])
    return b"".join(parts)[:LENGTH_MAX]


def _convert(
    symbols: Symbols, template: bytes, found: re.Match[bytes], arguments: Arguments
) -> tuple[bytes, int]:
    """Return the text for one directive, and where the template goes on."""
    kind, end = found["kind"], found.end()
    if kind == b"%":
        return b"%", end
    flags = found["flags"]
    width = _count(found["width"], arguments)
    if width < 0:
        flags, width = flags + b"-", -width
    has_precision = b"." in found[0]
    precision = _count(found["precision"], arguments) if has_precision else -1
    match kind:
        case b"n":
            return b"", end
        case b"c":
            text = bytes([arguments.next() & 0xFF])
        case b"s":
            text = _string(symbols.memory, arguments.next(), precision)
        case b"p":
            words = _POINTER_WORDS.match(template, end)
            letters = words[0] if words else b""
            shown = pointer(symbols, letters, arguments.next(), width)
            text, used, padded = shown
            return _pad(text, flags, 0 if padded else width), end + used
        case _:
            size = _SIZES.get(found["length"] or b"", 4)
            text = _number(kind, flags, width, precision, size, arguments.next())
    return _pad(text, flags, width), end


def _count(text: bytes | None, arguments: Arguments) -> int:
    """Return a width or a precision; 0 where there is none."""
    if text == b"*":
        value = arguments.next() & 0xFFFFFFFF
        value -= (value >> 31) << 32
    else:
        value = int(text[:6]) if text else 0
    return max(-LENGTH_MAX, min(value, LENGTH_MAX))


def _pad(text: bytes, flags: bytes, width: int) -> bytes:
    return text.ljust(width) if b"-" in flags else text.rjust(width)


def _number(kind: bytes, flags: bytes, width: int, precision: int, size: int, word: int) -> bytes:
    value = word & ((1 << 8 * size) - 1)
    sign = b""
    if kind in b"di":
        if value >> 8 * size - 1:
            value, sign = (1 << 8 * size) - value, b"-"
        elif b"+" in flags or b" " in flags:
            sign = b"+" if b"+" in flags else b" "
    digits = f"{value:{ {b'x': 'x', b'X': 'X', b'o': 'o'}.get(kind, 'd') }}".encode()
    if b"#" in flags and kind in b"xXo":
        sign = {b"x": b"0x", b"X": b"0X", b"o": b"0"}[kind]
    if precision >= 0:
        digits = digits.rjust(precision, b"0")
    elif b"0" in flags and b"-" not in flags:
        digits = digits.rjust(width - len(sign), b"0")
    return sign + digits


def _string(memory: Memory, address: int, precision: int) -> bytes:
    if address < 4096:
        return b"(null)"[: precision if precision >= 0 else None]
    if address >= (1 << 64) - 4095:
        return b"(efault)"
    try:
        return memory.string(address, LENGTH_MAX if precision < 0 else precision)
    except BadAddress:
        return b"(efault)"


def pointer(symbols: Symbols, letters: bytes, address: int, width: int) -> tuple[bytes, int, bool]:
    """Return the text of ``%p`` and the letters behind it, how many of them it takes, and whether
    the width was no width.
    """
    kind = letters[:1]
    handler = _POINTERS.get(kind)
    if handler is None:
        return _hashed(address, width), 0, True
    try:
        text = handler(symbols, letters, address, width)
    except BadAddress:
        text = b"(efault)"
    # Every letter and digit belongs to it, whether it means something or not.
    return text, len(letters), kind in b"xKh"


def _hashed(address: int, width: int) -> bytes:
    """No address is shown; one and the same is always shown alike."""
    if not address:
        return b"(null)".rjust(width or 16)
    mixed = (address * 0x9E3779B97F4A7C15 >> 16) & 0xFFFFFFFF
    return b"%016x" % mixed


def _plain(_symbols: Symbols, _letters: bytes, address: int, _width: int) -> bytes:
    return b"%016x" % address


def _secret(_symbols: Symbols, _letters: bytes, address: int, width: int) -> bytes:
    return _hashed(address, width)


def _symbol(symbols: Symbols, letters: bytes, address: int, _width: int) -> bytes:
    return symbols.symbol(address, offset=letters[:1] != b"s").encode()


def _error(_symbols: Symbols, _letters: bytes, address: int, width: int) -> bytes:
    number = (1 << 64) - address
    if not 0 < number < 4096:
        return _hashed(address, width)
    name = _ERRNO_NAMES.get(number)
    return f"-{name}".encode() if name else b"-%d" % number


def _internet(symbols: Symbols, letters: bytes, address: int, _width: int) -> bytes:
    if letters[1:2] == b"4":
        return b".".join(b"%d" % each for each in symbols.memory.read(address, 4))
    data = symbols.memory.read(address, 16)
    separator = b":" if letters[:1] == b"I" else b""
    return separator.join(b"%02x%02x" % (data[at], data[at + 1]) for at in range(0, 16, 2))


def _hardware(symbols: Symbols, letters: bytes, address: int, _width: int) -> bytes:
    data = symbols.memory.read(address, 6)
    if b"R" in letters:
        data = data[::-1]
    separator = b"" if letters[:1] == b"m" else b"-" if b"F" in letters else b":"
    return separator.join(b"%02x" % each for each in data)


def _identifier(symbols: Symbols, letters: bytes, address: int, _width: int) -> bytes:
    data = symbols.memory.read(address, 16)
    if letters[1:2] in (b"l", b"L"):
        data = data[3::-1] + data[5:3:-1] + data[7:5:-1] + data[8:]
    text = data.hex()
    shown = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return (shown.upper() if letters[1:2] in (b"L", b"B") else shown).encode()


def _dump(symbols: Symbols, letters: bytes, address: int, width: int) -> bytes:
    data = symbols.memory.read(address, min(max(width, 1), 64))
    separator = {b"C": b":", b"D": b"-", b"N": b""}.get(letters[1:2], b" ")
    return separator.join(b"%02x" % each for each in data)


def _escaped(symbols: Symbols, _letters: bytes, address: int, width: int) -> bytes:
    """What cannot be printed is escaped; what may be printed in Latin 1 is not."""
    data = symbols.memory.read(address, min(max(width, 1), 256))
    return b"".join(
        each.to_bytes(1, "big")
        if 0x20 <= each < 0x7F or each >= 0xA0
        else _SHORT_ESCAPES.get(each, b"\\%03o" % each)
        for each in data
    )


def _nested(symbols: Symbols, _letters: bytes, address: int, _width: int) -> bytes:
    """``struct va_format``: a format of its own with its arguments."""
    memory = symbols.memory
    template = memory.string(memory.number(address), LENGTH_MAX)
    if _NESTING.search(template):
        return template
    return format_text(symbols, template, Arguments(va_list(memory, memory.number(address + 8))))


def _referenced(symbols: Symbols, _letters: bytes, address: int, _width: int) -> bytes:
    """A physical or a DMA address, by reference."""
    return b"%#018x" % symbols.memory.number(address)


def _resource(symbols: Symbols, _letters: bytes, address: int, _width: int) -> bytes:
    start, end = symbols.memory.number(address), symbols.memory.number(address + 8)
    return b"[mem %#010x-%#010x]" % (start, end)


_POINTERS: dict[bytes, Callable[[Any, bytes, int, int], bytes]] = {
    b"x": _plain,
    b"K": _secret,
    b"S": _symbol,
    b"s": _symbol,
    b"B": _symbol,
    b"e": _error,
    b"I": _internet,
    b"i": _internet,
    b"M": _hardware,
    b"m": _hardware,
    b"U": _identifier,
    b"h": _dump,
    b"E": _escaped,
    b"V": _nested,
    b"a": _referenced,
    b"r": _resource,
    b"R": _resource,
}


def va_list(memory: Memory, address: int) -> Iterator[int]:
    """Yield the arguments of a ``va_list`` (the psABI's struct of offsets and two areas)."""
    offset = memory.number(address, 4)
    overflow, area = memory.number(address + 8), memory.number(address + 16)
    while True:
        if offset < 48:
            yield memory.number(area + offset)
            offset += 8
        else:
            yield memory.number(overflow)
            overflow += 8
