# SPDX-License-Identifier: Apache-2.0
"""Signatures of modules, on a kernel that has the certificate of their key and on one without."""

import errno
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmodd.errors import Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import EmulatedKernel, IsolatedKernel
from kmodd.kernel.emulated.release.certificates import read_certificates
from kmodd.kernel.emulated.release.source import VmlinuxSource
from kmodd.keys import parse_certificate
from tests.support.elf_writer import ModuleSpec, append_signature, write_module
from tests.support.emulated import SAMPLE, kernel, log, refusal, vmlinux
from tests.support.kernel_image import CERTIFICATES, RELEASE, vmlinux_sections, write_vmlinux
from tests.support.require import require
from tests.support.signatures import certificate_of, signature_by, signed_with_key

PLAIN = write_module(ModuleSpec())
SERIAL, KEY_ID = b"\x12\x34", b"\x56" * 20
ENFORCED = {"command_line": "module.sig_enforce"}
SAMPLE_OF_KEY = replace(SAMPLE, key=SERIAL)
CERTIFICATE = parse_certificate(certificate_of(SERIAL, key_id=KEY_ID))


def signed(image: bytes, by: bytes = SERIAL, **options: Any) -> bytes:
    """Return ``image`` with the signature that the real key makes of PLAIN."""
    signature = signed_with_key(PLAIN)
    return append_signature(image, signature_by(by, signature=signature, **options))


def of_its_builder(**options: Any) -> EmulatedKernel:
    return kernel(certificates=(CERTIFICATE,), sample=SAMPLE_OF_KEY, **options)


def test_a_signature_of_the_key_is_verified_and_good() -> None:
    one = of_its_builder(boot=ENFORCED)
    one.init_module(signed(PLAIN), "", InsertFlags.NONE)
    assert one.modules()[0].taints == ""


@pytest.mark.parametrize("boot", [{}, ENFORCED])
def test_a_signature_of_another_module_is_refused_even_if_none_is_needed(
    boot: dict[str, str],
) -> None:
    other = write_module(ModuleSpec(name="other"))
    for image in (signed(other), append_signature(PLAIN, signature_by(SERIAL))):
        error = refusal(of_its_builder(boot=boot), image)
        assert (error.errno, error.reason) == (errno.EKEYREJECTED, Reason.KERNEL_REFUSED)
        assert error.log == ()
        assert error.message == "the appended signature is not of this module"


def test_a_signature_of_a_key_that_is_not_there_taints_as_ever() -> None:
    one = of_its_builder()
    one.init_module(signed(PLAIN, by=b"\x77"), "", InsertFlags.NONE)
    assert one.modules()[0].taints == "E"


def test_without_a_certificate_no_signature_is_good() -> None:
    one = kernel(sample=SAMPLE_OF_KEY)
    one.init_module(signed(PLAIN), "", InsertFlags.NONE)
    assert one.modules()[0].taints == "E"
    error = refusal(kernel(sample=SAMPLE_OF_KEY, boot=ENFORCED), signed(PLAIN))
    assert error.errno == errno.EKEYREJECTED
    assert error.log == ("Loading of module with unavailable key is rejected",)


def test_a_signature_of_attributes_is_no_modules() -> None:
    error = refusal(of_its_builder(), signed(PLAIN, attributes=b"\x30\0"))
    assert error.errno == errno.EKEYREJECTED
    assert error.log == ("PKCS7: Invalid module sig (has authattrs)",)


def test_an_algorithm_that_is_not_verified_is_told_by_its_name() -> None:
    image = signed(PLAIN, algorithm=bytes.fromhex("608648016503040312"))
    told = "kmodd does not verify ML-DSA-65, which this module is signed with"
    one = of_its_builder()
    one.init_module(image, "", InsertFlags.NONE)
    assert one.modules()[0].taints == "E"
    assert told in log(one)
    error = refusal(of_its_builder(boot=ENFORCED), image)
    assert error.errno == errno.EKEYREJECTED
    assert error.log == (told, "Loading of module with unsupported crypto is rejected")


@pytest.mark.parametrize(
    "damage",
    [
        certificate_of(SERIAL)[:-1],
        certificate_of(SERIAL) + b"\0",
        b"",
        b"-----BEGIN CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_of_such_a_key_is_no_certificate(
    tmp_path: Path, damage: bytes
) -> None:
    path = tmp_path / "signing_key.x509"
    path.write_bytes(damage)
    assert read_certificates(path) == ()
    assert read_certificates(tmp_path) == read_certificates(None) == ()


def test_the_certificate_is_found_beside_the_headers_and_reaches_the_kernels_process(
    tmp_path: Path,
) -> None:
    (tmp_path / "lib/modules/6.1.0").mkdir(parents=True)
    (tmp_path / "src/build/certs").mkdir(parents=True)
    (tmp_path / "src/build/certs/signing_key.x509").write_bytes(certificate_of(SERIAL))
    (tmp_path / "lib/modules/6.1.0/build").symlink_to("/src/build")
    source = VmlinuxSource(tmp_path, "6.1.0", tmp_path / "lib/modules", dict)
    assert source().certificates == (parse_certificate(certificate_of(SERIAL)),)
    built = vmlinux(certificates=source().certificates, sample=SAMPLE_OF_KEY)
    isolated = IsolatedKernel(built.release, lambda: built, run_code=False)
    try:
        isolated.init_module(signed(PLAIN), "", InsertFlags.NONE)
        other = signed(write_module(ModuleSpec(name="other")))
        assert refusal(isolated, other).errno == errno.EKEYREJECTED
    finally:
        isolated.close()


def test_the_image_has_the_certificates_that_are_trusted(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / f"boot/vmlinuz-{RELEASE}").write_bytes(write_vmlinux(vmlinux_sections()))
    build = tmp_path / f"lib/modules/{RELEASE}/build/certs"
    build.mkdir(parents=True)
    (build / "signing_key.x509").write_bytes(certificate_of(b"\x77"))
    found = VmlinuxSource(tmp_path, RELEASE, tmp_path / "lib/modules", dict)().certificates
    assert [each.der for each in found] == [*CERTIFICATES, certificate_of(b"\x77")]


def test_what_openssl_makes_is_understood(tmp_path: Path) -> None:
    require("openssl", "a key and a signature of its own need openssl")
    module = tmp_path / "module"
    module.write_bytes(PLAIN)
    for words in (
        "req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -subj /CN=test -outform DER",
        "x509 -inform DER -in cert -out cert.pem",
        "smime -sign -binary -noattr -nocerts -md sha512 -signer cert.pem -inkey key -in module"
        " -outform DER -out signature",
    ):
        subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    (certificate,) = read_certificates(tmp_path / "cert")
    image = append_signature(PLAIN, (tmp_path / "signature").read_bytes())
    one = kernel(
        certificates=(certificate,),
        sample=replace(SAMPLE, key=certificate.serial),
        boot=ENFORCED,
    )
    one.init_module(image, "", InsertFlags.NONE)
    assert one.modules()[0].taints == ""
    changed = image.replace(b"intree=Y", b"intree=N")
    one.delete_module("sample")
    assert refusal(one, changed).errno == errno.EKEYREJECTED
