# SPDX-License-Identifier: Apache-2.0
"""Who signed, with which key and hash: the little of a PKCS#7 message that modinfo shows.

Just enough of DER (ITU-T X.690) to walk to the first SignerInfo of a SignedData message
(RFC 5652, section 5). Nothing is verified.
"""

from dataclasses import dataclass

MAX_MESSAGE = 64 << 10
"""Bytes of the longest message that is looked into; sign-file makes some hundreds."""

_Element = tuple[int, bytes]
"""A tag and the contents under it."""

_OCTETS, _OID = 0x04, 0x06
_SEQUENCE, _SET = 0x30, 0x31
_CONTEXT_0 = 0xA0
_KEY_IDENTIFIER = 0x80

_COMMON_NAME = bytes.fromhex("550403")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")

# The encoded object identifiers of the hashes that sign-file knows, as OpenSSL names them.
_HASHES = {
    bytes.fromhex("2b0e03021a"): "sha1",
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
    bytes.fromhex("608648016503040204"): "sha224",
    bytes.fromhex("608648016503040208"): "sha3-256",
    bytes.fromhex("608648016503040209"): "sha3-384",
    bytes.fromhex("60864801650304020a"): "sha3-512",
    bytes.fromhex("2a811ccf55018311"): "sm3",
}

# The one type of string in names whose encoding UTF-8 does not include.
_BMP_STRING = 0x1E


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """The first signer of a message.

    ``name`` is the common name of the issuer of the signer's certificate, and ``key_id`` that
    certificate's serial number; or the name is empty and ``key_id`` the subject key identifier.
    """

    name: str
    key_id: bytes
    hash_algorithm: str
    signature: bytes


def read_signer(message: bytes) -> SignerInfo | None:
    """Return the first signer of a PKCS#7 ``message``, or None where it is not understood."""
    if len(message) > MAX_MESSAGE:
        return None
    try:
        return _first_signer(message)
    except ValueError:
        # Also what unpacking raises for an element too few, and decoding for text that is none.
        return None


def _first_signer(message: bytes) -> SignerInfo:
    (content_info,) = _elements(message)
    content_type, content = _inside(content_info, _SEQUENCE)
    if content_type != (_OID, _SIGNED_DATA):
        raise ValueError("not signed data")
    (signed_data,) = _inside(content, _CONTEXT_0)
    *_, signers = _inside(signed_data, _SEQUENCE)
    signer, *_ = _inside(signers, _SET)
    _version, identifier, digest, *rest = _inside(signer, _SEQUENCE)
    (_, algorithm), *_ = _inside(digest, _SEQUENCE)
    # Signed attributes and the algorithm of the signature stand before the signature.
    signature, *_ = [value for tag, value in rest if tag == _OCTETS]
    name, key_id = _identify(identifier)
    return SignerInfo(name, key_id, _HASHES.get(algorithm, "unknown"), signature)


def _identify(identifier: _Element) -> tuple[str, bytes]:
    """Return the name and the key id of a SignerIdentifier."""
    if identifier[0] == _KEY_IDENTIFIER:
        return "", identifier[1]
    issuer, (_, serial) = _inside(identifier, _SEQUENCE)
    return _common_name(issuer), serial


def _common_name(name: _Element) -> str:
    """Return the common name in an X.501 Name, empty where it has none."""
    for attributes in _inside(name, _SEQUENCE):
        for attribute in _inside(attributes, _SET):
            kind, (tag, text) = _inside(attribute, _SEQUENCE)
            if kind == (_OID, _COMMON_NAME):
                return text.decode("utf-16-be" if tag == _BMP_STRING else "utf-8")
    return ""


def _inside(element: _Element, tag: int) -> list[_Element]:
    """Return the elements in the constructed ``element``, which must have that tag."""
    if element[0] != tag:
        raise ValueError(f"tag {element[0]:#x} where {tag:#x} was due")
    return _elements(element[1])


def _elements(data: bytes) -> list[_Element]:
    """Return the tag and the contents of each element in ``data``."""
    elements = []
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
        elements.append((head[0], data[position : position + length]))
        position += length
    return elements
