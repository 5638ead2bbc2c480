# SPDX-License-Identifier: Apache-2.0
"""The signature appended to a module, real ones made by openssl included."""

import random
import subprocess
from pathlib import Path

import pytest

from kmodd.errors import ModuleFileError
from kmodd.modulefile import ModuleFile, Signature, SignatureType, Trailer
from kmodd.modulefile.der import OID, SEQUENCE, SET, dotted, element
from kmodd.modulefile.image import MemoryImage
from kmodd.modulefile.signature import read_signature
from tests.support.elf_writer import (
    SIGNATURE_MARKER,
    ModuleSpec,
    append_signature,
    write_module,
)
from tests.support.require import require
from tests.support.signatures import signature_by

IMAGE = write_module(ModuleSpec())


def test_module_without_the_marker_is_not_signed() -> None:
    assert ModuleFile.parse(IMAGE).signature() is None
    assert ModuleFile.parse(IMAGE + SIGNATURE_MARKER + b"\n").signature() is None


def test_signature_leaves_the_module_readable() -> None:
    module = ModuleFile.parse(append_signature(IMAGE, b"opaque"))

    assert module.this_module_name() == "sample"
    assert module.image.endswith(SIGNATURE_MARKER)


def test_message_that_is_not_understood_names_no_signer() -> None:
    signature = ModuleFile.parse(append_signature(IMAGE, b"opaque")).signature()

    assert signature is not None
    assert signature.type is SignatureType.PKCS7
    assert signature.trailer == Trailer(0, 0, 2, 0, 0, len(b"opaque"))
    assert (signature.module_size, signature.data) == (len(IMAGE), b"opaque")
    assert (signature.signer, signature.key_id, signature.value) == ("", b"", b"")
    assert signature.hash_algorithm == "unknown"


def test_signature_from_before_pkcs7_has_its_parts_beside_it() -> None:
    signed = append_signature(IMAGE, b"value", id_type=1, signer=b"Somebody", key_id=b"\1\2")
    signature = ModuleFile.parse(signed).signature()

    assert signature is not None
    assert signature.type is SignatureType.X509
    assert (signature.signer, signature.key_id) == ("Somebody", b"\1\2")
    assert (signature.hash_algorithm, signature.value) == ("md4", b"value")


def test_unknown_type_of_signature_is_told_as_such() -> None:
    signature = ModuleFile.parse(append_signature(IMAGE, b"value", id_type=9)).signature()

    assert signature is not None
    assert (signature.type, signature.trailer.id_type) == (SignatureType.UNKNOWN, 9)


@pytest.mark.parametrize(
    "before_the_marker",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bytes(11), id="trailer-cut-short"),
        pytest.param(bytes(100), id="no-length"),
        pytest.param(bytes(90) + b"\0\0\2" + bytes(5) + b"\0\0\0\x5a", id="all-signature"),
        pytest.param(bytes(90) + b"\0\0\2" + bytes(5) + b"\xff\xff\xff\xff", id="huge-length"),
        pytest.param(bytes(90) + b"\0\0\2\xff" + bytes(7) + b"\1", id="signer-past-the-start"),
        pytest.param(bytes(90) + b"\0\0\2\0\xff" + bytes(6) + b"\1", id="key-id-past-the-start"),
    ],
)
def test_lengths_that_do_not_fit_are_an_error(before_the_marker: bytes) -> None:
    with pytest.raises(ModuleFileError, match=r"^m\.ko: .*appended signature"):
        read_signature(MemoryImage(before_the_marker + SIGNATURE_MARKER, "m.ko"))


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512", "sha3-256"])
@pytest.mark.parametrize("attributes", ["-noattr", "-nosmimecap"])
def test_pkcs7_message_names_the_signer(key: Path, digest: str, attributes: str) -> None:
    signature = sign(key, "-md", digest, attributes)

    assert signature.signer == "Key of the tests"
    assert signature.key_id.hex() == "1234567890abcdef"
    assert signature.hash_algorithm == digest
    assert len(signature.value) == 256
    assert signature.data.endswith(signature.value)


