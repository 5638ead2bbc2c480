# SPDX-License-Identifier: Apache-2.0
"""The key in an X.509 certificate (RFC 5280, section 4.1), and what signatures name it by."""

from typing import NamedTuple

from kmodd.keys.ecdsa import P256, P384, P521, Curve, EcKey, read_ec_key
from kmodd.keys.rsa import RsaKey, check_rsa_key
from kmodd.modulefile.der import (
    BITS,
    CONTEXT_0,
    CONTEXT_3,
    INTEGER,
    OCTETS,
    OID,
    SEQUENCE,
    Element,
    elements,
    inside,
)

PublicKey = RsaKey | EcKey

_RSA = bytes.fromhex("2a864886f70d010101")
_EC = bytes.fromhex("2a8648ce3d0201")
_CURVES: dict[bytes, Curve] = {
    bytes.fromhex("2a8648ce3d030107"): P256,
    bytes.fromhex("2b81040022"): P384,
    bytes.fromhex("2b81040023"): P521,
}
_SUBJECT_KEY_IDENTIFIER = bytes.fromhex("551d0e")


class Certificate(NamedTuple):
    """A public key, and what names it.

    ``issuer`` and ``serial`` are as they stand in the certificate; ``key_id`` is its subject key
    identifier, empty where it has none. ``key`` is None for one of an algorithm that is not
    verified here. ``der`` is all of the certificate.
    """

    issuer: bytes
    serial: bytes
    key_id: bytes
    key: PublicKey | None
    der: bytes


def parse_certificate(data: bytes) -> Certificate:
    """Return the certificate; raises ValueError for what is none."""
    (whole,) = elements(data)
    contents, *_ = inside(whole, SEQUENCE)
    fields = [each for each in inside(contents, SEQUENCE) if each[0] != CONTEXT_0]
    (tag, serial), _algorithm, (issuer_tag, issuer), _validity, _subject, key, *rest = fields
    if tag != INTEGER or issuer_tag != SEQUENCE:
        raise ValueError("a serial number or an issuer that is none")
    return Certificate(issuer, serial, _identifier(rest), _key(key), data)


def _key(information: Element) -> PublicKey | None:
    """Return the key in a SubjectPublicKeyInfo; raises ValueError for one that is not in order."""
    algorithm, (kind, bits) = inside(information, SEQUENCE)
    name, *parameters = inside(algorithm, SEQUENCE)
    if kind != BITS or bits[:1] != b"\0":
        raise ValueError("a key that is no whole number of bytes")
    if name == (OID, _RSA):
        (numbers,) = elements(bits[1:])
        (_, modulus), (_, exponent) = inside(numbers, SEQUENCE)
        return check_rsa_key(
            RsaKey(int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big"))
        )
    if name == (OID, _EC):
        ((_, curve),) = parameters
        return read_ec_key(_CURVES[curve], bits[1:]) if curve in _CURVES else None
    return None


def _identifier(fields: list[Element]) -> bytes:
    """Return the subject key identifier among a certificate's extensions."""
    for extensions in (each for each in fields if each[0] == CONTEXT_3):
        (listed,) = inside(extensions, CONTEXT_3)
        for extension in inside(listed, SEQUENCE):
            name, *_, (_, value) = inside(extension, SEQUENCE)
            if name == (OID, _SUBJECT_KEY_IDENTIFIER):
                ((tag, identifier),) = elements(value)
                if tag == OCTETS:
                    return identifier
    return b""
