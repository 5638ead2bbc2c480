# SPDX-License-Identifier: Apache-2.0
"""The certificates of the keys that a kernel's modules are signed with.

They are in the kernel's image. Who builds a kernel has besides the one of the key that the build
has made (certs/signing_key.x509, X.509 in DER), before there is an image that has it.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from kmodd.keys import Certificate, parse_certificate

CERTIFICATE_PLACES = (
    "lib/modules/{release}/build/certs/signing_key.x509",
    "usr/src/linux-headers-{release}/certs/signing_key.x509",
)
"""Where a root may hold the certificate of a release's key, best first."""

CERTIFICATE_MAX = 64 << 10
"""Bytes of a certificate that are read at most."""

log = logging.getLogger(__name__)


def read_certificates(path: Path | None) -> tuple[Certificate, ...]:
    """Return the certificate in a file, where there is one that can be made sense of."""
    try:
        if path is None or path.stat().st_size > CERTIFICATE_MAX:
            return ()
        return parse_certificates([path.read_bytes()])
    except OSError:
        return ()


def parse_certificates(found: Iterable[bytes]) -> tuple[Certificate, ...]:
    """Return those of the certificates that can be made sense of; the log is told of others."""
    parsed = []
    for data in found:
        try:
            parsed.append(parse_certificate(data))
        except ValueError as error:
            log.warning("a certificate of the kernel's is passed over: %s", error)
    return tuple(parsed)