def test_pkcs7_message_may_name_the_key_alone(key: Path) -> None:
    signature = sign(key, "-md", "sha256", "-keyid")

    assert signature.signer == ""
    assert len(signature.key_id) == 20
    assert signature.hash_algorithm == "sha256"


def test_a_signer_without_a_common_name_is_the_last_part_of_the_name() -> None:
    parts = ((b"\x55\x04\x0a", b"Organisation"), (b"\x55\x04\x0b", b"Unit"))
    common = (b"\x55\x04\x03", b"Key\0of nobody")
    assert signer_of(*parts) == "Unit"
    assert signer_of(common, *parts) == "Key"
    assert signer_of((b"\x55\x04\x0a", b"M\xfcller")) == "M\udcfcller"
    assert signer_of() == ""


def signer_of(*parts: tuple[bytes, bytes]) -> str:
    """Who has signed a message by the issuer whose name has these parts."""
    attributes = (element(OID, kind) + element(0x0C, value) for kind, value in parts)
    issuer = b"".join(element(SET, element(SEQUENCE, each)) for each in attributes)
    message = signature_by(b"\1", issuer=issuer)
    signature = ModuleFile.parse(append_signature(IMAGE, message)).signature()
    assert signature is not None
    assert signature.key_id == b"\1"
    return signature.signer


@pytest.mark.parametrize(
    ("serial", "key_id"),
    [(b"\0\xf2\x34", b"\xf2\x34"), (b"\0", b""), (b"\xfb", b"\5"), (b"\x7f", b"\x7f")],
)
def test_a_key_id_is_the_serial_number_without_its_sign(serial: bytes, key_id: bytes) -> None:
    message = signature_by(serial)
    signature = ModuleFile.parse(append_signature(IMAGE, message)).signature()
    assert signature is not None
    assert signature.key_id == key_id


def test_a_hash_without_a_name_is_told_by_its_identifier(key: Path) -> None:
    message = signature_by(b"\1", hash_name="unheard of")
    signature = ModuleFile.parse(append_signature(IMAGE, message)).signature()
    assert signature is not None
    assert signature.hash_algorithm == "2.16.840.1.101.3.4.2.16257"
    assert sign(key, "-md", "md5").hash_algorithm == "md5"
    assert dotted(bytes.fromhex("2a864886f70d0205")) == "1.2.840.113549.2.5"
    with pytest.raises(ValueError, match="does not end"):
        dotted(b"\x2a\x86")


def test_damaged_pkcs7_message_is_not_understood_or_reads_otherwise(key: Path) -> None:
    message = sign(key, "-md", "sha256", "-noattr").data
    randomness = random.Random(1)
    for _ in range(2000):
        damaged = bytearray(message[: randomness.choice((len(message), 200, 60))])
        damaged[randomness.randrange(len(damaged))] = randomness.randrange(256)
        signature = ModuleFile.parse(append_signature(IMAGE, bytes(damaged))).signature()
        assert signature is not None
        assert signature.data == damaged


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key and the certificate of a signer, as a kernel build makes them."""
    openssl = require("openssl", "messages to read are signed with openssl")
    path = tmp_path_factory.mktemp("key") / "signing_key.pem"
    subject = ["-subj", "/O=kmodd/CN=Key of the tests", "-set_serial", "0x1234567890abcdef"]
    where = ["-keyout", str(path), "-out", f"{path}.crt"]
    command = [openssl, "req", "-x509", "-nodes", "-newkey", "rsa:2048", *subject, *where]
    subprocess.run(command, check=True, capture_output=True)
    return path


def sign(key: Path, *options: str) -> Signature:
    """Sign the module as the kernel's sign-file does, and read the signature back."""
    openssl = require("openssl", "messages to read are signed with openssl")
    signer = ["-signer", f"{key}.crt", "-inkey", str(key)]
    form = ["-sign", "-binary", "-nocerts", "-outform", "DER", *options]
    message = subprocess.run(
        [openssl, "cms", *form, *signer], input=IMAGE, check=True, capture_output=True
    ).stdout
    signature = ModuleFile.parse(append_signature(IMAGE, message)).signature()
    assert signature is not None
    return signature
