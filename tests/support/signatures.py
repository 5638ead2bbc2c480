# SPDX-License-Identifier: Apache-2.0
"""PKCS#7 messages in the form of a module's signature, without a key that could have made them."""

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_COMMON_NAME = bytes.fromhex("550403")

HASHES = {
    "sha256": bytes.fromhex("608648016503040201"),
    "unheard of": bytes.fromhex("6086480165030402ff01"),
}
"""Object identifiers of hashes, one of them of no algorithm."""


def signature_by(serial: bytes, *, name: str = "A key", hash_name: str = "sha256") -> bytes:
    """Return a message signed with the key whose certificate has that serial number and issuer."""
    issuer = _element(0x31, _element(0x30, _oid(_COMMON_NAME) + _element(0x0C, name.encode())))
    signer = _element(
        0x30,
        _element(0x02, b"\1")
        + _element(0x30, _element(0x30, issuer) + _element(0x02, serial))
        + _element(0x30, _oid(HASHES[hash_name]))
        + _element(0x04, b"the signature"),
    )
    signed = _element(0x30, _element(0x02, b"\1") + _element(0x31, signer))
    return _element(0x30, _oid(_SIGNED_DATA) + _element(0xA0, signed))


def _oid(encoded: bytes) -> bytes:
    return _element(0x06, encoded)


def _element(tag: int, contents: bytes) -> bytes:
    return bytes([tag, 0x81, len(contents)]) + contents
