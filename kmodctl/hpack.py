# SPDX-License-Identifier: Apache-2.0
"""The headers of HTTP/2 as bytes (RFC 7541); nothing is imported, as kmodctl.http2 wants it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Fields = list[tuple[bytes, bytes]]

HEADERS_MAX = 64 << 10
"""Bytes of a header block, and of the fields in it as RFC 9113, 6.5.2 counts them."""

_TABLE_SIZE = 4096


class HeaderDecoder:
    """Decodes the header blocks of a connection (RFC 7541).

    We ask for a table of no bytes, yet a server may use one of 4096 until it knows of that.
    """

    def __init__(self) -> None:
        self._table: Fields = []  # the newest entry first
        self._used = 0
        self._size = self._limit = _TABLE_SIZE
        self._data = b""
        self._at = 0

    def limit(self, size: int) -> None:
        """Bound the table, as the server has acknowledged that we do."""
        self._limit = size
        self._resize(min(size, self._size))

    def decode(self, block: bytes) -> "Fields":
        """Return the names and values in a block, as they come; raises ValueError."""
        self._data, self._at = block, 0
        fields: Fields = []
        size = 0
        while self._at < len(block):
            byte = block[self._at]
            if byte & 0xE0 == 0x20:
                if fields:
                    raise ValueError("a header table that is resized within a block")
                asked = self._integer(5)
                if asked > self._limit:
                    raise ValueError(f"a header table of {asked} bytes, not {self._limit}")
                self._resize(asked)
                continue
            field = self._field(byte)
            fields.append(field)
            size += _size_of(field)
            if size > HEADERS_MAX:
                raise ValueError(f"headers of more than {HEADERS_MAX} bytes")
        return fields

    def _field(self, byte: int) -> tuple[bytes, bytes]:
        if byte & 0x80:
            return self._entry(self._integer(7))
        kept = bool(byte & 0x40)
        index = self._integer(6 if kept else 4)
        name = self._entry(index)[0] if index else self._string()
        field = (name, self._string())
        if kept:
            self._table.insert(0, field)
            self._used += _size_of(field)
            self._resize(self._size)
        return field

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if 1 <= index <= len(_STATIC):
            return _STATIC[index - 1]
        if len(_STATIC) < index <= len(_STATIC) + len(self._table):
            return self._table[index - len(_STATIC) - 1]
        raise ValueError(f"a header of index {index}, where there is none")

    def _resize(self, size: int) -> None:
        """Set the table's size, and drop the oldest entries that it does not have room for."""
        self._size = size
        while self._used > size:
            self._used -= _size_of(self._table.pop())

    def _integer(self, bits: int) -> int:
        """Decode an integer with a prefix of so many bits (5.1)."""
        most = (1 << bits) - 1
        value = self._byte() & most
        if value < most:
            return value
        for shift in range(0, 28, 7):
            byte = self._byte()
            value += (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise ValueError("a number in a header that does not end")

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise ValueError("a header that ends too soon")
        self._at += 1
        return self._data[self._at - 1]

    def _string(self) -> bytes:
        """Decode a string literal (5.2)."""
        is_coded = self._at < len(self._data) and self._data[self._at] & 0x80
        size = self._integer(7)
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise ValueError("a header that ends too soon")
        text = self._data[start : self._at]
        return _huffman_decoded(text) if is_coded else text


_STATIC = tuple(
    (name, value)
    for name, _, value in (
        entry.partition(b" ")
        for entry in (
            b":authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|"
            b":scheme https|"
            b":status 200|:status 204|:status 206|:status 304|:status 400|:status 404|:status 500|"
            b"accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept|"
            b"access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|"
            b"content-encoding|content-language|content-length|content-location|content-range|"
            b"content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|"
            b"if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|"
            b"proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|"
            b"set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|"
            b"www-authenticate"
        ).split(b"|")
    )
)
"""The static table (RFC 7541, Appendix A)."""

_CODE_LENGTHS = (
    b"ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDC"
    b"DIOIJBKABABABBBACCBBBABCBAABCCCCCKGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQ"
    b"SRSSPRRRSRRSVVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWVZ"
)
"""How many bits each byte's code has, and last that of the end of string: A is 5, and Z 30.

The codes follow from that (RFC 7541, Appendix B): they count up from 0, by length and then by byte.
"""

_CODES: dict[tuple[int, int], int] = {}
"""The byte of each code, by the code's length and value, made when one is first asked for."""


def _codes() -> dict[tuple[int, int], int]:
    if not _CODES:
        code = before = 0
        for length, byte in sorted(
            (letter - 60, byte) for byte, letter in enumerate(_CODE_LENGTHS)
        ):
            code <<= length - before
            _CODES[length, code] = byte
            code, before = code + 1, length
    return _CODES


def _huffman_decoded(data: bytes) -> bytes:
    """Decode what Huffman's code was used for (RFC 7541, 5.2); raises ValueError."""
    codes = _codes()
    text = bytearray()
    length = code = 0
    for byte in data:
        for shift in range(7, -1, -1):
            length, code = length + 1, code << 1 | byte >> shift & 1
            found = codes.get((length, code))
            if found is None:
                continue
            if found > 0xFF:
                raise ValueError("a header with an end of string within it")
            text.append(found)
            length = code = 0
    if length > 7 or code != (1 << length) - 1:
        raise ValueError("a header that ends within a character")
    return bytes(text)


def _size_of(field: tuple[bytes, bytes]) -> int:
    """Return the bytes that a field counts as (RFC 7541, 4.1)."""
    return len(field[0]) + len(field[1]) + 32


def literal(text: str) -> bytes:
    """Return a string literal without Huffman's code (RFC 7541, 5.2)."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{text!r} can be in no header")
    size = len(text)
    if size < 127:
        return bytes((size,)) + text.encode()
    coded = b"\x7f"
    size -= 127
    while size > 127:
        coded += bytes((size & 127 | 128,))
        size >>= 7
    return coded + bytes((size,)) + text.encode()
