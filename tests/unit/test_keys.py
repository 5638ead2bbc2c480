# SPDX-License-Identifier: Apache-2.0
"""Keys and their signatures: what is a key's, and what only looks like it."""

import hashlib
import random
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from kmodd.keys import Verdicts, parse_certificate, read_signers, unverified_algorithm, verify
from kmodd.keys.ecdsa import (
    P256,
    P384,
    P521,
    Curve,
    EcKey,
    ecdsa_verifies,
    read_ec_key,
    read_pair,
)
from kmodd.keys.rsa import RsaKey, rsa_verifies
from kmodd.modulefile.der import INTEGER, OCTETS, OID, SEQUENCE, element
from tests.support.require import require
from tests.support.signatures import (
    HASHES,
    certificate_of,
    certificate_with,
    elliptic_certificate,
    message_of,
    raw_signature,
    signature_by,
    signed_with_key,
    signer_info,
)

SERIAL, KEY_ID = b"\x12\x34", b"\x56" * 20
CERTIFICATE = parse_certificate(certificate_of(SERIAL, key_id=KEY_ID))
CONTENT = b"what is signed"
SIGNED = signed_with_key(CONTENT)
CURVES = (P256, P384, P521)
CURVE_NAMES = {
    "prime256v1": bytes.fromhex("2a8648ce3d030107"),
    "secp384r1": bytes.fromhex("2b81040022"),
    "secp521r1": bytes.fromhex("2b81040023"),
}
ECDSA_SHA256 = bytes.fromhex("2a8648ce3d040302")
ML_DSA_65 = bytes.fromhex("608648016503040312")

# RFC 6979, sections A.2.5 to A.2.7: the key, and its signature under "sample" with SHA-256.
VECTORS = (
    (
        P256,
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    ),
    (
        P384,
        "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64"
        "def8f0ea9055866064a254515480bc13",
        "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1"
        "288b231c3ae0d4fe7344fd2533264720",
        "21b13d1e013c7fa1392d03c5f99af8b30c570c6f98d4ea8e354b63a21d3daa33"
        "bde1e888e63355d92fa2b3c36d8fb2cd",
        "f3aa443fb107745bf4bd77cb3891674632068a10ca67e3d45db2266fa7d1feeb"
        "efdc63eccd1ac42ec0cb8668a4fa0ab0",
    ),
)

# Of Debian's linux-image-6.12.117+deb13-amd64: the certificate in its image, the signature of its
# module dummy, and the SHA-256 of that.
DEBIAN_CERTIFICATE = bytes.fromhex(
    "308201d83082015fa00302010202141bf88847a366949bd9801b2b18209a2f4fceab70300a06082a8648ce3d"
    "040302302e312c302a06035504030c234275696c642074696d65206175746f67656e657261746564206b6572"
    "6e656c206b65793020170d3236313131323039353834385a180f32313236313031393039353834385a302e31"
    "2c302a06035504030c234275696c642074696d65206175746f67656e657261746564206b65726e656c206b65"
    "793076301006072a8648ce3d020106052b810400220362000483c584d26bf4cef73ca4e1ef7cc1f08b412872"
    "cd9a296527e314bb739dfdb2732750c30ac934669a1ef856c38ad5e6d235b3ad4883b7ec196b75e45b95fb55"
    "6fe12c68850f0563a71d625a05741b19f84c94e4ab8916338124e721a2ebd773d3a33c303a300c0603551d13"
    "0101ff04023000300b0603551d0f040403020780301d0603551d0e041604144789b66b7495bab1b6e248519c"
    "f1798f5b57e64d300a06082a8648ce3d0403020367003064023055c5dac38ff8455e71f03e94c649a015282c"
    "ccda0f86f168a64c20f6d2d0ecfe359822e61154f9c7785669b3eb79eeb1023004f845e25f6106ea6172d04e"
    "e94ba06dc318890a91dbd0ac78ddf74d17dd72f99c593f44e97754f6567c7789acd6f022"
)
DEBIAN_SIGNATURE = bytes.fromhex(
    "30660231009f1f7e40a790d8fef090262fdc9a55469e7eaf531639077432cade393ef15d6675c87f378d510c"
    "736e23d1379d6cda58023100b1d6766d376f9cf24e661c5e65d1f83441098c19c8abb749a19154fd1415c964"
    "ca9b405c205496d12d74b5a9324bfa15"
)
DEBIAN_DIGEST = bytes.fromhex("c1a6537a14c906733497aebf2f6ed570fa1842230061bc7fcc7afe90d61bb159")


