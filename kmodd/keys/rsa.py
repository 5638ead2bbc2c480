# SPDX-License-Identifier: Apache-2.0
"""RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2.2): the verification."""

from typing import NamedTuple

from kmodd.modulefile.der import NULL, OCTETS, OID, SEQUENCE, element

MODULUS_BITS_MAX, EXPONENT_BITS_MAX = 8192, 64
"""Bits of a key that is verified with; what is larger would take its time."""

_PADDING_LEAST = 8
"""Bytes of padding at least (section 9.2)."""


class RsaKey(NamedTuple):
    """A public RSA key."""

    modulus: int
    exponent: int


def check_rsa_key(key: RsaKey) -> RsaKey:
    """Return ``key``; raises ValueError for one that is none, or too large."""
    if not 0 < key.modulus.bit_length() <= MODULUS_BITS_MAX or not key.modulus & 1:
        raise ValueError(f"an RSA modulus of {key.modulus.bit_length()} bits")
    if not 1 < key.exponent.bit_length() <= EXPONENT_BITS_MAX or not key.exponent & 1:
        raise ValueError(f"an RSA exponent of {key.exponent.bit_length()} bits")
    return key


def rsa_verifies(key: RsaKey, signature: bytes, algorithm: bytes, digest: bytes) -> bool:
    """Tell whether ``signature`` is the key's under ``digest``.

    ``algorithm`` is the hash's object identifier. What the signature shows is compared with what
    it is due to show, byte for byte: there is nothing in it to be read in another way.
    """
    size = (key.modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= key.modulus:
        return False
    info = element(SEQUENCE, element(OID, algorithm) + element(NULL, b""))
    told = element(SEQUENCE, info + element(OCTETS, digest))
    padding = size - 3 - len(told)
    if padding < _PADDING_LEAST:
        return False
    shown = pow(number, key.exponent, key.modulus).to_bytes(size, "big")
    return shown == b"\0\1" + b"\xff" * padding + b"\0" + told
