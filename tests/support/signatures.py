# SPDX-License-Identifier: Apache-2.0
"""PKCS#7 messages in the form of a module's signature: by a key that is made up, or by a real one
whose certificate is here too.
"""

import hashlib
from typing import Any

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_DATA = bytes.fromhex("2a864886f70d010701")
_COMMON_NAME = bytes.fromhex("550403")

HASHES = {
    "sha1": bytes.fromhex("2b0e03021a"),
    "sha256": bytes.fromhex("608648016503040201"),
    "sha384": bytes.fromhex("608648016503040202"),
    "sha512": bytes.fromhex("608648016503040203"),
    "unheard of": bytes.fromhex("6086480165030402ff01"),
}
"""Object identifiers of hashes, one of them of no algorithm."""


_PRIMES = (
    0xDF27B474402615F619BAA4A49F0AC0170928CA2CECA468E9CE6BA18B8AD12FC9 << 256
    | 0xA0D4F2E345FFB65D9F9BC6D3ADAE2C57EAFD6A994409A2329EF50006A43E3769,
    0xFFB941D2B225999D15F5B42D2C57FAD0D64B960D01374711CC63BBB911EEDED9 << 256
    | 0x0770623545BE83C28F87425FB9C25AFB6989B3AC88EC029F9873A6AA03D75A09,
)
_EXPONENT = 65537
_RSA = bytes.fromhex("2a864886f70d010101")
_ELLIPTIC = bytes.fromhex("2a8648ce3d0201")
_SUBJECT_KEY_IDENTIFIER = bytes.fromhex("551d0e")


def certificate_of(
    serial: bytes, *, key_id: bytes = b"", algorithm: bytes = _RSA, name: str = "A key"
) -> bytes:
    """Return an X.509 certificate of the one real key, as far as anybody looks at it."""
    numbers = _number(_PRIMES[0] * _PRIMES[1]) + _number(_EXPONENT)
    return certificate_with(_oid(algorithm), _sequence(numbers), serial, key_id=key_id, name=name)


def certificate_with(
    algorithm: bytes, key: bytes, serial: bytes, *, key_id: bytes = b"", name: str = "A key"
) -> bytes:
    """Return one of a key in the bytes that its algorithm has for it."""
    information = _sequence(_sequence(algorithm) + _element(0x03, b"\0" + key))
    extension = _oid(_SUBJECT_KEY_IDENTIFIER) + _element(0x04, _element(0x04, key_id))
    nothing = _sequence(b"")
    names = nothing + _sequence(common_name(name)) + nothing + nothing
    contents = _element(0xA0, b"\2\1\2") + _element(0x02, serial) + names + information
    if key_id:
        contents += _element(0xA3, _sequence(_sequence(extension)))
    return _sequence(_sequence(contents) + nothing + _element(0x03, b"\0"))


def elliptic_certificate(curve: bytes, point: bytes, serial: bytes) -> bytes:
    """Return a certificate of a point on the curve of that object identifier."""
    return certificate_with(_oid(_ELLIPTIC) + _oid(curve), point, serial)


def signed_with_key(content: bytes, hash_name: str = "sha256") -> bytes:
    """Return the signature of the one real key under ``content`` (RSASSA-PKCS1-v1_5)."""
    digest = hashlib.new(hash_name, content).digest()
    info = _sequence(_oid(HASHES[hash_name]) + b"\5\0") + _element(0x04, digest)
    told = _sequence(info)
    return raw_signature(b"\0\1" + b"\xff" * (128 - 3 - len(told)) + b"\0" + told)


def raw_signature(padded: bytes) -> bytes:
    """Return what shows these 128 bytes with the one real key."""
    private = pow(_EXPONENT, -1, (_PRIMES[0] - 1) * (_PRIMES[1] - 1))
    number = pow(int.from_bytes(padded, "big"), private, _PRIMES[0] * _PRIMES[1])
    return number.to_bytes(128, "big")


def common_name(name: str) -> bytes:
    """Return the part of an issuer's name that is its common name."""
    return _element(0x31, _sequence(_oid(_COMMON_NAME) + _element(0x0C, name.encode())))


def signer_info(
    serial: bytes,
    *,
    name: str = "A key",
    issuer: bytes | None = None,
    key_id: bytes = b"",
    hash_name: str = "sha256",
    algorithm: bytes = _RSA,
    signature: bytes = b"the signature",
    attributes: bytes = b"",
) -> bytes:
    """Return what a message has of one signer; with a ``key_id`` that is what names its key."""
    named = _sequence(
        _sequence(common_name(name) if issuer is None else issuer) + _element(0x02, serial)
    )
    return _sequence(
        _element(0x02, b"\3" if key_id else b"\1")
        + (_element(0x80, key_id) if key_id else named)
        + _sequence(_oid(HASHES[hash_name]))
        + (_element(0xA0, attributes) if attributes else b"")
        + _sequence(_oid(algorithm) + b"\5\0")
        + _element(0x04, signature)
    )


def signature_by(serial: bytes, **options: Any) -> bytes:
    """Return a message signed with the key whose certificate has that serial number and issuer.

    The ``issuer`` among the options are the parts of its name where that is not a common name
    alone; signer_info has the others.
    """
    version = b"\3" if options.get("key_id") else b"\1"
    return message_of(signer_info(serial, **options), version=version)


def message_of(*signers: bytes, version: bytes = b"\1", content: bytes = b"") -> bytes:
    """Return a message of these signers; ``content`` is what it holds of what it signs."""
    data = _sequence(_oid(_DATA) + content)
    parts = _element(0x02, version) + _element(0x31, b"") + data + _element(0x31, b"".join(signers))
    return _sequence(_oid(_SIGNED_DATA) + _element(0xA0, _sequence(parts)))


def _oid(encoded: bytes) -> bytes:
    return _element(0x06, encoded)


def _sequence(contents: bytes) -> bytes:
    return _element(0x30, contents)


def _number(value: int) -> bytes:
    return _element(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _element(tag: int, contents: bytes) -> bytes:
    size = len(contents)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + contents
