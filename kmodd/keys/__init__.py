# SPDX-License-Identifier: Apache-2.0
"""Public keys, and the signatures made with them: what Linux verifies of a module.

Own code, of RSA and ECDSA the verification alone: it takes a few dozen lines over Python's
integers, has no secret to keep, and spares a dependency of several megabytes. Certificates and
messages are strangers' bytes: what is not understood raises ValueError.

certificate                 X.509: a key, and what signatures name it by
signed_data                 PKCS#7: who has signed
rsa, ecdsa                  whether a signature is a key's
verifying                   whether a key that is trusted has signed
"""

from kmodd.keys.certificate import Certificate, parse_certificate
from kmodd.keys.signed_data import Signer, read_signers
from kmodd.keys.verifying import Verdicts, unverified_algorithm, verify

__all__ = [
    "Certificate",
    "Signer",
    "Verdicts",
    "parse_certificate",
    "read_signers",
    "unverified_algorithm",
    "verify",
]
