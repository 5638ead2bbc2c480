# SPDX-License-Identifier: Apache-2.0
"""Whether one of the keys that are trusted has signed (crypto/asymmetric_keys/pkcs7_trust.c)."""

import hashlib
from collections.abc import Iterable
from enum import Enum

from kmodd.keys.certificate import Certificate
from kmodd.keys.ecdsa import EcKey, ecdsa_verifies
from kmodd.keys.rsa import RsaKey, rsa_verifies
from kmodd.keys.signed_data import Signer
from kmodd.modulefile.pkcs7 import HASHES

_RSA = bytes.fromhex("2a864886f70d010101")
_ECDSA = frozenset(
    map(
        bytes.fromhex,
        (
            "2a8648ce3d0401",
            "2a8648ce3d040301",
            "2a8648ce3d040302",
            "2a8648ce3d040303",
            "2a8648ce3d040304",
            "60864801650304030a",
            "60864801650304030b",
            "60864801650304030c",
        ),
    )
)
"""ECDSA with each of the hashes; which it is the hash's own identifier says."""

_UNVERIFIED = {
    bytes.fromhex("608648016503040311"): "ML-DSA-44",
    bytes.fromhex("608648016503040312"): "ML-DSA-65",
    bytes.fromhex("608648016503040313"): "ML-DSA-87",
}
"""Algorithms that a kernel of today verifies and nobody here does."""


class Verdicts(Enum):
    """What a signature comes to."""

    GOOD = "good"
    UNKNOWN_KEY = "of no key that is trusted"
    UNSUPPORTED = "of an algorithm that is not verified"
    REJECTED = "not what its key makes of that"


def verify(content: bytes, signers: Iterable[Signer], trusted: Iterable[Certificate]) -> Verdicts:
    """Return what the signatures of ``signers`` under ``content`` are worth.

    The first of a trusted key decides. As on Linux, one whose algorithm is not known spoils all,
    and one of signed attributes is no module's.
    """
    signers, trusted = tuple(signers), tuple(trusted)
    if not all(map(is_supported, signers)):
        return Verdicts.UNSUPPORTED
    if any(signer.has_attributes for signer in signers):
        return Verdicts.REJECTED
    for signer in signers:
        for certificate in trusted:
            if _names(signer, certificate):
                return _verify(content, signer, certificate)
    return Verdicts.UNKNOWN_KEY


def unverified_algorithm(signer: Signer) -> str:
    """Return the name of the signature's algorithm if Linux verifies it and this does not."""
    return _UNVERIFIED.get(signer.algorithm, "")


def is_supported(signer: Signer) -> bool:
    """Tell whether there are the signature's hash and its algorithm."""
    if signer.algorithm != _RSA and signer.algorithm not in _ECDSA:
        return False
    try:
        hashlib.new(_hash_name(signer.digest))
    except ValueError:
        return False
    return True


def _hash_name(digest: bytes) -> str:
    return HASHES.get(digest, "").replace("-", "_")


def _names(signer: Signer, certificate: Certificate) -> bool:
    if signer.key_id:
        return signer.key_id == certificate.key_id
    return (signer.issuer, signer.serial) == (certificate.issuer, certificate.serial)


def _verify(content: bytes, signer: Signer, certificate: Certificate) -> Verdicts:
    key = certificate.key
    digest = hashlib.new(_hash_name(signer.digest), content).digest()
    match key:
        case RsaKey() if signer.algorithm == _RSA:
            good = rsa_verifies(key, signer.signature, signer.digest, digest)
        case EcKey() if signer.algorithm in _ECDSA:
            good = ecdsa_verifies(key, signer.signature, digest)
        case None:
            return Verdicts.UNSUPPORTED
        case _:
            good = False
    return Verdicts.GOOD if good else Verdicts.REJECTED
