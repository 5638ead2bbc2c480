# SPDX-License-Identifier: Apache-2.0
"""An authority of the tests' own, and certificates that it signs for both ends of TLS."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.require import require

_CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
[end]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = {places}
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, PEM files, and the certificate of who signed it."""

    authority: Path
    certificate: Path
    key: Path


def make_authority(directory: Path, name: str = "the tests' authority") -> Certificate:
    """Make an authority in ``directory``, which it signs itself."""
    directory.mkdir(parents=True, exist_ok=True)
    return _make(directory, "authority", name, "DNS:nowhere", ["-extensions", "authority"])


def make_certificate(
    authority: Certificate, name: str, places: str = "IP:127.0.0.1,DNS:localhost"
) -> Certificate:
    """Make a certificate for ``name`` beside the authority's, good for ``places`` (SANs)."""
    signer = ["-CA", str(authority.certificate), "-CAkey", str(authority.key)]
    return _make(authority.certificate.parent, name, name, places, ["-extensions", "end", *signer])


def _make(directory: Path, file: str, name: str, places: str, more: list[str]) -> Certificate:
    openssl = require("openssl", "certificates are made with openssl")
    made = Certificate(
        directory / "authority.crt", directory / f"{file}.crt", directory / f"{file}.key"
    )
    configuration = directory / f"{file}.cnf"
    configuration.write_text(_CONFIGURATION.format(name=name, places=places))
    kind = ["-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    out = ["-keyout", str(made.key), "-out", str(made.certificate), "-days", "2"]
    command = [openssl, "req", "-config", str(configuration), *kind, *out, *more]
    subprocess.run(command, check=True, capture_output=True)
    return made
