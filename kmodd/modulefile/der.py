# SPDX-License-Identifier: Apache-2.0
"""As much of DER (ITU-T X.690) as it takes to walk through a certificate or a signature."""

Element = tuple[int, bytes]
"""A tag and the contents under it."""

INTEGER, BITS, OCTETS, NULL, OID = 0x02, 0x03, 0x04, 0x05, 0x06
SEQUENCE, SET = 0x30, 0x31
CONTEXT_0, CONTEXT_3 = 0xA0, 0xA3
"""Tags."""


def inside(element: Element, tag: int) -> list[Element]:
    """Return the elements in the constructed ``element``; raises ValueError for another tag."""
    if element[0] != tag:
        raise ValueError(f"tag {element[0]:#x} where {tag:#x} was due")
    return elements(element[1])


def elements(data: bytes) -> list[Element]:
    """Return the tag and the contents of each element in ``data``.

    Raises ValueError where they do not fill it.
    """
    found = []
    position = 0
    while position < len(data):
        head = data[position : position + 2]
        if len(head) < 2 or head[0] & 0x1F == 0x1F:
            raise ValueError("a tag that is cut short, or longer than any in use here")
        position += 2
        length = head[1]
        if length & 0x80:
            digits = length & 0x7F
            length = int.from_bytes(data[position : position + digits], "big")
            position += digits
        if position + length > len(data):
            raise ValueError("an element reaches past the end")
        found.append((head[0], data[position : position + length]))
        position += length
    return found


def first_element(data: bytes) -> Element:
    """Return the first element of ``data``, whatever is behind it; raises ValueError."""
    size = 2 + data[1] if len(data) > 1 else 0
    if size and data[1] & 0x80:
        digits = data[1] & 0x7F
        size = 2 + digits + int.from_bytes(data[2 : 2 + digits], "big")
    (found,) = elements(data[:size])
    return found


def dotted(identifier: bytes) -> str:
    """Return an object identifier as people write it (X.690, section 8.19); raises ValueError."""
    if not identifier or identifier[-1] & 0x80:
        raise ValueError("an object identifier that does not end")
    arcs, number = [], 0
    for byte in identifier:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(number)
            number = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def element(tag: int, contents: bytes) -> bytes:
    """Return an element as it is written."""
    size = len(contents)
    if size < 0x80:
        return bytes([tag, size]) + contents
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + contents
