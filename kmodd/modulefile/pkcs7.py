# SPDX-License-Identifier: Apache-2.0
"""Who signed, with which key and hash: the little of a PKCS#7 message that modinfo shows.

Just enough to walk to the first SignerInfo of a SignedData message (RFC 5652, section 5). Nothing
is verified.
"""

from __future__ import annotations

from kmodd.modulefile.der import (
    CONTEXT_0,
    OCTETS,
    OID,
    SEQUENCE,
    SET,
    Element,
    dotted,
    elements,
    inside,
)
from kmodd.records import record

MAX_MESSAGE = 64 << 10
"""Bytes of the longest message that is looked into; sign-file makes some hundreds."""

_KEY_IDENTIFIER = 0x80

_COMMON_NAME = bytes.fromhex("550403")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")

HASHES = {
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
"""The hashes that sign-file knows, as OpenSSL names them, by their object identifiers."""

_OTHER_HASHES = {
    bytes.fromhex("2a864886f70d0204"): "md4",
    bytes.fromhex("2a864886f70d0205"): "md5",
    bytes.fromhex("2b24030201"): "rmd160",
    bytes.fromhex("608648016503040205"): "sha512-224",
    bytes.fromhex("608648016503040206"): "sha512-256",
    bytes.fromhex("608648016503040207"): "sha3-224",
}
"""Those that other programs sign with, as kmod names them."""


@record
class SignerInfo:
    """The first signer of a message.

    ``name`` is the common name of the issuer of the signer's certificate, the last part of the
    name where it has none, and ``key_id`` that certificate's serial number; or the name is empty
    and ``key_id`` the subject key identifier. ``hash_algorithm`` is an object identifier with dots
    where it has no name here.
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
    (content_info,) = elements(message)
    content_type, content = inside(content_info, SEQUENCE)
    if content_type != (OID, _SIGNED_DATA):
        raise ValueError("not signed data")
    (signed_data,) = inside(content, CONTEXT_0)
    *_, signers = inside(signed_data, SEQUENCE)
    signer, *_ = inside(signers, SET)
    _version, identifier, digest, *rest = inside(signer, SEQUENCE)
    (_, algorithm), *_ = inside(digest, SEQUENCE)
    # Signed attributes and the algorithm of the signature stand before the signature.
    signature, *_ = [value for tag, value in rest if tag == OCTETS]
    name, key_id = _identify(identifier)
    hash_name = HASHES.get(algorithm) or _OTHER_HASHES.get(algorithm) or dotted(algorithm)
    return SignerInfo(name, key_id, hash_name, signature)


def _identify(identifier: Element) -> tuple[str, bytes]:
    """Return the name and the key id of a SignerIdentifier."""
    if identifier[0] == _KEY_IDENTIFIER:
        return "", identifier[1]
    issuer, (_, serial) = inside(identifier, SEQUENCE)
    return _name_of(issuer), serial_number(serial)


def serial_number(contents: bytes) -> bytes:
    """Return the bytes of a serial number, none of them 0 before the others, its sign aside."""
    number = abs(int.from_bytes(contents, "big", signed=True))
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _name_of(name: Element) -> str:
    """Return what kmod shows of an X.501 Name: the first common name, or else the last part.

    Whatever its encoding is, a NUL ends it.
    """
    shown = b""
    for attributes in inside(name, SEQUENCE):
        for attribute in inside(attributes, SET):
            kind, (_, shown) = inside(attribute, SEQUENCE)
            if kind == (OID, _COMMON_NAME):
                return _text(shown)
    return _text(shown)


def _text(contents: bytes) -> str:
    return contents.partition(b"\0")[0].decode("utf-8", "surrogateescape")