def number(value: int) -> bytes:
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def pair(r: int, s: int) -> bytes:
    return element(SEQUENCE, number(r) + number(s))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize(("curve", "x", "y", "r", "s"), VECTORS)
def test_published_signatures_verify(curve: Curve, x: str, y: str, r: str, s: str) -> None:
    key = read_ec_key(curve, b"\4" + bytes.fromhex(x + y))
    digest = hashlib.sha256(b"sample").digest()
    signature = pair(int(r, 16), int(s, 16))
    assert ecdsa_verifies(key, signature, digest)
    # Of a number that is added to n, of its opposite, and of what is behind it.
    assert ecdsa_verifies(key, pair(int(r, 16), curve.n - int(s, 16)), digest)
    assert ecdsa_verifies(key, signature + b"anything", digest)
    assert not ecdsa_verifies(key, pair(int(r, 16) + curve.n, int(s, 16)), digest)
    assert not ecdsa_verifies(key, pair(int(s, 16), int(r, 16)), digest)
    assert not ecdsa_verifies(key, signature, hashlib.sha256(b"simple").digest())


def test_debians_signature_verifies_and_no_other() -> None:
    key = parse_certificate(DEBIAN_CERTIFICATE).key
    assert isinstance(key, EcKey)
    assert key.curve is P384
    assert ecdsa_verifies(key, DEBIAN_SIGNATURE, DEBIAN_DIGEST)
    for bit in range(0, 8 * len(DEBIAN_DIGEST), 5):
        assert not ecdsa_verifies(key, DEBIAN_SIGNATURE, flipped(DEBIAN_DIGEST, bit))
    # The first four bytes are tags and lengths, of which some lie about in more than one way.
    for bit in range(32, 8 * len(DEBIAN_SIGNATURE), 7):
        assert not ecdsa_verifies(key, flipped(DEBIAN_SIGNATURE, bit), DEBIAN_DIGEST)


@pytest.mark.parametrize("curve", CURVES)
def test_the_constants_are_those_of_a_group_of_order_n(curve: Curve) -> None:
    key = read_ec_key(
        curve, b"\4" + curve.x.to_bytes(curve.size, "big") + curve.y.to_bytes(curve.size, "big")
    )
    # With the key G and its factor k, what is computed is u1 * G + u2 * G: r = x(k * G) verifies
    # for s = (e + r) / k, and (n - r) * G + r * G is infinity, which never does.
    digest = hashlib.sha256(b"any").digest()
    e = int.from_bytes(digest, "big")
    s = (e + curve.x) % curve.n
    assert ecdsa_verifies(key, pair(curve.x % curve.n, s), digest)
    opposite = curve.n - e % curve.n
    assert not ecdsa_verifies(key, pair(opposite, 1), digest)


