# SPDX-License-Identifier: Apache-2.0
"""The public keys that a kernel's own modules are signed with, where a root has them.

They are inside a kernel's image, which nobody hands us; but who builds a kernel has the certificate
of the key that the build has made and signed with (certs/signing_key.x509, X.509 in DER). With it
a signature is verified as Linux does (RSASSA-PKCS1-v1_5, RFC 8017 section 8.2.2).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kmodd.modulefile.der import (
    BITS,
    CONTEXT_0,
    CONTEXT_3,
    INTEGER,
    NULL,
    OCTETS,
    OID,
    SEQUENCE,
    Element,
    element,
    elements,
    inside,
)
from kmodd.modulefile.pkcs7 import HASHES, SignerInfo, serial_number

CERTIFICATE_PLACES = (
    "lib/modules/{release}/build/certs/signing_key.x509",
    "usr/src/linux-headers-{release}/certs/signing_key.x509",
)
"""Where a root may hold the certificate of a release's key, best first."""

CERTIFICATE_MAX = 64 << 10
"""Bytes of a certificate that are read at most."""

MODULUS_BITS_MAX, EXPONENT_BITS_MAX = 8192, 64
"""Bits of a key that is verified with; what is larger would take its time."""

_RSA = bytes.fromhex("2a864886f70d010101")
_SUBJECT_KEY_IDENTIFIER = bytes.fromhex("551d0e")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A public RSA key. ``key_ids`` are what signatures name it by: the certificate's serial number
    and its subject key identifier.
    """

    key_ids: tuple[bytes, ...]
    modulus: int
    exponent: int


def read_certificates(path: Path | None) -> tuple[Certificate, ...]:
    """Return the certificate in a file, where there is one that can be made sense of."""
    try:
        if path is None or path.stat().st_size > CERTIFICATE_MAX:
            return ()
        return (parse_certificate(path.read_bytes()),)
    except (OSError, ValueError):
        return ()


def parse_certificate(data: bytes) -> Certificate:
    """Return the key in an X.509 certificate (RFC 5280, section 4.1); raises ValueError."""
    (whole,) = elements(data)
    contents, *_ = inside(whole, SEQUENCE)
    fields = [each for each in inside(contents, SEQUENCE) if each[0] != CONTEXT_0]
    (tag, serial), _algorithm, _issuer, _validity, _subject, key, *rest = fields
    if tag != INTEGER:
        raise ValueError("a serial number that is none")
    algorithm, (kind, bits) = inside(key, SEQUENCE)
    if inside(algorithm, SEQUENCE)[0] != (OID, _RSA) or kind != BITS:
        raise ValueError("not an RSA key")
    (numbers,) = elements(bits[1:])
    (_, modulus), (_, exponent) = inside(numbers, SEQUENCE)
    parts = [int.from_bytes(part, "big") for part in (modulus, exponent)]
    found = Certificate((serial_number(serial), *_identifiers(rest)), *parts)
    if not 0 < found.modulus.bit_length() <= MODULUS_BITS_MAX:
        raise ValueError("a modulus of that size")
    if not 0 < found.exponent.bit_length() <= EXPONENT_BITS_MAX:
        raise ValueError("an exponent of that size")
    return found


def _identifiers(fields: list[Element]) -> list[bytes]:
    """Return the subject key identifier among a certificate's extensions, if there is one."""
    found = []
    for extensions in (each for each in fields if each[0] == CONTEXT_3):
        for extension in inside(inside(extensions, CONTEXT_3)[0], SEQUENCE):
            name, *_, (_, value) = inside(extension, SEQUENCE)
            if name == (OID, _SUBJECT_KEY_IDENTIFIER):
                found += [each for tag, each in elements(value) if tag == OCTETS]
    return found


def _in_hashlib(signer: SignerInfo) -> str:
    return signer.hash_algorithm.replace("-", "_")


def is_verifiable(signer: SignerInfo) -> bool:
    """Tell whether ``is_made_by`` can look at the signature: it is one of no signed attributes, and
    there is its hash.
    """
    return not signer.signs_attributes and _in_hashlib(signer) in hashlib.algorithms_available


def is_made_by(certificate: Certificate, signer: SignerInfo, content: bytes) -> bool:
    """Tell whether the signature is that of the certificate's key under ``content``."""
    size = (certificate.modulus.bit_length() + 7) // 8
    if len(signer.signature) != size:
        return False
    number = int.from_bytes(signer.signature, "big")
    shown = pow(number, certificate.exponent, certificate.modulus).to_bytes(size, "big")
    digest = hashlib.new(_in_hashlib(signer), content).digest()
    algorithm = next(each for each, name in HASHES.items() if name == signer.hash_algorithm)
    info = element(SEQUENCE, element(OID, algorithm) + element(NULL, b""))
    told = element(SEQUENCE, info + element(OCTETS, digest))
    return shown == b"\0\1" + b"\xff" * (size - 3 - len(told)) + b"\0" + told
