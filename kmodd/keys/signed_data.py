# SPDX-License-Identifier: Apache-2.0
"""Who has signed, by a PKCS#7 message (RFC 5652, section 5), as far as Linux goes by it.

``kmodd.modulefile.pkcs7`` has what modinfo shows of the first of them.
"""

from typing import NamedTuple

from kmodd.modulefile.der import (
    CONTEXT_0,
    INTEGER,
    OCTETS,
    OID,
    SEQUENCE,
    SET,
    Element,
    first_element,
    inside,
)
from kmodd.modulefile.pkcs7 import MAX_MESSAGE

SIGNERS_MAX = 64
"""Signers of a message at most; sign-file makes one."""

_KEY_IDENTIFIER = 0x80
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_DATA = bytes.fromhex("2a864886f70d010701")


class Signer(NamedTuple):
    """A signature, and what names its key: ``issuer`` and ``serial`` of its certificate, as they
    stand there, or else ``key_id``, its subject key identifier.

    ``digest`` and ``algorithm`` are the object identifiers of the hash and of the signature's
    algorithm. ``has_attributes`` tells that what is signed are attributes, of which the content is
    one.
    """

    issuer: bytes
    serial: bytes
    key_id: bytes
    digest: bytes
    algorithm: bytes
    signature: bytes
    has_attributes: bool


def read_signers(message: bytes) -> tuple[Signer, ...]:
    """Return who has signed what the message does not hold itself.

    Raises ValueError where it is not understood, or holds what it signs. What is behind the message
    counts for nothing, as for Linux.
    """
    if len(message) > MAX_MESSAGE:
        raise ValueError(f"a message of {len(message)} bytes")
    content_type, content = inside(first_element(message), SEQUENCE)
    if content_type != (OID, _SIGNED_DATA):
        raise ValueError("not signed data")
    (signed_data,) = inside(content, CONTEXT_0)
    version, _digests, encapsulated, *_, signers = inside(signed_data, SEQUENCE)
    if inside(encapsulated, SEQUENCE) != [(OID, _DATA)]:
        raise ValueError("not a signature of data elsewhere")
    found = inside(signers, SET)
    if not 0 < len(found) <= SIGNERS_MAX:
        raise ValueError(f"{len(found)} signers")
    return tuple(_signer(each, version) for each in found)


def _signer(info: Element, message_version: Element) -> Signer:
    version, identifier, digest, *rest = inside(info, SEQUENCE)
    has_attributes = bool(rest) and rest[0][0] == CONTEXT_0
    algorithm, (tag, signature), *_ = rest[has_attributes:]
    if tag != OCTETS:
        raise ValueError("a signature that is none")
    issuer = serial = key_id = b""
    if identifier[0] == _KEY_IDENTIFIER:
        key_id = identifier[1]
    else:
        (issuer_tag, issuer), (serial_tag, serial) = inside(identifier, SEQUENCE)
        if issuer_tag != SEQUENCE or serial_tag != INTEGER:
            raise ValueError("an issuer or a serial number that is none")
    # RFC 5652, section 5.3: 3 for one that is named by its key, 1 for all others.
    due = (INTEGER, b"\3" if key_id else b"\1")
    if version != due or message_version != due:
        raise ValueError("versions that do not match")
    return Signer(issuer, serial, key_id, _oid(digest), _oid(algorithm), signature, has_attributes)


def _oid(algorithm: Element) -> bytes:
    """Return the object identifier of an AlgorithmIdentifier."""
    (tag, identifier), *_ = inside(algorithm, SEQUENCE)
    if tag != OID:
        raise ValueError("an algorithm without a name")
    return identifier