@pytest.mark.parametrize("curve", CURVES)
def test_numbers_out_of_their_range_are_no_signature(curve: Curve) -> None:
    key = EcKey(curve, curve.x, curve.y)
    for r, s in ((0, 1), (1, 0), (0, 0), (curve.n, 1), (1, curve.n), (curve.n + 1, 1)):
        assert not ecdsa_verifies(key, pair(r, s), DEBIAN_DIGEST)


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        (b"", "not enough values"),
        (b"\x30", "not enough values"),
        (element(SEQUENCE, number(1)), "1 numbers"),
        (element(SEQUENCE, number(1) + number(1) + number(1)), "3 numbers"),
        (element(SEQUENCE, number(1) + element(OCTETS, b"\1")), "none, or too large"),
        (element(OCTETS, number(1) + number(1)), "tag 0x4"),
        (element(SEQUENCE, element(INTEGER, bytes(3) + b"\1" * 31) + number(1)), "too large"),
        (element(SEQUENCE, element(INTEGER, b"\1" * 33) + number(1)), "none, or too large"),
        (b"\x30\x84\xff\xff\xff\xff" + number(1), "past the end"),
    ],
)
def test_what_is_no_pair_of_numbers_is_no_signature(signature: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_pair(signature, 32)
    assert not ecdsa_verifies(EcKey(P256, P256.x, P256.y), signature, DEBIAN_DIGEST)


@pytest.mark.parametrize(
    "point",
    [
        b"",
        b"\4",
        b"\2" + P256.x.to_bytes(32, "big"),
        b"\6" + P256.x.to_bytes(32, "big") + P256.y.to_bytes(32, "big"),
        b"\4" + P256.x.to_bytes(32, "big") + (P256.y + 1).to_bytes(32, "big"),
        b"\4" + P256.x.to_bytes(32, "big") + P256.y.to_bytes(32, "big") + b"\0",
        b"\4" + bytes(64),
        b"\4" + b"\xff" * 64,
    ],
)
def test_a_point_that_is_not_on_its_curve_is_no_key(point: bytes) -> None:
    with pytest.raises(ValueError, match="P-256"):
        read_ec_key(P256, point)
    with pytest.raises(ValueError, match="P-256"):
        parse_certificate(elliptic_certificate(CURVE_NAMES["prime256v1"], point, SERIAL))


def digest_info(digest: bytes, *, null: bytes = b"\5\0", behind: bytes = b"") -> bytes:
    algorithm = element(SEQUENCE, element(OID, HASHES["sha256"]) + null)
    return element(SEQUENCE, algorithm + element(OCTETS, digest)) + behind


def padded(told: bytes, *, start: bytes = b"\0\1", padding: int | None = None) -> bytes:
    count = 128 - 3 - len(told) if padding is None else padding
    shown = start + b"\xff" * count + b"\0" + told
    return shown + bytes(128 - len(shown))


DIGEST = hashlib.sha256(CONTENT).digest()


@pytest.mark.parametrize(
    "shown",
    [
        padded(digest_info(DIGEST, null=b"")),
        padded(digest_info(DIGEST, behind=b"x")),
        padded(digest_info(DIGEST), padding=8),
        padded(digest_info(DIGEST), padding=60),
        padded(digest_info(DIGEST), start=b"\0\2"),
        padded(digest_info(DIGEST), start=b"\0\0"),
        padded(digest_info(DIGEST[:-1] + b"\0")),
        padded(digest_info(DIGEST[:-1])),
        padded(element(OCTETS, DIGEST)),
        b"\0\1" + b"\xff" * 30 + b"\xfe" + padded(digest_info(DIGEST))[33:],
    ],
)
def test_an_rsa_signature_shows_one_thing_alone(shown: bytes) -> None:
    key = CERTIFICATE.key
    assert isinstance(key, RsaKey)
    assert rsa_verifies(key, raw_signature(padded(digest_info(DIGEST))), HASHES["sha256"], DIGEST)
    assert not rsa_verifies(key, raw_signature(shown), HASHES["sha256"], DIGEST)


def test_an_rsa_signature_is_as_long_as_its_key_and_below_it() -> None:
    key = CERTIFICATE.key
    assert isinstance(key, RsaKey)
    above = (int.from_bytes(SIGNED, "big") + key.modulus) % (1 << 1024)
    candidates = (b"\0" + SIGNED, SIGNED[:-1], b"", bytes(128), b"\xff" * 128)
    for signature in (*candidates, above.to_bytes(128, "big")):
        assert not rsa_verifies(key, signature, HASHES["sha256"], DIGEST)
    small = RsaKey(0xFFFF_FFFB, 3)
    assert not rsa_verifies(small, bytes(4), HASHES["sha256"], DIGEST)


@pytest.mark.parametrize(
    ("modulus", "exponent"), [(0, 3), (1 << 1023, 3), ((1 << 8193) + 1, 3), (15, 1), (15, 1 << 65)]
)
def test_an_rsa_key_that_is_none_or_too_large_is_refused(modulus: int, exponent: int) -> None:
    numbers = element(SEQUENCE, number(modulus) + number(exponent))
    algorithm = element(OID, bytes.fromhex("2a864886f70d010101"))
    with pytest.raises(ValueError, match="an RSA"):
        parse_certificate(certificate_with(algorithm, numbers, SERIAL))


def test_a_certificate_tells_its_key_and_what_names_it() -> None:
    assert (CERTIFICATE.serial, CERTIFICATE.key_id) == (SERIAL, KEY_ID)
    assert b"A key" in CERTIFICATE.issuer
    assert parse_certificate(CERTIFICATE.der) == CERTIFICATE
    assert parse_certificate(certificate_of(SERIAL)).key_id == b""
    assert parse_certificate(DEBIAN_CERTIFICATE).key_id.hex().startswith("4789b66b")


def test_a_key_of_another_algorithm_is_none_that_is_verified_with() -> None:
    odd = parse_certificate(certificate_with(element(OID, ML_DSA_65), bytes(1952), SERIAL))
    assert (odd.serial, odd.key) == (SERIAL, None)
    assert parse_certificate(elliptic_certificate(b"\x2b\x01", b"\4", SERIAL)).key is None


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (b"", "not enough values"),
        (certificate_of(SERIAL)[:-1], "past the end"),
        (certificate_of(SERIAL) + b"\0\0", "too many values"),
        (b"-----BEGIN CERTIFICATE-----", "past the end|a tag that is"),
        (element(SEQUENCE, b""), "not enough values"),
        (
            certificate_of(SERIAL).replace(element(INTEGER, SERIAL), element(OCTETS, SERIAL)),
            "a serial number or an issuer that is none",
        ),
    ],
)
def test_what_is_no_certificate_is_refused(damage: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_certificate(damage)


def verdict(message: bytes, content: bytes = CONTENT) -> Verdicts:
    return verify(content, read_signers(message), [CERTIFICATE])


def test_a_signature_of_a_trusted_key_is_good() -> None:
    assert verdict(signature_by(SERIAL, signature=SIGNED)) is Verdicts.GOOD
    assert verdict(signature_by(b"", key_id=KEY_ID, signature=SIGNED)) is Verdicts.GOOD
    assert verdict(signature_by(SERIAL, signature=SIGNED) + b"\0\0") is Verdicts.GOOD
    sha512 = signed_with_key(CONTENT, "sha512")
    message = signature_by(SERIAL, signature=sha512, hash_name="sha512")
    assert verdict(message) is Verdicts.GOOD


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (signature_by(SERIAL, signature=flipped(SIGNED, 500)), Verdicts.REJECTED),
        (signature_by(SERIAL, signature=SIGNED, hash_name="sha512"), Verdicts.REJECTED),
        (signature_by(SERIAL, signature=SIGNED, algorithm=ECDSA_SHA256), Verdicts.REJECTED),
        (signature_by(SERIAL, signature=SIGNED, attributes=b"\x30\0"), Verdicts.REJECTED),
        (signature_by(b"\x77", signature=SIGNED), Verdicts.UNKNOWN_KEY),
        (signature_by(SERIAL, name="Another", signature=SIGNED), Verdicts.UNKNOWN_KEY),
        (signature_by(b"", key_id=b"\x57" * 20, signature=SIGNED), Verdicts.UNKNOWN_KEY),
        (signature_by(SERIAL, signature=SIGNED, hash_name="unheard of"), Verdicts.UNSUPPORTED),
        (signature_by(SERIAL, signature=SIGNED, algorithm=ML_DSA_65), Verdicts.UNSUPPORTED),
        (signature_by(b"\x77", algorithm=b"\x2a\x03"), Verdicts.UNSUPPORTED),
    ],
)
def test_any_other_is_worth_what_linux_gives_for_it(message: bytes, found: Verdicts) -> None:
    """As Debian's 6.1 and 6.12 were seen to do with such signatures of their own modules."""
    assert verdict(message) is found


