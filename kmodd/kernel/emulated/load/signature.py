# SPDX-License-Identifier: Apache-2.0
"""The signature check, which comes before all others (kernel/module/signing.c).

Nobody hands us the public keys that are built into a kernel. A signature counts as good when it
names the key that the release's own modules are signed with. Where the root has that key's
certificate, the signature is verified as well (certificates.py), but for one of signed attributes,
which sign-file does not make, and one with a hash that Python does not have.
"""

import errno
from dataclasses import dataclass

from kmodd.errors import Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated.release.certificates import Certificate, is_made_by, is_verifiable
from kmodd.kernel.emulated.reporting.log import Level, Printk
from kmodd.kernel.emulated.reporting.refusal import Refusal
from kmodd.modulefile.pkcs7 import HASHES, SignerInfo, read_signer
from kmodd.modulefile.signature import MARKER

TRAILER_SIZE = 12
"""Bytes of ``struct module_signature`` (include/linux/module_signature.h)."""

_PKCS7 = 2
_MANGLING = InsertFlags.IGNORE_MODVERSIONS | InsertFlags.IGNORE_VERMAGIC

_REASONS = {
    errno.ENODATA: "unsigned module",
    errno.ENOPKG: "module with unsupported crypto",
    errno.ENOKEY: "module with unavailable key",
}
"""What can be tolerated as long as signatures are not enforced, in the kernel's words."""


_DAMAGED = "the appended signature is damaged"
_FATAL = {errno.EKEYREJECTED: "the appended signature is not of this module"}


@dataclass(frozen=True, slots=True)
class Keys:
    """What is known of the keys that a kernel trusts.

    ``id`` is that of the key of the release's own modules, empty where they are not signed.
    """

    id: bytes = b""
    certificates: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class SignatureState:
    """How many bytes of the image are the module proper, and whether its signature is good."""

    module_size: int
    good: bool


def check_signature(
    image: bytes, flags: InsertFlags, keys: Keys, *, enforced: bool, printk: Printk
) -> SignatureState:
    """Look at what is appended to ``image`` (module_sig_check).

    Raises Refusal: EBADMSG for a signature that is damaged, EKEYREJECTED for one that is not of
    this module, and on a kernel that enforces signatures for one that is not good.
    """
    size, problem = len(image), errno.ENODATA
    # With its version information taken away a module is no longer what was signed.
    if not flags & _MANGLING and len(image) > len(MARKER) and image.endswith(MARKER):
        size -= len(MARKER)
        size, problem = _verify(image, size, keys, printk)
        if not problem:
            return SignatureState(size, good=True)
    reason = _REASONS.get(problem)
    if reason is None:
        raise Refusal(Reason.KERNEL_REFUSED, problem, _FATAL.get(problem, _DAMAGED))
    if enforced:
        why = f"Loading of {reason} is rejected"
        printk(Level.NOTICE, why)
        raise Refusal(Reason.KERNEL_REFUSED, errno.EKEYREJECTED, why)
    return SignatureState(size, good=False)


def _verify(image: bytes, size: int, keys: Keys, printk: Printk) -> tuple[int, int]:
    """Return the size of the module proper and 0, or an errno (mod_verify_sig, mod_check_sig)."""
    if size <= TRAILER_SIZE:
        return size, errno.EBADMSG
    trailer = image[size - TRAILER_SIZE : size]
    length = int.from_bytes(trailer[8:], "big")
    if length >= size - TRAILER_SIZE:
        return size, errno.EBADMSG
    if trailer[2] != _PKCS7:
        printk(Level.ERR, "module: not signed with expected PKCS#7 message")
        return size, errno.ENOPKG
    if any(trailer[:2]) or any(trailer[3:8]):
        printk(Level.ERR, "module: PKCS#7 signature info has unexpected non-zero params")
        return size, errno.EBADMSG
    module_size = size - TRAILER_SIZE - length
    signer = read_signer(image[module_size : module_size + length])
    if signer is None:
        return module_size, errno.EBADMSG
    if signer.hash_algorithm not in HASHES.values():
        return module_size, errno.ENOPKG
    return module_size, _trust(image[:module_size], signer, keys)


def _trust(content: bytes, signer: SignerInfo, keys: Keys) -> int:
    """Return 0 for a signature by a key of the kernel's, or an errno (pkcs7_validate_trust)."""
    for certificate in keys.certificates:
        if signer.key_id in certificate.key_ids and is_verifiable(signer):
            return 0 if is_made_by(certificate, signer, content) else errno.EKEYREJECTED
    return 0 if keys.id and signer.key_id == keys.id else errno.ENOKEY
