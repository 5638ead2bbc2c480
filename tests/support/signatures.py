# SPDX-License-Identifier: Apache-2.0
"""PKCS#7 messages in the form of a module's signature: by a key that is made up, or by a real one
whose certificate is here too.
"""

import hashlib

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_COMMON_NAME = bytes.fromhex("550403")

HASHES = {
    "sha256": bytes.fromhex("608648016503040201"),
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
_SUBJECT_KEY_IDENTIFIER = bytes.fromhex("551d0e")


def certificate_of(serial: bytes, *, key_id: bytes = b"", algorithm: bytes = _RSA) -> bytes:
    """Return an X.509 certificate of the one real key, as far as anybody looks at it."""
    modulus = _PRIMES[0] * _PRIMES[1]
    numbers = _number(modulus) + _number(_EXPONENT)
    key = _sequence(_oid(algorithm)) + _element(0x03, b"\0" + _sequence(numbers))
    extension = _oid(_SUBJECT_KEY_IDENTIFIER) + _element(0x04, _element(0x04, key_id))
    nothing = _sequence(b"")
    contents = _element(0xA0, b"\2\1\2") + _element(0x02, serial) + 4 * nothing + _sequence(key)
    if key_id:
        contents += _element(0xA3, _sequence(_sequence(extension)))
    return _sequence(_sequence(contents) + nothing + _element(0x03, b"\0"))


def signed_with_key(content: bytes, hash_name: str = "sha256") -> bytes:
    """Return the signature of the one real key under ``content`` (RSASSA-PKCS1-v1_5)."""
    digest = hashlib.new(hash_name, content).digest()
    info = _sequence(_oid(HASHES[hash_name]) + b"\5\0") + _element(0x04, digest)
    told = _sequence(info)
    padded = b"\0\1" + b"\xff" * (128 - 3 - len(told)) + b"\0" + told
    private = pow(_EXPONENT, -1, (_PRIMES[0] - 1) * (_PRIMES[1] - 1))
    number = pow(int.from_bytes(padded, "big"), private, _PRIMES[0] * _PRIMES[1])
    return number.to_bytes(128, "big")


def signature_by(
    serial: bytes,
    *,
    name: str = "A key",
    issuer: bytes | None = None,
    hash_name: str = "sha256",
    signature: bytes = b"the signature",
) -> bytes:
    """Return a message signed with the key whose certificate has that serial number and issuer.

    ``issuer`` are the parts of its name where that is not a common name alone.
    """
    if issuer is None:
        issuer = _element(0x31, _element(0x30, _oid(_COMMON_NAME) + _element(0x0C, name.encode())))
    signer = _element(
        0x30,
        _element(0x02, b"\1")
        + _element(0x30, _element(0x30, issuer) + _element(0x02, serial))
        + _element(0x30, _oid(HASHES[hash_name]))
        + _element(0x04, signature),
    )
    signed = _element(0x30, _element(0x02, b"\1") + _element(0x31, signer))
    return _element(0x30, _oid(_SIGNED_DATA) + _element(0xA0, signed))


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
