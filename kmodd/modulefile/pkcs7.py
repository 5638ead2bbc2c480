# SPDX-License-Identifier: Apache-2.0
"""Who signed, with which key and hash: the little of a PKCS#7 message that modinfo shows.

Just enough to walk to the first SignerInfo of a SignedData message (RFC 5652, section 5). Nothing
is verified.
"""

from dataclasses import dataclass

from kmodd.modulefile.der import CONTEXT_0, OCTETS, OID, SEQUENCE, SET, Element, elements, inside

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

# The one type of string in names whose encoding UTF-8 does not include.
_BMP_STRING = 0x1E


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """The first signer of a message.

    ``name`` is the common name of the issuer of the signer's certificate, and ``key_id`` that
    certificate's serial number; or the name is empty and ``key_id`` the subject key identifier.
    ``signs_attributes`` tells that what is signed are attributes, of which the content is one.
    """

    name: str
    key_id: bytes
    hash_algorithm: str
    signature: bytes
    signs_attributes: bool = False


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
    with_attributes = any(tag == CONTEXT_0 for tag, _ in rest)
    return SignerInfo(name, key_id, HASHES.get(algorithm, "unknown"), signature, with_attributes)


def _identify(identifier: Element) -> tuple[str, bytes]:
    """Return the name and the key id of a SignerIdentifier."""
    if identifier[0] == _KEY_IDENTIFIER:
        return "", identifier[1]
    issuer, (_, serial) = inside(identifier, SEQUENCE)
    return _common_name(issuer), serial


def _common_name(name: Element) -> str:
    """Return the common name in an X.501 Name, empty where it has none."""
    for attributes in inside(name, SEQUENCE):
        for attribute in inside(attributes, SET):
            kind, (tag, text) = inside(attribute, SEQUENCE)
            if kind == (OID, _COMMON_NAME):
                return text.decode("utf-16-be" if tag == _BMP_STRING else "utf-8")
    return ""