def test_the_first_signer_of_a_trusted_key_decides() -> None:
    good = signer_info(SERIAL, signature=SIGNED)
    bad = signer_info(SERIAL, signature=flipped(SIGNED, 9))
    stranger = signer_info(b"\x77", signature=SIGNED)
    odd = signer_info(b"\x77", algorithm=b"\x2a\x03")
    assert verdict(message_of(stranger, good, bad)) is Verdicts.GOOD
    assert verdict(message_of(stranger, bad, good)) is Verdicts.REJECTED
    assert verdict(message_of(good, odd)) is Verdicts.UNSUPPORTED


def test_no_key_of_an_unknown_algorithm_is_trusted_blindly() -> None:
    der = certificate_with(element(OID, ML_DSA_65), bytes(1952), SERIAL)
    signers = read_signers(signature_by(SERIAL, signature=SIGNED))
    assert verify(CONTENT, signers, [parse_certificate(der)]) is Verdicts.UNSUPPORTED


def test_an_algorithm_that_linux_verifies_and_nobody_here_has_a_name() -> None:
    (signer,) = read_signers(signature_by(SERIAL, algorithm=ML_DSA_65))
    assert unverified_algorithm(signer) == "ML-DSA-65"
    (signer,) = read_signers(signature_by(SERIAL))
    assert unverified_algorithm(signer) == ""


GOOD = signer_info(SERIAL, signature=SIGNED)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "not enough values"),
        (b"garbage", "past the end"),
        (message_of(GOOD)[:-1], "past the end"),
        (message_of(), "0 signers"),
        (message_of(*[GOOD] * 65), "65 signers"),
        (message_of(GOOD, version=b"\3"), "versions that do not match"),
        (message_of(signer_info(SERIAL, key_id=KEY_ID)), "versions that do not match"),
        (message_of(GOOD, content=element(0xA0, element(OCTETS, CONTENT))), "elsewhere"),
        (message_of(GOOD).replace(b"\xf7\x0d\1\7\2", b"\xf7\x0d\1\7\3"), "not signed data"),
        (message_of(GOOD.replace(b"\4\x82\0\x80", b"\x0c\x82\0\x80")), "a signature that is none"),
        (bytes(70_000), "70000 bytes"),
    ],
)
def test_what_is_no_such_message_is_refused(message: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_signers(message)


@pytest.mark.parametrize("curve", CURVE_NAMES)
@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_what_openssl_signs_on_a_curve_is_understood(
    tmp_path: Path, curve: str, hash_name: str
) -> None:
    require("openssl", "a key and a signature of its own need openssl")
    (tmp_path / "content").write_bytes(CONTENT)
    for words in (
        f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes -keyout key -out cert"
        " -subj /CN=test -outform DER",
        "x509 -inform DER -in cert -out cert.pem",
        f"cms -sign -binary -noattr -nocerts -md {hash_name} -signer cert.pem -inkey key"
        " -in content -outform DER -out signature",
        f"cms -sign -binary -noattr -nocerts -keyid -md {hash_name} -signer cert.pem -inkey key"
        " -in content -outform DER -out named",
    ):
        subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    certificate = parse_certificate((tmp_path / "cert").read_bytes())
    for name in ("signature", "named"):
        signers = read_signers((tmp_path / name).read_bytes())
        assert verify(CONTENT, signers, [certificate]) is Verdicts.GOOD
        assert verify(CONTENT + b"!", signers, [certificate]) is Verdicts.REJECTED
        assert verify(CONTENT, signers, [CERTIFICATE]) is Verdicts.UNKNOWN_KEY


def test_damage_is_told_as_one_error() -> None:
    dice = random.Random(3)
    message = message_of(GOOD, signer_info(b"\x77", signature=SIGNED))
    readable = 0
    for _ in range(4000):
        changed, der = bytearray(message), bytearray(CERTIFICATE.der)
        for data in (changed, der):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 0x30, 0x7F, 0x80, 0x84, 0xFF))
        certificates = [CERTIFICATE]
        with suppress(ValueError):
            certificates.append(parse_certificate(bytes(der)))
        with suppress(ValueError):
            readable += verify(CONTENT, read_signers(bytes(changed)), certificates) in Verdicts
    assert 1000 < readable < 4000
